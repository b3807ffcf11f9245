//! Reading a task file line by line, in a thread of its own.
//!
//! For: bounded memory whatever the file holds, and lines that go out as soon as they are there (`-` may
//! be a pipe from a slow program). Not for: what a line means (`line`).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use fusion_proto::v1::SubmitTaskRequest;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::line;
use crate::client::request_id;
use crate::error::{Complaint, Stop};

/// The longest line: a prompt of 32 MiB, each byte of it escaped, and room for the rest.
const LINE_BYTES_MAX: usize = 72 << 20;

/// How many lines travel together from the thread: one wake-up for many lines.
const BATCH_LINES: usize = 256;

/// How many batches may wait: with [`BATCH_LINES`] and long lines, the reader stops here.
const BATCHES_MAX: usize = 4;

/// How many bytes of lines travel together.
const BATCH_BYTES: usize = 1 << 20;

/// What came out of the file, in its order.
#[derive(Debug)]
pub(super) enum Item {
    /// A task, with its line's length and end in the file.
    Task { request: Box<SubmitTaskRequest>, bytes: usize, end: u64 },
    /// A line that is no task.
    Refused { line: u32, why: String, end: u64 },
    /// The file broke off here.
    Unreadable(io::Error),
}

/// An opened task file.
pub(super) struct TaskFile {
    input: Box<dyn Read + Send>,
    bytes: Option<u64>,
}

impl TaskFile {
    /// Opens it; `-` is stdin.
    pub(super) fn open(path: &Path) -> Result<Self, Stop> {
        if path.as_os_str() == "-" {
            return Ok(Self { input: Box::new(io::stdin()), bytes: None });
        }
        let name = path.display().to_string();
        let unreadable = |error: io::Error| Complaint::unreadable(&name, &error);
        let file = File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if about.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()).into());
        }
        let bytes = about.is_file().then_some(about.len());
        Ok(Self { input: Box::new(file), bytes })
    }

    /// How many bytes it has; a pipe does not say.
    pub(super) const fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Reads it in a thread, for tasks of `user`.
    pub(super) fn read(self, user: String) -> mpsc::Receiver<Vec<Item>> {
        let (batches, received) = mpsc::channel(BATCHES_MAX);
        let mut reader = Reader::new(self.input, user);
        std::thread::Builder::new()
            .name("task-file".to_owned())
            .spawn(move || {
                while let Some(batch) = reader.batch() {
                    if batches.blocking_send(batch).is_err() {
                        break;
                    }
                }
            })
            .expect("a fresh process may start a thread");
        received
    }
}

struct Reader {
    input: BufReader<Box<dyn Read + Send>>,
    user: String,
    text: Vec<u8>,
    line: u32,
    end: u64,
    now: Timestamp,
    ended: bool,
}

/// How a line ended.
enum LineEnd {
    /// Whole.
    Whole,
    /// Longer than [`LINE_BYTES_MAX`]; the rest is skipped.
    TooLong,
    /// There is none.
    File,
}

impl Reader {
    fn new(input: Box<dyn Read + Send>, user: String) -> Self {
        let input = BufReader::with_capacity(256 * 1024, input);
        Self { input, user, text: Vec::new(), line: 0, end: 0, now: Timestamp::now(), ended: false }
    }

    /// The lines that are there, at most a batch; waits for the first one. `None` at the end.
    fn batch(&mut self) -> Option<Vec<Item>> {
        let mut items = Vec::new();
        let start = self.end;
        while !self.ended && items.len() < BATCH_LINES && self.end - start < BATCH_BYTES as u64 {
            match self.item() {
                Ok(item) => items.extend(item),
                Err(error) => {
                    items.push(Item::Unreadable(error));
                    self.ended = true;
                }
            }
            if self.input.buffer().is_empty() && !items.is_empty() {
                break;
            }
        }
        if items.is_empty() && self.ended { None } else { Some(items) }
    }

