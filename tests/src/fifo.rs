//! A named pipe between a story and a fake agent: a bell that the agent rings, or a gate that the story opens.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, chmod, mknodat, open};

use crate::{Deadline, wait_readable};

/// A named pipe that everybody may use. It is held open at both ends, so that neither side blocks on the other's
/// absence and nothing written is lost.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    file: std::fs::File,
    seen: Vec<u8>,
}

impl Fifo {
    /// Makes the pipe at `path`.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0)
            .expect("a fifo can be made in the test's folder");
        chmod(path, Mode::from_raw_mode(0o666)).expect("our own fifo can be opened to all");
        let fd = open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .expect("our own fifo opens");
        Self { path: path.to_path_buf(), file: fd.into(), seen: Vec::new() }
    }

    /// Where it is, for the steps `ring` and `await` of the fake agent.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.to_str().expect("the test's folder has a plain name")
    }

    /// The next line that an agent wrote.
    ///
    /// # Panics
    ///
    /// When none comes in time.
    #[track_caller]
    pub fn next_line(&mut self) -> String {
        self.line_before(Deadline::default())
            .unwrap_or_else(|| panic!("nobody rang {} in time", self.path.display()))
    }

    /// The pid that the step `ring` wrote without a text.
    ///
    /// # Panics
    ///
    /// When none comes in time, or something else.
    #[track_caller]
    pub fn next_pid(&mut self) -> i32 {
        self.next_line().parse().expect("`ring` without a text writes a pid")
    }

    /// The next line that an agent wrote, none when time is up.
    pub fn line_before(&mut self, deadline: Deadline) -> Option<String> {
        loop {
            if let Some(end) = self.seen.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.seen.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            wait_readable(&[self.file.as_fd()], deadline)?;
            let mut buffer = [0; 4096];
            if let Ok(count) = self.file.read(&mut buffer) {
                self.seen.extend_from_slice(&buffer[..count]);
            }
        }
    }

    /// Lets `count` agents that stand at the gate pass, now or later. A token is an empty line, so that `head -c 1`
    /// takes one and the `read` of a shell does too.
    ///
    /// # Panics
    ///
    /// When the pipe is full, which takes 64 Ki waiting tokens.
    pub fn open_gate(&mut self, count: usize) {
        self.file.write_all(&vec![b'\n'; count]).expect("a gate holds 65536 tokens");
    }
}
