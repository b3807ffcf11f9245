//! The daemon: doors, engine, hands, store.
//!
//! Floors, from the ground: `store` · `runtime workspace health` · `engine` · `api` · `app`. Imports
//! only go down; `cargo xtask tidy` checks it.

pub mod api;
pub mod app;
pub mod caller;
pub mod config;
pub mod engine;
pub mod health;
pub mod inlet;
pub mod paths;
pub mod profile;
pub mod reload;
pub mod runtime;
pub mod shutdown;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod turns;
pub mod vault;
pub mod workspace;
