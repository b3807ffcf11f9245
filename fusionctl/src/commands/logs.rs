//! Output of attempts, for `task logs` and `agent logs`: what of it is wanted, how it is printed, and going on after the
//! daemon was away.
//!
//! Not for: whose output (the verbs), what a secret is (the daemon masks).

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use fusion_proto::v1::{LogChunk, LogFilter, LogPlace, LogStream};
use jiff::Timestamp;
use serde::Serialize;
use tonic::{Response, Status, Streaming};

use crate::client::{Link, Patience};
use crate::error::{Stop, is_lost, output_failed};
use crate::output::{Format, Output, json_line, yaml};
use crate::table::printable;
use crate::units::parse_duration;
use crate::view::word::{instant, short_id, wire_time};

/// What both verbs take.
#[derive(Debug, clap::Args)]
pub(crate) struct Wanted {
    /// Go on with what comes
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only what was written since then: a duration back from now, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = |text: &str| parse_since(text, Timestamp::now()))]
    since: Option<Timestamp>,
    /// Only the last N lines
    #[arg(long, short = 'n', value_name = "N")]
    tail: Option<u64>,
    /// Only lines that match this regular expression
    #[arg(long, short, value_name = "REGEX")]
    grep: Option<String>,
    /// Byte for byte, standard output to stdout and standard error to stderr; only secrets are masked
    #[arg(long, conflicts_with = "timestamps")]
    raw: bool,
    /// Put before each line when it was written
    #[arg(long, short = 'T')]
    timestamps: bool,
}

/// `10m` is ten minutes ago.
fn parse_since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(back) = parse_duration(text) {
        let back = Duration::from_millis(u64::try_from(back.as_millis()).unwrap_or(u64::MAX));
        return now.checked_sub(back).map_err(|error| error.to_string());
    }
    text.parse()
        .map_err(|_| "expected a duration such as 10m, or RFC 3339 such as 2030-01-31T08:00:00Z".to_owned())
}

/// Whose output a line is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// It is known.
    None,
    /// Its task.
    Task,
    /// The number of its attempt.
    Attempt,
}

impl Wanted {
    /// What the daemon is asked for.
    pub(crate) fn filter(&self, printer: &Printer) -> LogFilter {
        LogFilter {
            since: self.since.map(wire_time),
            tail: self.tail,
            grep: self.grep.clone().unwrap_or_default(),
            lines: printer.by_line,
        }
    }

    /// How it is printed.
    pub(crate) fn printer(&self, format: Format, prefix: Prefix) -> Printer {
        let steers = io::stdout().is_terminal() || io::stderr().is_terminal();
        Printer::new(self, format, prefix, steers)
    }
}

/// Prints until the stream ends. A follow outlives a restart of the daemon, and goes on where it was.
pub(crate) async fn run(
    args: &Wanted,
    link: &Link,
    printer: &mut Printer,
    out: &mut Output,
    open: impl AsyncFn(LogFilter, Option<LogPlace>) -> Result<Response<Streaming<LogChunk>>, Status>,
) -> Result<(), Stop> {
    let filter = args.filter(printer);
    let (mut from, mut patience) = (None, Patience::new());
    loop {
        let end = match open(filter.clone(), from.clone()).await {
            Ok(stream) => stream_all(stream.into_inner(), &mut from, &mut patience, printer, out).await?,
            Err(status) => Some(status),
        };
        match end {
            None => return printer.finish(out),
            Some(status) if args.follow && is_lost(&status) => patience.outlive(link, status).await?,
            Some(status) => {
                printer.break_off(out)?;
                return Err(status.into());
            }
        }
    }
}

async fn stream_all(
    mut stream: Streaming<LogChunk>,
    from: &mut Option<LogPlace>,
    patience: &mut Patience,
    printer: &mut Printer,
    out: &mut Output,
) -> Result<Option<Status>, Stop> {
    loop {
        match stream.message().await {
            Ok(Some(mut chunk)) => {
                patience.renew();
                *from = chunk.next.take().or(from.take());
                printer.print(&chunk, out)?;
            }
            Ok(None) => return Ok(None),
            Err(status) => return Ok(Some(status)),
        }
    }
}

/// How chunks become what is printed.
#[derive(Debug)]
pub(crate) struct Printer {
    style: Style,
    /// Whether each chunk must be one line.
    by_line: bool,
    /// Streams of which a part of a line was printed.
    in_line: BTreeSet<(String, u32, i32)>,
    /// How many objects were printed.
    objects: u64,
}

