//! Bringing defaults, files, environment and flags together. Not here: reading one file (`read`), what each key takes
//! (`table`).

use super::{Args, Config, Problem};
use crate::paths::Paths;

/// A configuration without problems.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings in force.
    pub config: Config,
    /// Where everything lies, with the settings applied.
    pub paths: Paths,
    /// What is worth telling: ignored variables, settings that this version does not use.
    pub notes: Vec<String>,
    values: Values,
}
