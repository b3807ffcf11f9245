//! The real shim, driven over its socket, with every way to hold a process tree that this machine has.
//! Not here: the daemon that usually drives it.

mod fencing;
mod lives;
mod output;
mod privileges;

mod rig;
mod run_as;