#[derive(Debug)]
enum Style {
    /// The bytes, to the stream that they came from.
    Bytes,
    /// Lines for people.
    Lines { prefix: Prefix, timestamps: bool, steers: bool },
    /// Objects.
    Objects(Together),
}

/// How objects stand together. What is followed has no end, and so is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Together {
    /// One a line.
    Lines,
    /// A JSON array.
    Array,
    /// A YAML list.
    List,
    /// YAML documents.
    Documents,
}

impl Together {
    const fn of(format: Format, follow: bool) -> Option<Self> {
        match (format, follow) {
            (Format::Table, _) => None,
            (Format::Jsonl, _) | (Format::Json, true) => Some(Self::Lines),
            (Format::Json, false) => Some(Self::Array),
            (Format::Yaml, false) => Some(Self::List),
            (Format::Yaml, true) => Some(Self::Documents),
        }
    }

    /// An object that comes after so many others.
    fn text<T: Serialize>(self, object: &T, before: u64) -> String {
        match self {
            Self::Lines => format!("{}\n", json_line(object)),
            Self::Array if before == 0 => format!("[\n  {}", json_line(object)),
            Self::Array => format!(",\n  {}", json_line(object)),
            Self::List => yaml(&[object]),
            Self::Documents => format!("---\n{}", yaml(object)),
        }
    }

    /// What stands at the end of so many.
    const fn end(self, count: u64) -> &'static str {
        match (self, count) {
            (Self::Array | Self::List, 0) => "[]\n",
            (Self::Array, _) => "\n]\n",
            (Self::Lines | Self::List | Self::Documents, _) => "",
        }
    }
}

/// A line as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    time: Option<String>,
    stream: &'static str,
    task: &'a str,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    /// The line goes on in the next object of its stream.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    part: bool,
    /// So many bytes are missing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_bytes: Option<u64>,
}

impl Printer {
    fn new(args: &Wanted, format: Format, prefix: Prefix, steers: bool) -> Self {
        let style = match Together::of(format, args.follow) {
            Some(together) => Style::Objects(together),
            None if args.raw => Style::Bytes,
            None if prefix == Prefix::None && !args.timestamps && !steers => Style::Bytes,
            None => Style::Lines { prefix, timestamps: args.timestamps, steers },
        };
        let by_line = !matches!(style, Style::Bytes);
        Self { style, by_line, in_line: BTreeSet::new(), objects: 0 }
    }

    fn print(&mut self, chunk: &LogChunk, out: &mut Output) -> Result<(), Stop> {
        match &self.style {
            Style::Objects(together) => {
                let text = together.text(&object(chunk), self.objects);
                self.objects += 1;
                out.raw(text.as_bytes())
            }
            Style::Bytes => print_bytes(chunk, out),
            Style::Lines { prefix, timestamps, steers } => {
                note_gap(chunk)?;
                if chunk.data.is_empty() {
                    return Ok(());
                }
                let key = (chunk.task.clone(), chunk.attempt, chunk.stream);
                let goes_on = self.in_line.remove(&key);
                let head = if goes_on { String::new() } else { head(chunk, *prefix, *timestamps) };
                if chunk.part {
                    self.in_line.insert(key);
                }
                put(chunk, &line_of(chunk, head, *steers), out)
            }
        }
    }

    /// What has begun is a whole document also where the output broke.
    fn break_off(&self, out: &mut Output) -> Result<(), Stop> {
        if self.objects > 0 { self.finish(out) } else { Ok(()) }
    }

    fn finish(&self, out: &mut Output) -> Result<(), Stop> {
        if let Style::Objects(together) = self.style {
            out.raw(together.end(self.objects).as_bytes())?;
        }
        out.flush()
    }
}

/// Writes the bytes to the stream that they came from.
pub(crate) fn print_bytes(chunk: &LogChunk, out: &mut Output) -> Result<(), Stop> {
    note_gap(chunk)?;
    put(chunk, &chunk.data, out)
}

fn object(chunk: &LogChunk) -> Line<'_> {
    let text = || {
        let line = chunk.data.strip_suffix(b"\n").unwrap_or(&chunk.data);
        String::from_utf8_lossy(line).into_owned()
    };
    let stream = match chunk.stream() {
        LogStream::Stderr => "stderr",
        LogStream::Stdout | LogStream::Unspecified => "stdout",
    };
    Line {
        time: instant(chunk.time).map(millis),
        stream,
        task: &chunk.task,
        attempt: chunk.attempt,
        line: (!chunk.data.is_empty()).then(text),
        part: chunk.part,
        dropped_bytes: (chunk.dropped_bytes > 0).then_some(chunk.dropped_bytes),
    }
}

