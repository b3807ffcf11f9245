//! The words between the daemon and a shim, and the records that a shim leaves behind.
//!
//! A stream socket `shim.sock` in the run folder carries frames (see `frame`). The daemon speaks first ([`Request::Hello`]); a request is answered by the
//! reply named in its description, and [`Reply::Exited`] comes whenever an attempt ends. One connection drives
//! the shim at a time: the one with the highest epoch.
//!
//! Not here: what the daemon makes of a reply (the core decides), and how the shim obeys (`engine`).
//!
//! A change of any shape in this file is a new [`PROTOCOL`] number: shims outlive the daemon that started them.

mod spec;

use serde::{Deserialize, Serialize};

pub use spec::*;

/// The version of everything in this module.
pub const PROTOCOL: u16 = 2;

/// The last bytes of output that an [`ExitRecord`] carries at most.
pub const TAIL_BYTES_MAX: usize = 1024;

/// What the daemon asks of a shim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The first frame. Answered by [`Reply::Welcome`], or by [`Reply::Refused`] and a hang-up.
    Hello {
        /// [`PROTOCOL`] of the daemon.
        protocol: u16,
        /// The daemon's start number; a lower one than the highest ever seen is refused, an equal or higher one
        /// takes over from the connection before.
        epoch: u64,
        /// The nonce of the incarnation, from the daemon's journal.
        nonce: [u8; 16],
    },
    /// Starts an attempt. Answered by [`Reply::Started`], [`Reply::Exited`] with `StartFailed`, or
    /// [`Reply::StartRefused`]. The serial must be higher than every serial ever started here: this is what makes
    /// "at most once" the shim's own word.
    Start {
        /// The number of the attempt within the incarnation, from 1.
        serial: u32,
        /// What to run.
        spec: AttemptSpec,
        /// As [`Request::Ack`].
        ack: Vec<u32>,
    },
    /// Ends an attempt: SIGTERM, the grace, then a kill of everything. May be repeated: the shorter grace counts,
    /// the first reason stays. No answer of its own: [`Reply::Exited`] tells the end; a serial that is not running
    /// is ignored.
    Stop {
        /// The attempt meant.
        serial: u32,
        /// Milliseconds between SIGTERM and the kill; 0 kills at once.
        grace_ms: u64,
        /// The reason, kept in the exit record.
        why: StopWhy,
    },
    /// Freezes the whole process tree. Answered by [`Reply::Frozen`].
    Freeze,
    /// Lets the tree go on. Answered by [`Reply::Thawed`].
    Thaw,
    /// The daemon has these exit records in its journal: their files are unlinked. No answer.
    Ack {
        /// Serials, in any order; unknown ones are ignored.
        serials: Vec<u32>,
    },
    /// Asks for the present use of resources. Answered by [`Reply::Observed`].
    Observe,
    /// Ends the attempt if there is one (its record is sent as always), kills what is left, then answers
    /// [`Reply::Stopped`]. The shim exits after the acknowledgement of all records, or at the hang-up.
    Shutdown {
        /// Milliseconds between SIGTERM and the kill.
        grace_ms: u64,
    },
    /// Puts the tree under these limits, now and after every attempt. Answered by [`Reply::LimitRefused`] alone.
    Limit {
        /// All limits; what is absent is lifted.
        limits: Limits,
    },
    /// Writes to the standard input of an attempt that has an open one. Answered by [`Reply::InputTaken`] when the
    /// pipe has all of it, or by [`Reply::InputRefused`].
    Input {
        /// The attempt meant.
        serial: u32,
        /// Who writes; drawn by whoever does. Not [`PROMPT_WRITER`].
        writer: u64,
        /// The bytes of this writer before these. What was taken before is passed over.
        offset: u64,
        /// At most [`INPUT_PIECE_BYTES_MAX`].
        bytes: Vec<u8>,
        /// Whether the input is closed behind them.
        is_last: bool,
    },
}

/// The longest piece of input.
pub const INPUT_PIECE_BYTES_MAX: usize = 16 << 10;

/// The writer of what an open input begins with.
pub const PROMPT_WRITER: u64 = 0;

