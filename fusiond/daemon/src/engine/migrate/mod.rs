//! From older stored shapes to today's: one step for each schema, value by value.
//!
//! A step owns private copies of the shapes it reads (`v1`), so that a change of the core cannot change
//! what old bytes mean. Shapes that a step does not copy are those that later schemas only extended: new
//! variants stand at the end of an enum, which postcard numbers by position.
//!
//! Not for: walking the store and being interrupted (`store`), keys (`record`).

mod v1;

use crate::store::Migration;

/// Entry `i` brings schema `i + 1` to `i + 2`.
pub const MIGRATIONS: &[Migration] = &[v1::step];
