//! A running `fusionctl event tail -o jsonl`: what happens, as it happens. Stories wait on this instead of sleeping.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::{Ctl, Deadline, wait_readable};

/// A stream of events. Ends its program when dropped.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    stdout: ChildStdout,
    buffer: Vec<u8>,
    seen: Vec<Value>,
}

impl Watch {
    /// All events after the sequence number `since`, stored ones first.
    ///
    /// # Panics
    ///
    /// When fusionctl cannot be started.
    #[must_use]
    pub fn since(ctl: &Ctl, since: u64) -> Self {
        let mut command = ctl.command(&["-o", "jsonl", "event", "tail", "--since", &since.to_string()]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("fusionctl can be started");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        Self { child, stdout, buffer: Vec::new(), seen: Vec::new() }
    }

    /// All events from the present one on; what happens after this call is not missed.
    #[must_use]
    pub fn from_now(ctl: &Ctl) -> Self {
        let status = ctl.json(&["system", "status"]);
        Self::since(ctl, status["lastSeq"].as_u64().unwrap_or_default())
    }

    /// The next event; none when time is up or the daemon has gone.
    pub fn next_before(&mut self, deadline: Deadline) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).expect("each line of jsonl is an event");
                self.seen.push(event.clone());
                return Some(event);
            }
            wait_readable(&[self.stdout.as_fd()], deadline)?;
            let mut chunk = [0; 65536];
            match self.stdout.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// The next event of type `kind` about `subject`.
    ///
    /// # Panics
    ///
    /// When it does not come in time; the message lists what came instead.
    #[track_caller]
    pub fn expect(&mut self, kind: &str, subject: &str) -> Value {
        let deadline = Deadline::default();
        while let Some(event) = self.next_before(deadline) {
            if event["type"] == kind && event["subject"] == subject {
                return event;
            }
        }
        let kinds: Vec<String> =
            self.seen.iter().map(|event| format!("{} {}", event["type"], event["subject"])).collect();
        panic!("no event {kind} about {subject} in time; there were {kinds:?}")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
