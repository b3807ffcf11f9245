//! `cargo xtask …`: the errands of the house, in Rust so that they run wherever the house builds.
//!
//! Only the choice of the errand is here; each is a room of its own. Not here: anything that ships.

mod demo;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask ERRAND

  demo                      start a daemon, give it work, kill it in the middle, show that nothing is lost
  test                      run everything that CI runs, and install what it needs
  tidy                      check the rules of the house that no compiler checks
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["demo"] => demo::run(),
        ["test"] => test::run(),
        ["tidy"] => tidy::run(),
        _ => {
            shell::complain(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::complain(&format!("error: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}
