//! The shim's side of the wall: the words it speaks, the files it leaves, and how process trees are held.
//!
//! The daemon uses this library to talk to shims ([`wire`], [`frame`]) and to find their files ([`names`]). The
//! program `fusion-shim` is built on the same modules. Not here: any decision about agents or tasks.
//!
//! A shim is started as `fusion-shim STATE-FOLDER` with the run folder as its working directory. Exit status 0
//! means that it serves `shim.sock` in a process of its own; [`names::EXIT_NOT_MINE`] that it may not; 1 that it
//! could not, with one line on standard error.

pub mod cgroup;
pub mod frame;
pub mod log;
pub mod manifest;
pub mod names;
pub mod tree;
pub mod usage;
pub mod wire;
