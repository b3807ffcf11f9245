//! Columns and fields for people: upper-case headers, two spaces between columns, no borders.
//!
//! On a terminal long names are cut, then the least important columns are left out until the others fit, and
//! the last one is cut; an id is never cut or broken. In a pipe everything is there. Colour is never the only carrier of a
//! meaning. Not for: choosing what is shown.

use comfy_table::presets::NOTHING;
use comfy_table::{Color, ColumnConstraint, ContentArrangement, Row, Table, Width};

use crate::colour;
use crate::output::stdout_is_terminal;

/// Columns are left out until the last one has as much as this.
const LAST_COLUMN_WANTED: u16 = 24;

/// It is never cut to less: a terminal narrower than the others wraps the line itself.
const LAST_COLUMN_MIN: u16 = 12;

/// A name is cut to no less than this where the table does not fit.
const NAME_MIN: u16 = 20;

/// Columns of names, which people choose as long as they like.
const NAMES: &[&str] = &["NAME", "WORKFLOW", "PROFILE", "CAPABILITIES", "NODE", "AGENTS", "USER"];

/// Between two columns.
const GAP: u16 = 2;

/// Where the terminal does not say.
const WIDTH: u16 = 80;

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

/// What becomes of a last column that is wider than there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wide {
    /// It is cut: one thing is one line.
    Cut,
    /// It goes on in the next line: it is what the table is read for.
    GoesOn,
}