/// What a shim tells the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The connection is accepted.
    Welcome(Welcome),
    /// The connection is not accepted; a hang-up follows.
    Refused {
        /// Why not.
        why: RefusedWhy,
    },
    /// The program of an attempt runs (its `execve` has succeeded). Held back for some milliseconds, so that a short
    /// attempt costs one packet: then [`Reply::Exited`] follows at once. Nothing is sent if the start failed.
    Started(Started),
    /// The attempt was not started, and nothing was recorded for it.
    StartRefused {
        /// The attempt asked for.
        serial: u32,
        /// The highest serial ever started.
        highest: u32,
        /// Why not.
        why: StartRefusedWhy,
    },
    /// An attempt has ended, and nothing of it is left.
    Exited(ExitRecord),
    /// The whole tree stands still.
    Frozen {
        /// How long that took.
        ms: u32,
    },
    /// The tree runs again.
    Thawed,
    /// The answer to [`Request::Observe`].
    Observed(Observed),
    /// The answer to [`Request::Shutdown`].
    Stopped {
        /// Processes that could not be ended (always 0; a shim that cannot reach 0 keeps trying).
        survivors: u32,
    },
    /// A limit of [`Request::Limit`] could not be set; the others were.
    LimitRefused {
        /// One sentence.
        reason: String,
    },
    /// The pipe of an attempt has everything of a writer before a place.
    InputTaken {
        /// The attempt.
        serial: u32,
        /// The writer.
        writer: u64,
        /// The place.
        offset: u64,
    },
    /// A piece of input was not taken.
    InputRefused {
        /// The attempt.
        serial: u32,
        /// The writer.
        writer: u64,
        /// Why not.
        why: InputRefusedWhy,
    },
}

/// Why a piece of input was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputRefusedWhy {
    /// That attempt does not run.
    NotRunning,
    /// Its input was never open, or is closed, or the program has closed it.
    Closed,
    /// Too much of others waits for the program.
    Full,
    /// Bytes are missing before it.
    Gap {
        /// Where the next piece must begin.
        expected: u64,
    },
}

/// What a new connection must know to go on without a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`PROTOCOL`] of the shim.
    pub protocol: u16,
    /// The shim's own process id.
    pub pid: u32,
    /// Field 22 of its `/proc/PID/stat`, in clock ticks since boot.
    pub start_time_ticks: u64,
    /// The kernel's `boot_id`.
    pub boot_id: [u8; 16],
    /// The nonce in its `spec`.
    pub nonce: [u8; 16],
    /// The highest serial ever started, 0 for none.
    pub highest_started: u32,
    /// The running attempt.
    pub running: Option<Started>,
    /// Records of ended attempts that no [`Request::Ack`] has named yet, in order of their serials.
    pub exits: Vec<ExitRecord>,
    /// Whether the tree is frozen.
    pub frozen: bool,
    /// How the tree is held together.
    pub backend: Backend,
    /// Under which limits.
    pub limits: Limits,
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusedWhy {
    /// A newer daemon was here already.
    LowerEpoch {
        /// The highest epoch seen.
        highest: u64,
    },
    /// The shim belongs to another incarnation.
    WrongNonce,
    /// The protocol is not spoken here.
    WrongProtocol {
        /// The one that is.
        protocol: u16,
    },
}

/// Why a start was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartRefusedWhy {
    /// The serial, or a higher one, was started before.
    SerialUsed,
    /// Another attempt still runs.
    Busy {
        /// That attempt.
        serial: u32,
    },
    /// A [`Request::Shutdown`] came before.
    ShuttingDown,
    /// The tree is frozen: a new process would stand still before its first instruction.
    Frozen,
}

/// Why an attempt was stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopWhy {
    /// Somebody cancelled the task.
    Cancelled,
    /// The task's time was over.
    TimedOut,
    /// Nothing was heard or seen of it for too long.
    IdleTimedOut,
    /// The agent was terminated.
    Terminated,
    /// The agent is started anew.
    Restarted,
    /// The shim was told to shut down.
    Shutdown,
}

/// A running attempt. The identity of its main process is boot id, pid and start time together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The number of the attempt.
    pub serial: u32,
    /// The main process.
    pub pid: u32,
    /// Field 22 of its `/proc/PID/stat`, in clock ticks since boot; 0 if it ended before anybody looked.
    pub start_time_ticks: u64,
    /// Wall clock at the clone.
    pub at_unix_ms: u64,
    /// The kernel's `boot_id`.
    pub boot_id: [u8; 16],
    /// The sandbox that is really in force, in words for people (`user`, `none`).
    pub sandbox: String,
}

