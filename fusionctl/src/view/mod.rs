//! What the API's messages look like as JSON and YAML, and in tables.
//!
//! For: proto-JSON with the habits of the interface: lowerCamelCase, enums as lower-case words,
//! durations as `"10m"`, what is unset left out. Not for: fetching or deciding.

pub(crate) mod agent;
pub(crate) mod budget;
pub(crate) mod event;
pub(crate) mod explanation;
pub(crate) mod profile;
pub(crate) mod removed;
pub(crate) mod revision;
pub(crate) mod secret;
pub(crate) mod system;
#[cfg(test)]
mod tables;
pub(crate) mod task;
pub(crate) mod word;
pub(crate) mod workflow;
pub(crate) mod workflow_picture;
pub(crate) mod workspace;
