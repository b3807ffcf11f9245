//! The rules, proven: random lives in a world that fails, golden sessions, properties, tables.

mod chooser;
mod clients;
mod edits;
mod explain;
mod flows;
mod golden;
mod hang;
mod history;
mod life;
mod limits;
mod program;
mod properties;
mod rng;
mod runs;
mod shim;
mod store;
mod tables;
mod telling;
mod world;
