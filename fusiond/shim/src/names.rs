//! The names of the files that a shim and its daemon share. Not here: what is in them (`wire`, `log`).
//!
//! ```text
//! run/i/<agent>.<n>/     lock  spec  shim.sock  started.<k>  exit.<k>  stopped     in memory, made by the daemon
//! state/i/<agent>.<n>/   <k>.out  <k>.out.<base>  <k>.err  <k>.idx        on disk, made by the daemon
//!                        <k>.prompt                                       a long one, until the attempt has begun
//!                        <k>.result                                       of a program that gives it in a file
//!                        exit.<k>                                         if the daemon hung up before it knew
//! ```

/// Held with `flock(LOCK_EX)` by the shim for life: whoever gets it knows that the shim is dead.
pub const LOCK: &str = "lock";

/// The [`crate::wire::IncarnationSpec`], written by the daemon.
pub const SPEC: &str = "spec";

/// The control socket.
pub const SOCKET: &str = "shim.sock";

/// Written by the shim when it was asked to end: the nonce of its incarnation. Its end is then no failure.
pub const STOPPED: &str = "stopped";

/// The exit status of a shim that may not work here: the lock is held, the spec is not for it, or the run folder
/// is gone (`EX_TEMPFAIL` of sysexits.h).
pub const EXIT_NOT_MINE: u8 = 75;

/// The folder in a workspace that holds the files of attempts.
pub const FILES: &str = ".fusiond";

/// The prompt, in the folder of an attempt.
pub const INPUT: &str = "input";

/// The result, in the folder of an attempt.
pub const OUTPUT: &str = "output";

/// The result that attempt `serial` gave in a file, kept in the state folder. There is none if it was empty.
#[must_use]
pub fn result(serial: u32) -> String {
    format!("{serial}.result")
}

/// A prompt that is too long for a frame, in the state folder until attempt `serial` has begun.
#[must_use]
pub fn prompt(serial: u32) -> String {
    format!("{serial}.prompt")
}

/// The mark of attempt `serial`, a [`crate::wire::StartMark`].
#[must_use]
pub fn started(serial: u32) -> String {
    format!("started.{serial}")
}

/// The exit record of attempt `serial`, a [`crate::wire::ExitRecord`].
#[must_use]
pub fn exit(serial: u32) -> String {
    format!("exit.{serial}")
}

/// The serial in the name of a file that [`exit`] named.
#[must_use]
pub fn serial_of_exit(name: &str) -> Option<u32> {
    name.strip_prefix("exit.")?.parse().ok()
}

/// The serial in the name of a file that [`started`] named.
#[must_use]
pub fn serial_of_started(name: &str) -> Option<u32> {
    name.strip_prefix("started.")?.parse().ok()
}
