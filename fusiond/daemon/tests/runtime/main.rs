//! The hands with the real shim: what they make, report and clear away, with every backend of the machine.

mod lives;
mod logs;
mod rig;
mod workspaces;
