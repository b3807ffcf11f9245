//! `cargo xtask bench`: figures against anchors that run on the same machine in the same minutes.
//!
//! Nothing here passes or fails: a figure is printed with what it is compared with. Not here: correctness, which the
//! stories show.

pub(crate) mod agents;
mod bounds;
pub(crate) mod bulk;
pub(crate) mod dag;
pub(crate) mod overhead;
pub(crate) mod peers;
pub(crate) mod probe;
pub(crate) mod proc;
pub(crate) mod stage;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod submit;
pub(crate) mod tasks;
