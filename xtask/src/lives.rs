//! `cargo xtask lives`: the properties of the core in many more random lives than a test has time for.
//!
//! Not for: the real programs under kill -9 (`chaos`).

use crate::shell::{cargo, number_flag, run_with};

/// Runs them.
///
/// # Errors
/// When a law is broken: the seed is printed, and `FUSION_SIM_SEED` lives that life again.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let seeds = number_flag(flags, "--seeds", 10_000)?.to_string();
    let args = ["test", "--release", "--locked", "-p", "fusion-core", "--", "workflow::tests", "life::"];
    run_with(&cargo(), &args, &[("FUSION_SIM_SEEDS", &seeds), ("CARGO_PROFILE_RELEASE_LTO", "off")])
}