/// How an attempt ended. Written once to `exit.<serial>`, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Version of the record, [`EXIT_RECORD_VERSION`].
    pub v: u8,
    /// The number of the attempt.
    pub serial: u32,
    /// The nonce of the incarnation.
    pub nonce: [u8; 16],
    /// The kernel's `boot_id`.
    pub boot_id: [u8; 16],
    /// The main process, 0 if there never was one.
    pub pid: u32,
    /// What the kernel says of the main process.
    pub kind: ExitKind,
    /// Processes of the attempt killed by the kernel for want of memory.
    pub oom_kills: u32,
    /// The reason of the stop that was asked for, if any.
    pub stop: Option<StopWhy>,
    /// Whether the grace ran out and the main process was killed by the shim.
    pub killed: bool,
    /// Wall clock at the clone.
    pub started_unix_ms: u64,
    /// Wall clock at the end of the main process.
    pub ended_unix_ms: u64,
    /// Processor time of the whole tree, user and system.
    pub cpu_ms: u64,
    /// The highest memory use known: of the cgroup if it counts, else of the largest process.
    pub peak_memory_bytes: u64,
    /// Bytes written to standard output.
    pub out_bytes: u64,
    /// Bytes written to standard error.
    pub err_bytes: u64,
    /// Bytes of both that are not in the log: beyond the quota, or without room on the disk.
    pub dropped_bytes: u64,
    /// The last bytes of standard error, or of standard output if there was none; at most [`TAIL_BYTES_MAX`].
    pub tail: Vec<u8>,
}

/// SIGURG: a systemd scope that is stopped sends it to all its processes. Only a shim takes it for an order to end.
pub const SIGNAL_OF_SCOPE: i32 = 23;

/// The version written to [`ExitRecord::v`].
pub const EXIT_RECORD_VERSION: u8 = 1;

/// What the kernel says of the main process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitKind {
    /// It ended by itself.
    Exited {
        /// 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// Whether a core was dumped.
        core: bool,
    },
    /// The program never ran.
    StartFailed {
        /// The step that failed (`execve`, `chdir`, `setresuid` …).
        stage: String,
        /// The error number of that step.
        errno: i32,
        /// One sentence for people.
        message: String,
    },
    /// It ended by itself with code 0, but its file `output` cannot be the result.
    OutputInvalid {
        /// One sentence for people.
        message: String,
    },
}

/// The present use of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The running attempt, if any.
    pub serial: Option<u32>,
    /// Wall clock of its last output; its start if there was none; 0 without an attempt. For daemons that know no
    /// [`Self::quiet_ms`].
    pub last_output_unix_ms: u64,
    /// Processor time of the whole tree of the attempt, user and system.
    pub cpu_ms: u64,
    /// Memory of the tree now.
    pub memory_bytes: u64,
    /// Processes in the tree now.
    pub processes: u32,
    /// Bytes of standard output so far.
    pub out_bytes: u64,
    /// Bytes of standard error so far.
    pub err_bytes: u64,
    /// How long ago its last output was, or its start if there was none, by a clock that nobody sets. Stands at the very
    /// end of the frame: older shims do not say it, older daemons do not read it.
    #[serde(deserialize_with = "if_said")]
    pub quiet_ms: Option<u64>,
}

/// What an older program has left out at the end is nothing.
fn if_said<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::deserialize(deserializer).unwrap_or(None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{decode_frame, encode_frame};

    #[test]
    fn an_answer_of_an_older_shim_is_read_without_its_quiet_time() {
        let said =
            Observed { last_output_unix_ms: 5, err_bytes: 7, quiet_ms: Some(3), ..Observed::default() };
        let mut frame = Vec::new();
        encode_frame(&Reply::Observed(said.clone()), &mut frame).expect("it is short");
        let (whole, _) = decode_frame::<Reply>(&frame).expect("it reads").expect("it is whole");
        assert_eq!(whole, Reply::Observed(said.clone()));
        // A mark that it is there, and the number.
        frame.truncate(frame.len() - 2);
        frame[0] -= 2;
        let (older, _) = decode_frame::<Reply>(&frame).expect("it reads").expect("it is whole");
        assert_eq!(older, Reply::Observed(Observed { quiet_ms: None, ..said }));
    }
}
