//! Definitions of workflows as stories use them. Not here: what they must do.

use crate::{Ctl, Daemon};
use serde_json::Value;

impl Daemon {
    /// Writes a definition into the daemon's folder; answers its path.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn flow(&self, name: &str, text: &str) -> String {
        let path = self.folder().join(format!("{name}.yaml"));
        std::fs::write(&path, text).expect("a definition can be written into the folder of the test");
        path.to_str().expect("the folder of a test has a plain name").to_owned()
    }
}

impl Ctl {
    /// Begins a run; answers its id.
    #[track_caller]
    #[must_use]
    pub fn start_run(&self, file: &str, flags: &[&str]) -> String {
        let mut args = vec!["workflow", "run", file];
        args.extend_from_slice(flags);
        self.id(&args)
    }

    /// Waits until a run has ended, however it ends; answers it.
    #[track_caller]
    #[must_use]
    pub fn run_ended(&self, run: &str) -> Value {
        self.json(&["workflow", "show", "--wait", run])
    }
}

/// A node of a run in JSON.
///
/// # Panics
/// When there is none of this id.
#[must_use]
#[track_caller]
pub fn node<'a>(run: &'a Value, id: &str) -> &'a Value {
    let nodes = run["nodes"].as_array().expect("a run has nodes");
    nodes.iter().find(|node| node["id"] == id).unwrap_or_else(|| panic!("no node {id}: {run}"))
}
