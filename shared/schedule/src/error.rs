//! What a person is told when a timing cannot be understood: where, what, and what to write instead.
//! Never knows where the text came from; callers add the file and the line.

use std::ops::Range;

/// A text about time that cannot be accepted.
///
/// `Display` gives message and help in one line; [`TimingError::render`] shows the text with the fault underlined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}{}", prefix(field), suffix(help.as_deref()))]
#[non_exhaustive]
pub struct TimingError {
    /// The field of the `TimingSpec` at fault, such as `cron`; empty when it is none of them alone.
    pub field: &'static str,
    /// The bytes at fault within that field's text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What is allowed, or what was probably meant.
    pub help: Option<String>,
}

impl TimingError {
    /// The name of the page that explains it: `upbeat explain NAME`, or `docs/errors/NAME.md`.
    pub fn page(&self) -> &'static str {
        "timing-invalid"
    }
}

impl TimingError {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { field: "", span, message: message.into(), help: None }
    }

    /// A fault of the whole text.
    pub(crate) fn whole(text: &str, message: impl Into<String>) -> Self {
        Self::new(0..text.len(), message)
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says which field of a `TimingSpec` or of a calendar the text at fault is.
    pub fn in_field(mut self, field: &'static str) -> Self {
        self.field = field;
        self
    }

    /// Moves the span right: the text at fault stood `by` bytes into a longer one.
    pub(crate) fn shifted(mut self, by: usize) -> Self {
        self.span = self.span.start + by..self.span.end + by;
        self
    }

    /// The text with the fault underlined, then the help.
    ///
    /// `text` is the value of the field at fault. Any text is safe to pass: a span outside of it is clamped, and
    /// control characters are shown as spaces.
    ///
    /// ```
    /// # use upbeat_schedule::TimingSpec;
    /// let spec = TimingSpec { cron: Some("0 25 * * *".into()), ..TimingSpec::default() };
    /// let error = spec.compile().unwrap_err();
    /// assert_eq!(error.render("0 25 * * *"), "\
    /// cron = \"0 25 * * *\"
    ///           ^^ 25 is not an hour
    /// help: hours go from 0 to 23
    /// ");
    /// ```
    pub fn render(&self, text: &str) -> String {
        let mut out = self.picture(text);
        if let Some(help) = &self.help {
            out.push_str("help: ");
            out.push_str(help);
            out.push('\n');
        }
        out
    }

    /// The text and what is under it, without the help; the message alone where there is nothing to point at.
    pub fn picture(&self, text: &str) -> String {
        if self.field.is_empty() && text.is_empty() {
            return format!("{}\n", self.message);
        }
        let start = floor_char_boundary(text, self.span.start);
        let end = floor_char_boundary(text, self.span.end.max(start));
        let shown: String = text.chars().map(visible).collect();
        let (before, after) =
            if self.field.is_empty() { (String::new(), "") } else { (format!("{} = \"", self.field), "\"") };
        let indent = " ".repeat(before.chars().count() + text[..start].chars().count());
        let carets = "^".repeat(text[start..end].chars().count().max(1));
        format!("{before}{shown}{after}\n{indent}{carets} {}\n", self.message)
    }
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

fn suffix(help: Option<&str>) -> String {
    help.map(|help| format!(" ({help})")).unwrap_or_default()
}

/// A line break or an escape sequence in the text must not break the picture, nor reach a terminal.
fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_underline_counts_characters_not_bytes() {
        let error = TimingError::new(3..5, "no").in_field("at");
        assert_eq!(error.render("äb!!"), "at = \"äb!!\"\n        ^^ no\n");
    }

    #[test]
    fn any_text_and_any_span_can_be_rendered() {
        for (text, span) in [(" ", 0..9), ("ä", 1..1), ("a\nb\x1b[31m", 1..2), ("x", 7..9)] {
            let rendered = TimingError::new(span, "no").render(text);
            assert_eq!(rendered.lines().count(), 2, "{rendered:?}");
            assert!(!rendered.contains('\x1b'));
        }
    }

    #[test]
    fn one_line_holds_field_message_and_help() {
        let error = TimingError::new(0..1, "wrong").help("right").in_field("every");
        assert_eq!(error.to_string(), "every: wrong (right)");
        assert_eq!(TimingError::new(0..1, "wrong").to_string(), "wrong");
    }
}
