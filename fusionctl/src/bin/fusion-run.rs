//! `fusion-run`: hands over to the library.
//!
//! Not for: anything that could be tested without a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    fusionctl::run_speckit()
}