/// Three digits behind the second, so that columns stand.
fn millis(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn head(chunk: &LogChunk, prefix: Prefix, timestamps: bool) -> String {
    let mut head = match prefix {
        Prefix::None => String::new(),
        Prefix::Task => format!("{} | ", short_id(&chunk.task)),
        Prefix::Attempt => format!("{} | ", chunk.attempt),
    };
    if let (true, Some(at)) = (timestamps, instant(chunk.time)) {
        head.push_str(&millis(at));
        head.push(' ');
    }
    head
}

/// A line with its head and, unless more of it follows, its end.
fn line_of(chunk: &LogChunk, head: String, steers: bool) -> Vec<u8> {
    let text = chunk.data.strip_suffix(b"\n").unwrap_or(&chunk.data);
    let mut line = head.into_bytes();
    if steers {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        line.extend_from_slice(printable(&String::from_utf8_lossy(text)).as_bytes());
    } else {
        line.extend_from_slice(text);
    }
    if !chunk.part {
        line.push(b'\n');
    }
    line
}

fn put(chunk: &LogChunk, bytes: &[u8], out: &mut Output) -> Result<(), Stop> {
    match chunk.stream() {
        LogStream::Stderr => {
            io::stderr().lock().write_all(bytes).map_err(|error| output_failed(io::stderr(), &error))
        }
        LogStream::Stdout | LogStream::Unspecified => out.raw(bytes),
    }
}

/// What the quota dropped is named on stderr.
fn note_gap(chunk: &LogChunk) -> Result<(), Stop> {
    if chunk.dropped_bytes == 0 {
        return Ok(());
    }
    let count = chunk.dropped_bytes;
    let note = format!("note: {count} bytes of output are missing here: the log quota dropped them\n");
    io::stderr().lock().write_all(note.as_bytes()).map_err(|error| output_failed(io::stderr(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &str) -> LogChunk {
        LogChunk {
            stream: LogStream::Stdout.into(),
            data: text.as_bytes().to_vec(),
            task: "tsk_01m81dnyacqyhghn5chfgpjp8h".to_owned(),
            attempt: 2,
            time: Some(prost_types::Timestamp { seconds: 1_896_076_800, nanos: 5_000_000 }),
            ..LogChunk::default()
        }
    }

    #[test]
    fn objects_are_one_document_unless_they_have_no_end() {
        let text = |format, follow| {
            let together = Together::of(format, follow).expect("it has objects");
            let objects: String = (0..2_u64).map(|count| together.text(&count, count)).collect();
            (objects + together.end(2), together.end(0))
        };
        assert_eq!(text(Format::Json, false), ("[\n  0,\n  1\n]\n".to_owned(), "[]\n"));
        assert_eq!(text(Format::Yaml, false), ("- 0\n- 1\n".to_owned(), "[]\n"));
        assert_eq!(text(Format::Json, true), ("0\n1\n".to_owned(), ""));
        assert_eq!(text(Format::Yaml, true), ("---\n0\n---\n1\n".to_owned(), ""));
    }

    #[test]
    fn a_line_has_its_task_and_time_in_front() {
        let head = |prefix, timestamps| head(&chunk("x"), prefix, timestamps);
        assert_eq!(head(Prefix::None, false), "");
        assert_eq!(head(Prefix::Task, false), format!("{} | ", short_id("tsk_01m81dnyacqyhghn5chfgpjp8h")));
        assert_eq!(head(Prefix::Attempt, true), "2 | 2030-01-31T08:00:00.005Z ");
    }

    #[test]
    fn a_line_ends_once_and_steers_no_terminal() {
        let line = |text, steers| String::from_utf8(line_of(&chunk(text), String::new(), steers)).unwrap();
        assert_eq!(line("a\n", false), "a\n");
        assert_eq!(line("a", false), "a\n");
        assert_eq!(line("a\u{1b}[2J\r\n", true), "a\\u{1b}[2J\n");
        assert_eq!(line("a\u{1b}[2J\n", false), "a\u{1b}[2J\n");
    }

    #[test]
    fn since_is_a_duration_back_or_an_instant() {
        let now: Timestamp = "2030-01-31T08:00:00Z".parse().unwrap();
        assert_eq!(parse_since("90s", now).unwrap().to_string(), "2030-01-31T07:58:30Z");
        assert_eq!(parse_since("2030-01-01T00:00:00Z", now).unwrap().to_string(), "2030-01-01T00:00:00Z");
        assert!(parse_since("yesterday", now).unwrap_err().contains("RFC 3339"));
    }
}
