//! Safe doors to the kernel. The only crate of the house with `unsafe` code; each block says why it holds.
//!
//! | room | door |
//! | --- | --- |
//! | [`spawn`] | start a program as a user: one `clone`, everything prepared before |
//! | [`helper`] | work done by a child with a user's rights |
//! | [`process`] | identity of processes, waiting, signals, detaching, becoming a user |
//! | [`pidfd`] | signals that cannot hit a stranger |
//! | [`caps`] | giving up power |
//! | [`peer`] | who is at the other end of a socket |
//! | [`account`] | users and their groups |
//! | [`folder`] | folders reached without following links, and their removal |
//! | [`offer`] | which calls this kernel offers |
//! | [`inherited`] | sockets that the service manager hands over |
//! | [`file`] | locks, sealed memory, room on disk |
//!
//! Not here: any policy. Where rustix has a safe function, callers use rustix.
#![expect(unsafe_code, reason = "this is the crate that turns it into safe functions")]

pub mod account;
pub mod caps;
pub mod file;
pub mod folder;
pub mod helper;
pub mod inherited;
pub mod offer;
pub mod peer;
pub mod pidfd;
pub mod process;
pub mod spawn;