impl Cell {
    /// Its first line as a cell of a table.
    fn shown(&self, colour: bool) -> comfy_table::Cell {
        let text = self.text.lines().next().unwrap_or_default();
        let cell = comfy_table::Cell::new(text.replace('\t', " "));
        match self.colour() {
            Some((tint, _)) if colour => cell.fg(tint),
            Some(_) | None => cell,
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
    // Also what turns the direction of writing, so that a text reads as another (Unicode, UAX #9).
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let steers = |c: char| turns(c) || (c.is_control() && !matches!(c, '\n' | '\t'));
    if !text.contains(steers) {
        return text.to_owned();
    }
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The lines of a table.
pub(crate) fn lines(header: &[&str], rows: Vec<Vec<Cell>>) -> Vec<String> {
    lines_without(header, &[], rows)
}

/// The lines of a table that leaves out columns of `least`, the first first, where the terminal is too
/// narrow.
pub(crate) fn lines_without(header: &[&str], least: &[&str], rows: Vec<Vec<Cell>>) -> Vec<String> {
    let width = stdout_is_terminal().then(terminal_width);
    lay_out(header, least, rows, width, colour::wanted(stdout_is_terminal()))
}

/// The lines of a table in which nothing of the last column is cut.
pub(crate) fn lines_in_full(header: &[&str], rows: Vec<Vec<Cell>>) -> Vec<String> {
    let width = stdout_is_terminal().then(terminal_width);
    arrange(header, &[], rows, width, colour::wanted(stdout_is_terminal()), Wide::GoesOn)
}

/// What COLUMNS says, else what the terminal does.
pub(crate) fn terminal_width() -> u16 {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.filter(|width| *width > 0).or_else(|| Table::new().width()).unwrap_or(WIDTH)
}

/// Names and values below one another; what is empty is left out, further lines of a value are indented.
pub(crate) fn fields(fields: &[(&str, Cell)]) -> Vec<String> {
    let colour = colour::wanted(stdout_is_terminal());
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

/// As [`lines_without`], for a terminal of this width or a pipe.
pub(crate) fn lay_out(
    header: &[&str],
    least: &[&str],
    rows: Vec<Vec<Cell>>,
    terminal: Option<u16>,
    colour: bool,
) -> Vec<String> {
    arrange(header, least, rows, terminal, colour, Wide::Cut)
}

fn arrange(
    header: &[&str],
    least: &[&str],
    rows: Vec<Vec<Cell>>,
    terminal: Option<u16>,
    colour: bool,
    wide: Wide,
) -> Vec<String> {
    let mut table = Table::new();
    let mut names = Row::from(header.iter().copied());
    names.max_height(1);
    table.load_style(NOTHING).set_header(names).set_truncation_indicator("…");
    match terminal {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    if colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    for row in rows {
        let mut row = Row::from(row.into_iter().map(|cell| cell.shown(colour)));
        if wide == Wide::Cut {
            row.max_height(1);
        }
        table.add_row(row);
    }
    let full = table.column_max_content_widths();
    let (widths, hidden) = match terminal {
        Some(width) => {
            let widths = cut_names(header, full.clone(), width);
            let hidden = left_out(header, least, &widths, width);
            (widths, hidden)
        }
        None => (full.clone(), Vec::new()),
    };
    let last = header.len().saturating_sub(1);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if place == last { 0 } else { GAP }));
        column.set_constraint(if hidden.contains(&place) {
            ColumnConstraint::Hidden
        } else if place == last {
            ColumnConstraint::LowerBoundary(Width::Fixed(LAST_COLUMN_MIN))
        } else if widths[place] < full[place] {
            ColumnConstraint::Absolute(Width::Fixed(widths[place] + GAP))
        } else {
            ColumnConstraint::ContentWidth
        });
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// The widths with long names cut, the longest first, as far as the terminal needs it.
fn cut_names(header: &[&str], mut widths: Vec<u16>, terminal: u16) -> Vec<u16> {
    let last = header.len().saturating_sub(1);
    loop {
        let excess = needed(header.len(), &widths).saturating_sub(terminal);
        let named = (0..last).filter(|place| NAMES.contains(&header[*place]));
        let longest = named.max_by_key(|place| widths[*place]).filter(|place| widths[*place] > NAME_MIN);
        match longest {
            Some(place) if excess > 0 => {
                widths[place] = widths[place].saturating_sub(excess).max(NAME_MIN);
            }
            Some(_) | None => return widths,
        }
    }
}

/// What the columns take, with the last one cut.
fn needed(count: usize, widths: &[u16]) -> u16 {
    (0..count).map(|place| cost(place + 1 == count, widths[place])).fold(0, u16::saturating_add)
}

fn cost(is_last: bool, width: u16) -> u16 {
    if is_last { width.min(LAST_COLUMN_WANTED) } else { width.saturating_add(GAP) }
}

/// The places of the columns that go, so that the rest fits with its last one cut.
fn left_out(header: &[&str], least: &[&str], widths: &[u16], terminal: u16) -> Vec<usize> {
    let mut needed = needed(header.len(), widths);
    let mut hidden = Vec::new();
    let order = least.iter().filter_map(|name| header.iter().position(|each| each == name));
    for place in order {
        if needed <= terminal {
            break;
        }
        needed = needed.saturating_sub(cost(place + 1 == header.len(), widths[place]));
        hidden.push(place);
    }
    hidden
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
        let lines = lay_out(&["ID", "STATE", "TITLE"], &[], rows, None, false);
        assert_eq!(lines[0], "ID      STATE    TITLE");
        assert_eq!(lines[1], format!("tsk_1   running  {long}"));
        assert_eq!(lines[2], "tsk_22  queued   b");
    }

    #[test]
    fn a_table_on_a_terminal_cuts_its_last_column() {
        let row = || vec![vec!["tsk_1".into(), Cell::toned("running", Tone::Busy), "x".repeat(300).into()]];
        let header = ["ID", "STATE", "TITLE"];
        let wide = lay_out(&header, &[], row(), Some(40), false);
        assert_eq!(wide[0], "ID     STATE    TITLE");
        assert_eq!(wide[1], format!("tsk_1  running  {}…", "x".repeat(23)));
        let narrow = lay_out(&header, &[], row(), Some(10), false);
        assert_eq!((narrow.len(), narrow[0].as_str()), (2, "ID     STATE    TITLE"));
        let coloured = lay_out(&header, &[], row(), Some(40), true);
        assert!(coloured[1].contains("\u{1b}["));
    }

    #[test]
    fn colour_reaches_a_pipe_when_it_is_wanted() {
        let rows = || vec![vec!["tsk_1".into(), Cell::toned("failed", Tone::Bad)]];
        let coloured = lay_out(&["ID", "STATE"], &[], rows(), None, true);
        assert!(coloured[1].contains("\u{1b}[") && coloured[1].contains("failed"), "{coloured:?}");
        assert_eq!(lay_out(&["ID", "STATE"], &[], rows(), None, false)[1], "tsk_1  failed");
    }

    #[test]
    fn the_least_important_columns_go_first_and_ids_stay_whole() {
        let header = ["ID", "STATE", "USER", "AGE", "TITLE"];
        let row = || {
            vec![vec![
                "tsk_00abcdef".into(),
                "running".into(),
                "ada".into(),
                "3m".into(),
                "x".repeat(90).into(),
            ]]
        };
        let least = ["USER", "AGE"];
        let at = |width| lay_out(&header, &least, row(), Some(width), false);
        assert_eq!(at(58)[0], "ID            STATE    USER  AGE  TITLE");
        assert_eq!(at(52)[0], "ID            STATE    AGE  TITLE");
        assert_eq!(at(47)[0], "ID            STATE    TITLE");
        for width in [47, 52, 58] {
            assert!(at(width).iter().all(|line| line.chars().count() <= usize::from(width)), "{width}");
            assert!(at(width)[1].starts_with("tsk_00abcdef  running"), "{width}");
        }
    }

    #[test]
    fn what_a_table_is_read_for_goes_on_in_the_next_line() {
        let rows = vec![vec!["cgroup".into(), "weak".into(), "one two three four five six seven".into()]];
        let lines = arrange(&["CHECK", "STATE", "DETAIL"], &[], rows, Some(34), false, Wide::GoesOn);
        assert_eq!(lines[1..], ["cgroup  weak   one two three four", "               five six seven"]);
    }

    #[test]
    fn a_long_name_is_cut_before_columns_are_left_out() {
        let row =
            |name: &str| vec!["agt_00abcdef".into(), name.into(), "shell".into(), "idle".into(), "".into()];
        let rows = vec![row(&"n".repeat(60)), row("b")];
        let lines =
            lay_out(&["ID", "NAME", "PROFILE", "STATE", "REASON"], &["PROFILE"], rows, Some(80), false);
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>(),
            ["ID", "NAME", "PROFILE", "STATE", "REASON"]
        );
        assert!(lines[1].contains("n…  shell"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
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
