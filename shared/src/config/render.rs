//! Shows a mistake as a compiler would: place, line, underline, what is allowed.

use std::fmt;

use super::error::{ConfigError, ConfigErrors, Place, TextPlace, Warning};

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.iter().enumerate() {
            if n > 0 {
                f.write_str("\n\n")?;
            }
            error.fmt(f)?;
        }
        match self.left_out() {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        show_place(f, &self.place)?;
        match &self.help {
            Some(help) => write!(f, "\n{} = {help}", margin(&self.place)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warning: {}", self.message)?;
        show_place(f, &self.place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(TextPlace { path, line, column, .. }) => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

fn show_place(f: &mut fmt::Formatter<'_>, place: &Place) -> fmt::Result {
    let margin = margin(place);
    write!(f, "\n{margin}--> {place}")?;
    let Place::Text(text) = place else { return Ok(()) };
    let indent = " ".repeat((text.column - 1).saturating_sub(text.cut));
    let underline = "^".repeat(text.width);
    write!(f, "\n{margin} |\n{} | {}\n{margin} | {indent}{underline}", text.line, text.text)
}

/// As wide as the line's number.
fn margin(place: &Place) -> String {
    match place {
        Place::Text(text) => " ".repeat(text.line.to_string().len()),
        Place::File(_) | Place::Environment(_) | Place::Flag(_) => " ".into(),
    }
}
