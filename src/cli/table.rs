//! Aligned columns and labelled lines. Pure: gives text, prints nothing.

use std::fmt::Display;

use upbeat_shared::task::TaskState;

/// How a cell looks on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Look {
    /// As it is.
    #[default]
    Plain,
    /// Less important.
    Faint,
    /// Headings and names.
    Strong,
    /// Went well.
    Good,
    /// Goes on.
    Busy,
    /// Went wrong.
    Bad,
    /// Look at it.
    Odd,
}

impl Look {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Faint => "\x1b[2m",
            Self::Strong => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Busy => "\x1b[36m",
            Self::Bad => "\x1b[31m",
            Self::Odd => "\x1b[33m",
        }
    }
}

/// A text and its look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    look: Look,
    right: bool,
}

impl Cell {
    /// With a look of its own. Control characters are replaced: what a task returned must not drive the terminal.
    pub(crate) fn new(text: impl Into<String>, look: Look) -> Self {
        let text: String = text.into();
        let text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { text, look, right: false }
    }

    /// As it is.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Look::Plain)
    }

    /// Less important.
    pub(crate) fn faint(text: impl Into<String>) -> Self {
        Self::new(text, Look::Faint)
    }

    /// A number, aligned at the right.
    pub(crate) fn number(value: impl Display) -> Self {
        Self { right: true, ..Self::plain(value.to_string()) }
    }

    /// The same with another look.
    pub(crate) fn look(mut self, look: Look) -> Self {
        self.look = look;
        self
    }

    /// A task's state.
    pub(crate) fn state(state: TaskState) -> Self {
        let look = match state {
            TaskState::Succeeded => Look::Good,
            TaskState::Running => Look::Busy,
            TaskState::Dead => Look::Bad,
            TaskState::Expired | TaskState::Cancelled => Look::Odd,
            TaskState::Scheduled | TaskState::Queued | TaskState::Held => Look::Plain,
        };
        Self::new(state.as_str(), look)
    }

    /// At most `max` characters, the last one an ellipsis if something was left out.
    pub(crate) fn cut(mut self, max: usize) -> Self {
        if self.text.chars().count() > max {
            self.text = self.text.chars().take(max.saturating_sub(1)).collect();
            self.text.push('…');
        }
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// With its look, if there are colours.
    pub(crate) fn paint(&self, color: bool) -> String {
        match self.look.code() {
            "" => self.text.clone(),
            code if color => format!("{code}{}\x1b[0m", self.text),
            _ => self.text.clone(),
        }
    }
}

/// Rows of cells under a header.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { rows: vec![header.iter().map(|name| Cell::new(*name, Look::Strong)).collect()] }
    }

    /// Adds a row, with a cell for every column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.rows[0].len(), "a cell for every column");
        self.rows.push(cells);
    }

    /// The lines, columns two spaces apart, nothing at their ends.
    pub(crate) fn render(&self, color: bool) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        // A heading stands where its numbers stand.
        let right = |column: usize| self.rows.iter().skip(1).any(|row| row[column].right);
        let rights: Vec<bool> = (0..columns).map(right).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let space = " ".repeat(widths[column] - cell.width());
                let painted = cell.paint(color);
                let gap = if column == 0 { "" } else { "  " };
                line.push_str(gap);
                if rights[column] {
                    line.push_str(&space);
                    line.push_str(&painted);
                } else {
                    line.push_str(&painted);
                    line.push_str(&space);
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Labelled lines: what `show` commands print.
#[derive(Debug)]
pub(crate) struct Details {
    title: String,
    lines: Vec<(&'static str, String)>,
}

impl Details {
    /// Under this title.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), lines: Vec::new() }
    }

    /// Adds a line. A value of several lines is indented as one block.
    pub(crate) fn line(&mut self, label: &'static str, value: impl Into<String>) {
        self.lines.push((label, value.into()));
    }

    /// Adds a line if there is something to say.
    pub(crate) fn maybe(&mut self, label: &'static str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.line(label, value);
        }
    }

    /// The lines, labels aligned.
    pub(crate) fn render(&self) -> String {
        let width = self.lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        let indent = format!("\n{}", " ".repeat(width + 4));
        let mut text = format!("{}\n", self.title);
        for (label, value) in &self.lines {
            let value = value.trim_end().replace('\n', &indent);
            text.push_str(format!("  {label:<width$}  {value}").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_at_the_right() {
        let mut table = Table::new(&["QUEUE", "READY", "NOTE"]);
        table.row(vec![Cell::plain("default"), Cell::number(7), Cell::plain("")]);
        table.row(vec![Cell::plain("mail"), Cell::number(12_345), Cell::plain("paused")]);
        let expected = "QUEUE    READY  NOTE\ndefault      7\nmail     12345  paused\n";
        assert_eq!(table.render(false), expected);
    }

    #[test]
    fn colours_do_not_disturb_the_columns() {
        let mut table = Table::new(&["STATE", "NAME"]);
        table.row(vec![Cell::state(TaskState::Dead), Cell::plain("a")]);
        let painted = table.render(true);
        assert!(painted.contains("\x1b[31mdead\x1b[0m   a"), "{painted:?}");
    }

    #[test]
    fn what_a_task_returned_cannot_drive_the_terminal() {
        assert_eq!(Cell::plain("a\x1b[2Jb\nc").paint(false), "a [2Jb c");
    }

    #[test]
    fn a_long_text_ends_in_an_ellipsis() {
        assert_eq!(Cell::plain("abcdef").cut(4).paint(false), "abc…");
        assert_eq!(Cell::plain("abcd").cut(4).paint(false), "abcd");
    }

    #[test]
    fn labelled_blocks_are_indented() {
        let mut details = Details::new("hello");
        details.line("error", "one\ntwo");
        details.maybe("worker", None::<String>);
        details.line("args", "{}");
        assert_eq!(details.render(), "hello\n  error  one\n         two\n  args   {}\n");
    }
}
