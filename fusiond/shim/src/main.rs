//! The program `fusion-shim`: the parent of one agent's processes for one life of the agent. It starts attempts, owns
//! their pipes and logs, ends them with all that they leave behind, and keeps the record of every exit, whether the
//! daemon is there or not. One thread; no timer while nothing is due.
//!
//! ```text
//! main ─► startup (lock, spec, socket, cgroup, detach, give up power) ─► engine (the loop)
//!                                                                          ├─ link      connections
//!                                                                          ├─ attempt   one program run
//!                                                                          │    ├─ launch   its start
//!                                                                          │    └─ files    prompt and result by file
//!                                                                          └─ records   marks and exit records
//! ```
//!
//! It also is what works in a workspace as its user: `rm-tree` (`remove`), `seed`, `du`, `diff`; and on a file of the user's:
//! `tick`.
//!
//! Not here: decisions. The daemon says what to start and when to stop.

mod attempt;
mod diff;
mod du;
mod engine;
mod files;
mod identity;
mod input;
mod launch;
mod link;
mod records;
mod remove;
mod run_as;
mod seed;
mod startup;
mod tick;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = fusion_sys::process::close_inherited() {
        return failed("cannot close inherited descriptors", &error);
    }
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [verb, identity @ ..] if verb == "rm-tree" => remove::run(identity),
        [verb, words @ ..] if verb == "run-as" => run_as::run(words),
        [verb, arguments @ ..] if verb == "seed" => seed::run(arguments),
        [verb, arguments @ ..] if verb == "diff" => diff::run(arguments),
        [verb, arguments @ ..] if verb == "du" => du::run(arguments),
        [verb, arguments @ ..] if verb == "tick" => tick::run(arguments),
        [flag] if flag == "--version" => {
            let version = concat!("fusion-shim ", env!("CARGO_PKG_VERSION"), "\n");
            let _unread = std::io::Write::write_all(&mut std::io::stdout(), version.as_bytes());
            ExitCode::SUCCESS
        }
        [state] => match startup::begin(state.as_ref(), std::io::stdin().lock()) {
            Ok(begun) => engine::Engine::new(begun).run(),
            Err(startup::StartupError::NotMine(_)) => ExitCode::from(fusion_shim::names::EXIT_NOT_MINE),
            Err(error) => failed(&error.to_string(), &error),
        },
        _usage => {
            say("usage: fusion-shim STATE-FOLDER, or fusion-shim rm-tree|seed …; it is started by fusiond");
            ExitCode::from(2)
        }
    }
}

fn failed(what: &str, error: &dyn std::error::Error) -> ExitCode {
    let reason = error.source().map_or_else(String::new, |source| format!(": {source}"));
    say(&format!("{what}{reason}"));
    ExitCode::FAILURE
}

/// One line on standard error; without a reader there is nobody to tell.
fn say(line: &str) {
    let _unheard =
        std::io::Write::write_all(&mut std::io::stderr(), format!("fusion-shim: {line}\n").as_bytes());
}
