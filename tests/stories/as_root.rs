//! Stories that need root: several users, and each way of holding process trees forced.

mod backends;
mod files;
mod limits;
mod modes;
mod principal;
mod users;
mod workspaces;
