//! Everything that goes to stdout: one object, a list, plain lines, raw bytes.
//!
//! For: the four formats and `-q`, written through one buffer. Not for: what an object looks like
//! (`view/`) or how columns are laid out (`table`).

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::error::{Stop, output_failed};
use crate::table::{self, Cell};

/// How things are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    // Columns for people.
    #[default]
    Table,
    // One JSON document.
    Json,
    // One JSON object a line.
    Jsonl,
    // One YAML document.
    Yaml,
}

/// Something that has an id and a row in a list.
pub(crate) trait Listed: Serialize {
    /// Names of the columns.
    const HEADER: &'static [&'static str];
    /// Columns that are left out first where a terminal is too narrow for all.
    const LEAST: &'static [&'static str] = &[];
    /// What there is none of where nothing is listed.
    const NONE: &'static str;
    /// The full id, for `-q`.
    fn id(&self) -> &str;
    /// The cells below [`Self::HEADER`].
    fn row(&self) -> Vec<Cell>;
}

/// Something that can be shown by itself.
pub(crate) trait Shown: Serialize {
    /// Names and values, one a line; what is empty is left out.
    fn fields(&self) -> Vec<(&'static str, Cell)>;
    /// The full id, for `-q`.
    fn id(&self) -> &str;
}

/// Stdout in the chosen format.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
    stdout: BufWriter<Stdout>,
}

impl Output {
    /// Stdout in `format`; with `quiet`, ids alone.
    pub(crate) fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet, stdout: BufWriter::with_capacity(64 * 1024, io::stdout()) }
    }

    /// The chosen format.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Whether ids alone are wanted.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// One line of text, kept until [`Self::flush`].
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Stop> {
        writeln!(self.stdout, "{text}").map_err(|error| output_failed(io::stdout(), &error))
    }

    /// Bytes as they are, seen at once.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.stdout.write_all(bytes).map_err(|error| output_failed(io::stdout(), &error))?;
        self.flush()
    }

    /// Bytes of others: as they are for a file or a program, and where people look with what steers a terminal made
    /// visible.
    pub(crate) fn foreign(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if stdout_is_terminal() {
            return self.raw(table::printable(&String::from_utf8_lossy(bytes)).as_bytes());
        }
        self.raw(bytes)
    }

    /// A word to who reads along, on stderr; with `-q` nobody does.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            // With stderr gone there is nobody left to tell.
            drop(writeln!(io::stderr(), "note: {}", table::printable(text)));
        }
    }

    /// How many bytes wait for [`Self::flush`].
    pub(crate) fn waiting(&self) -> usize {
        self.stdout.buffer().len()
    }

    /// Lets everything out.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        self.stdout.flush().map_err(|error| output_failed(io::stdout(), &error))
    }

    /// One object as a document of the chosen format; for people, as `people` writes it.
    pub(crate) fn document<T: Serialize>(
        &mut self,
        object: &T,
        people: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match self.format {
            Format::Table => people(self)?,
            Format::Json => self.line(&json_pretty(object))?,
            Format::Jsonl => self.line(&json_line(object))?,
            Format::Yaml => self.raw(yaml(object).as_bytes())?,
        }
        self.flush()
    }

    /// One object: its fields, its document, or its id.
    pub(crate) fn show<T: Shown>(&mut self, object: &T) -> Result<(), Stop> {
        if self.quiet {
            self.line(object.id())?;
            return self.flush();
        }
        self.document(object, |out| {
            for line in table::fields(&object.fields()) {
                out.line(&line)?;
            }
            Ok(())
        })
    }

    /// The id of a thing just made; with a format for programs, the thing.
    pub(crate) fn made<T: Shown>(&mut self, object: &T) -> Result<(), Stop> {
        self.changed(object, object.id())
    }

    /// A thing just changed: for people the line, with `-q` its id, for programs the thing.
    pub(crate) fn changed<T: Shown>(&mut self, object: &T, line: &str) -> Result<(), Stop> {
        if self.quiet {
            self.line(object.id())?;
            return self.flush();
        }
        self.document(object, |out| out.line(line))
    }

    /// Whether several things are one document, which is whole at the end alone.
    pub(crate) const fn is_one_document(&self) -> bool {
        !self.quiet && matches!(self.format, Format::Json | Format::Yaml)
    }
}

/// A list under way: ids and JSON lines leave at once, the other formats need all of it.
#[derive(Debug)]
pub(crate) struct Listing<'a, T> {
    out: &'a mut Output,
    kept: Vec<T>,
}

impl<'a, T: Listed> Listing<'a, T> {
    /// An empty list.
    pub(crate) const fn new(out: &'a mut Output) -> Self {
        Self { out, kept: Vec::new() }
    }

    /// Adds one.
    pub(crate) fn push(&mut self, item: T) -> Result<(), Stop> {
        if self.out.quiet {
            return self.out.line(item.id());
        }
        match self.out.format {
            Format::Jsonl => self.out.line(&json_line(&item)),
            Format::Table | Format::Json | Format::Yaml => {
                self.kept.push(item);
                Ok(())
            }
        }
    }

    /// Prints what was kept.
    pub(crate) fn finish(self) -> Result<(), Stop> {
        let Self { out, kept } = self;
        if out.quiet || out.format == Format::Jsonl {
            return out.flush();
        }
        out.document(&kept, |out| {
            if kept.is_empty() {
                if stdout_is_terminal() {
                    out.note(&format!("no {}", T::NONE));
                }
                return Ok(());
            }
            let rows = kept.iter().map(Listed::row).collect();
            for line in table::lines_without(T::HEADER, T::LEAST, rows) {
                out.line(&line)?;
            }
            Ok(())
        })
    }
}

/// One JSON object on one line.
pub(crate) fn json_line<T: Serialize>(object: &T) -> String {
    serde_json::to_string(object).expect("views hold strings, numbers and lists only")
}

/// A list as a YAML, or an object; ends with a newline.
pub(crate) fn yaml<T: Serialize>(object: &T) -> String {
    serde_yaml_ng::to_string(object).expect("views hold strings, numbers and lists only")
}

fn json_pretty<T: Serialize>(object: &T) -> String {
    serde_json::to_string_pretty(object).expect("views hold strings, numbers and lists only")
}

/// Whether stdout is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}
