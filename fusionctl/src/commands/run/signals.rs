//! The signals that cancel what `run` waits for. Not here: what is done about them.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::commands::{HUNG_UP, INTERRUPTED};
use crate::error::{Complaint, Exit, Stop};

/// The interrupts of a terminal, of one that is closed, and of a service manager.
pub(super) struct Signals {
    interrupt: Signal,
    /// Absent where somebody sees to it that the end of the terminal is none of the program's (nohup(1)).
    hangup: Option<Signal>,
    terminate: Signal,
}

impl Signals {
    pub(super) fn open() -> Result<Self, Stop> {
        let open = |kind| {
            signal(kind).map_err(|error| {
                Complaint::new(Exit::Bug, "signals", "cannot hear signals").detail(error.to_string())
            })
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = (!ignores_hangup(&status)).then(|| open(SignalKind::hangup())).transpose()?;
        Ok(Self {
            interrupt: open(SignalKind::interrupt())?,
            hangup,
            terminate: open(SignalKind::terminate())?,
        })
    }

    /// The exit code that the next one stands for: 128 and its number.
    pub(super) async fn next(&mut self) -> u8 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = hangup => HUNG_UP,
            _ = self.terminate.recv() => 143,
        }
    }

    /// The exit code of one that has come already, if one has.
    pub(super) async fn pending(&mut self) -> Option<u8> {
        tokio::select! {
            biased;
            code = self.next() => Some(code),
            // What the kernel has for us is looked at before this returns.
            () = tokio::task::yield_now() => None,
        }
    }

    /// Whether the end of the terminal is the program's.
    pub(super) const fn hears_hangup(&self) -> bool {
        self.hangup.is_some()
    }
}

/// From proc_pid_status(5): the lowest bit of the mask of ignored signals is that of SIGHUP.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_terminal_is_ignored_under_nohup() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
