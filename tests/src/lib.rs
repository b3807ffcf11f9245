//! The harness of the stories: real binaries in a temporary root, watched from outside.
//!
//! ```text
//!   Daemon     one fusiond with a root of its own; start, kill -9, start again; leaves nothing behind
//!   console    documents as sessions: their commands run, their outputs compared
//!   Ctl        fusionctl as a certain user; exit code, text, JSON
//!   Watch      a running `event tail`: what the stories wait on
//!   Fifo       a bell and a gate between a story and a fake agent
//!   flow       definitions of workflows, and nodes of runs
//!   Ledger     what fake agents say they did, in their own words
//!   terminal   fusionctl as a person at a terminal has it
//!   man        manual pages made from a command line
//!   specify    the real program of spec-kit, from PyPI
//!   processes  what /proc says is alive, whoever claims otherwise
//!   users      Unix users made for tests
//! ```
//!
//! Nothing here sleeps: everything waits on a descriptor with a deadline. A harness that cannot do its work panics,
//! since a story without its stage proves nothing. Not here: any knowledge of how the daemon works inside.

pub mod console;
mod ctl;
mod daemon;
mod fifo;
mod files;
mod flow;
mod instant;
mod ledger;
pub mod man;
pub mod processes;
mod specify;
mod stream;
mod terminal;
pub mod users;
mod wait;
mod watch;

pub use self::ctl::{Ctl, Done};
pub use self::daemon::{Daemon, RunFolder, Setup};
pub use self::fifo::Fifo;
pub use self::files::{binary, is_root, use_binaries_in};
pub use self::flow::node;
pub use self::instant::instant;
pub use self::ledger::{Entry, Ledger};
pub use self::specify::specify;
pub use self::stream::stream;
pub use self::terminal::Terminal;
pub use self::users::TestUser;
pub use self::wait::{Deadline, wait_for_exit, wait_readable};
pub use self::watch::Watch;

/// How long a story waits for anything before it gives up. Generous: the machines that run this are small and busy.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(45);