    /// The next line; `None` when it is empty or the file has ended.
    fn item(&mut self) -> io::Result<Option<Item>> {
        let how = self.read_line()?;
        let (line, end) = (self.line, self.end);
        let refused = |why: &str| Ok(Some(Item::Refused { line, why: why.to_owned(), end }));
        match how {
            LineEnd::Whole => {}
            LineEnd::TooLong => return refused("it is longer than 72 MiB"),
            LineEnd::File => {
                self.ended = true;
                return Ok(None);
            }
        }
        let Ok(text) = std::str::from_utf8(&self.text) else { return refused("it is not UTF-8 text") };
        let text = if line == 1 { text.trim_start_matches('\u{feff}') } else { text }.trim();
        if text.is_empty() {
            return Ok(None);
        }
        match line::parse(text, self.now) {
            Ok(mut request) => {
                request.line = line;
                request.request_id = request_id();
                request.user.clone_from(&self.user);
                Ok(Some(Item::Task { request: Box::new(request), bytes: text.len(), end }))
            }
            Err(why) => refused(&why),
        }
    }

    fn read_line(&mut self) -> io::Result<LineEnd> {
        self.text.clear();
        let most = LINE_BYTES_MAX as u64 + 1;
        let read = self.input.by_ref().take(most).read_until(b'\n', &mut self.text)?;
        self.end += read as u64;
        if read == 0 {
            return Ok(LineEnd::File);
        }
        self.line = self.line.saturating_add(1);
        if read <= LINE_BYTES_MAX || self.text.ends_with(b"\n") {
            return Ok(LineEnd::Whole);
        }
        // The buffer of one monstrous line is not kept for all the others.
        self.text = Vec::new();
        self.skip_line()?;
        Ok(LineEnd::TooLong)
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let newline = buffer.iter().position(|byte| *byte == b'\n');
            let passed = newline.map_or(buffer.len(), |place| place + 1);
            self.input.consume(passed);
            self.end += passed as u64;
            if newline.is_some() || passed == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Item> {
        let mut reader = Reader::new(Box::new(io::Cursor::new(bytes.to_vec())), "ada".to_owned());
        std::iter::from_fn(|| reader.batch()).flatten().collect()
    }

    fn words(items: &[Item]) -> Vec<String> {
        let word = |item: &Item| match item {
            Item::Task { request, end, .. } => format!("{} {} {end}", request.line, request.prompt),
            Item::Refused { line, why, .. } => format!("{line} refused: {why}"),
            Item::Unreadable(error) => format!("unreadable: {error}"),
        };
        items.iter().map(word).collect()
    }

    #[test]
    fn lines_are_numbered_and_empty_ones_skipped() {
        let items =
            read(b"\xef\xbb\xbf{\"prompt\":\"a\"}\r\n\n  \n{\"prompt\":\"b\"}\nnot json\n{\"prompt\":\"c\"}");
        let words = words(&items);
        assert_eq!(words[..2], ["1 a 19", "4 b 38"]);
        assert!(words[2].starts_with("5 refused: not valid JSON"));
        assert_eq!(words[3], "6 c 61");
    }

    #[test]
    fn each_task_has_its_own_request_id_and_the_user() {
        let items = read(b"{\"prompt\":\"a\"}\n{\"prompt\":\"a\"}\n");
        let [Item::Task { request: first, .. }, Item::Task { request: second, .. }] = items.as_slice() else {
            panic!("two tasks expected")
        };
        assert_ne!(first.request_id, second.request_id);
        assert_eq!(first.user, "ada");
    }

    #[test]
    fn a_monstrous_line_is_refused_and_the_next_one_read() {
        let mut bytes = vec![b'x'; LINE_BYTES_MAX + LINE_BYTES_MAX / 2];
        bytes.extend_from_slice(b"\n\xff\n{\"prompt\":\"a\"}\n");
        let words = words(&read(&bytes));
        assert_eq!(words[..2], ["1 refused: it is longer than 72 MiB", "2 refused: it is not UTF-8 text"]);
        assert!(words[2].starts_with("3 a "));
    }

    #[test]
    fn many_lines_come_in_order() {
        let text: String = (0..1000).map(|n| format!("{{\"prompt\":\"{n}\"}}\n")).collect();
        let items = read(text.as_bytes());
        let prompts = items.iter().map(|item| match item {
            Item::Task { request, .. } => request.prompt.clone(),
            Item::Refused { .. } | Item::Unreadable(_) => panic!("a line was refused"),
        });
        assert!(prompts.eq((0..1000).map(|n| n.to_string())));
    }

    #[test]
    fn a_file_that_is_not_there_is_wrong_usage() {
        let Err(Stop::Complaint(complaint)) = TaskFile::open(Path::new("/does/not/exist")) else {
            panic!("opened")
        };
        assert_eq!(complaint.exit, crate::error::Exit::Usage);
        assert!(TaskFile::open(Path::new("/")).is_err());
    }
}
