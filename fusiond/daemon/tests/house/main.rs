//! The rooms of the daemon together: hands with the real shim on every backend, stored shapes, standard services.

mod golden;
mod lives;
mod logs;
mod rig;
mod served;
mod workspaces;
