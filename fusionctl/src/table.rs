//! Columns and fields for people: upper-case headers, two spaces between columns, no borders.
//!
//! On a terminal the last column is cut to fit; in a pipe nothing is cut. Colour is never the only
//! carrier of a meaning. Not for: choosing what is shown.

use comfy_table::presets::NOTHING;
use comfy_table::{Color, ColumnConstraint, ContentArrangement, Row, Table, Width};

use crate::output::{colour_wanted, stdout_is_terminal};

/// The last column is never cut to less: a terminal narrower than the others wraps the line itself.
const LAST_COLUMN_MIN: u16 = 12;

/// How a thing stands; decides the colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// No colour.
    Plain,
    /// Well.
    Good,
    /// Under way.
    Busy,
    /// Needs somebody's eye.
    Wary,
    /// Wrong.
    Bad,
}

/// One text with a tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// What is printed; control characters do not reach the terminal.
    text: String,
    tone: Tone,
}

impl Cell {
    /// A text with a tone.
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: printable(&text.into()), tone }
    }

    const fn colour(&self) -> Option<(Color, u8)> {
        match self.tone {
            Tone::Plain => None,
            Tone::Good => Some((Color::Green, 32)),
            Tone::Busy => Some((Color::Cyan, 36)),
            Tone::Wary => Some((Color::Yellow, 33)),
            Tone::Bad => Some((Color::Red, 31)),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Text from others, safe for a terminal: control characters but newline and tab become `\u{…}`.
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The lines of a table.
pub(crate) fn lines(header: &[&str], rows: Vec<Vec<Cell>>) -> Vec<String> {
    let width = stdout_is_terminal().then(|| Table::new().width().unwrap_or(80));
    lay_out(header, rows, width, colour_wanted())
}

/// Names and values below one another; what is empty is left out, further lines of a value are indented.
pub(crate) fn fields(fields: &[(&str, Cell)]) -> Vec<String> {
    let colour = stdout_is_terminal() && colour_wanted();
    let shown = fields.iter().filter(|(_, cell)| !cell.text.is_empty());
    let width = shown.clone().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let mut lines = Vec::new();
    for (name, cell) in shown {
        let name = format!("{name}:");
        for (place, text) in cell.text.lines().enumerate() {
            let name = if place == 0 { name.as_str() } else { "" };
            let text = match cell.colour() {
                Some((_, code)) if colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
                Some(_) | None => text.to_owned(),
            };
            lines.push(format!("{name:width$}{text}"));
        }
    }
    lines
}

fn lay_out(header: &[&str], rows: Vec<Vec<Cell>>, terminal: Option<u16>, colour: bool) -> Vec<String> {
    let mut table = Table::new();
    let mut names = Row::from(header.iter().copied());
    names.max_height(1);
    table.load_style(NOTHING).set_header(names).set_truncation_indicator("…");
    match terminal {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width).enforce_styling()
        }
        None => table.set_content_arrangement(ContentArrangement::Disabled).force_no_tty(),
    };
    for row in rows {
        let cells = row.into_iter().map(|cell| {
            let text = cell.text.lines().next().unwrap_or_default();
            let shown = comfy_table::Cell::new(text.replace('\t', " "));
            match cell.colour() {
                Some((tint, _)) if terminal.is_some() && colour => shown.fg(tint),
                Some(_) | None => shown,
            }
        });
        let mut row = Row::from(cells);
        row.max_height(1);
        table.add_row(row);
    }
    let last = header.len().saturating_sub(1);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if place == last { 0 } else { 2 }));
        column.set_constraint(if place == last {
            ColumnConstraint::LowerBoundary(Width::Fixed(LAST_COLUMN_MIN))
        } else {
            ColumnConstraint::ContentWidth
        });
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_in_a_pipe_has_no_borders_and_cuts_nothing() {
        let long = "x".repeat(300);
        let rows = vec![
            vec!["tsk_1".into(), Cell::toned("running", Tone::Busy), long.as_str().into()],
            vec!["tsk_22".into(), "queued".into(), "b\nsecond line".into()],
        ];
        let lines = lay_out(&["ID", "STATE", "TITLE"], rows, None, true);
        assert_eq!(lines[0], "ID      STATE    TITLE");
        assert_eq!(lines[1], format!("tsk_1   running  {long}"));
        assert_eq!(lines[2], "tsk_22  queued   b");
    }

    #[test]
    fn a_table_on_a_terminal_cuts_its_last_column() {
        let row = || vec![vec!["tsk_1".into(), Cell::toned("running", Tone::Busy), "x".repeat(300).into()]];
        let header = ["ID", "STATE", "TITLE"];
        let wide = lay_out(&header, row(), Some(40), false);
        assert_eq!(wide[0], "ID     STATE    TITLE");
        assert_eq!(wide[1], format!("tsk_1  running  {}…", "x".repeat(23)));
        let narrow = lay_out(&header, row(), Some(10), false);
        assert_eq!((narrow.len(), narrow[0].as_str()), (2, "ID     STATE    TITLE"));
        let coloured = lay_out(&header, row(), Some(40), true);
        assert!(coloured[1].contains("\u{1b}["));
    }

    #[test]
    fn fields_are_aligned_and_empty_ones_left_out() {
        let lines = fields(&[("ID", "agt_1".into()), ("Reason", "".into()), ("State", "a\nb".into())]);
        assert_eq!(lines, ["ID:    agt_1", "State: a", "       b"]);
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\n");
        assert_eq!(printable("grün"), "grün");
    }
}
