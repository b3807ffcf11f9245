//! A progress bar on a terminal's stderr; nowhere else.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// How far a file has got.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `bytes`, or a spinner when nobody knows how many come.
    pub(super) fn start(bytes: Option<u64>) -> Self {
        if !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let (bar, template) = match bytes {
            Some(bytes) => (ProgressBar::new(bytes), "{bar:30} {percent:>3}%  {msg}"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
        };
        let style =
            ProgressStyle::with_template(template).expect("the template is valid").progress_chars("=> ");
        Self { bar: bar.with_style(style) }
    }

    /// Everything up to this byte has its answer.
    pub(super) fn reached(&self, byte: u64) {
        self.bar.set_position(byte);
    }

    /// The counts beside the bar.
    pub(super) fn tell(&self, accepted: u64, refused: u64) {
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{accepted} accepted, {refused} refused"));
        }
    }

    /// Prints something else while the bar is out of the way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
