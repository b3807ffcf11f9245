//! `fusiond`: reads the command line and hands over.
//!
//! Not for: anything that could be tested without a process of its own.

use clap::Parser;
use fusiond::config::{self, Args, Command, Loaded, Origin, Problem};
use fusiond::paths::PathsError;
use fusiond::runtime::StartError;
use fusiond::store::OpenError;
use fusiond::vault::KeyError;
use fusiond::{app, engine, store, telemetry};
use std::process::ExitCode;

/// What sysexits.h calls `EX_CONFIG`: a restart would not help, a person must mend something.
const EXIT_CONFIG: u8 = 78;
/// What `fusionctl` ends with when something is not in a state for what is asked.
const EXIT_REFUSED: u8 = 4;
/// `EXIT_FAILURE` of stdlib.h.
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(folder) = &args.probe_store {
        return ExitCode::from(u8::try_from(store::probe_main(folder)).unwrap_or(1));
    }
    if let Some(Command::Completion { shell }) = args.command {
        print(&shell.completion());
        return ExitCode::SUCCESS;
    }
    abort_on_panic();
    let loaded = match config::load(&args, config::process_environment) {
        Ok(loaded) => loaded,
        Err(problems) => {
            for problem in &problems {
                telemetry::say(&format!("error: {problem}"));
            }
            if problems.iter().any(is_of_settings) {
                telemetry::say(LOOK_AGAIN);
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if args.check_config {
        print(loaded.to_toml().as_bytes());
        return ExitCode::SUCCESS;
    }
    match &args.command {
        Some(Command::Restore { file }) => finish(restore(file, &loaded), exit_of_a_restore),
        Some(Command::Completion { .. }) | None => finish(start(args, loaded), exit_of_a_start),
    }
}

const LOOK_AGAIN: &str =
    "  hint: nothing was started; `fusiond --check-config` with the same flags looks again";

/// What is wrong with a flag says itself what to do.
fn is_of_settings(problem: &Problem) -> bool {
    match problem.place {
        Origin::File(..) | Origin::Text(..) | Origin::Variable(_) => true,
        Origin::Default | Origin::Flag(_) => false,
    }
}

/// Answers of the commands that do not serve.
fn print(text: &[u8]) {
    use std::io::Write;
    // A reader that has gone needs no answer.
    drop(std::io::stdout().write_all(text));
}

fn finish(result: anyhow::Result<()>, exit: impl Fn(&anyhow::Error) -> u8) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::say(&format!("error: {error:#}"));
            if let Some(hint) = hint(&error) {
                telemetry::say(&format!("  hint: {hint}"));
            }
            ExitCode::from(exit(&error))
        }
    }
}

/// The service manager repeats no start that would fail in the same way.
fn exit_of_a_start(error: &anyhow::Error) -> u8 {
    let is_lasting = error.chain().any(|cause| {
        cause.downcast_ref::<PathsError>().is_some_and(PathsError::is_lasting)
            || cause.downcast_ref::<OpenError>().is_some_and(OpenError::is_lasting)
            || cause.downcast_ref::<KeyError>().is_some_and(KeyError::is_lasting)
            || cause.downcast_ref::<StartError>().is_some_and(StartError::is_lasting)
    });
    if is_lasting { EXIT_CONFIG } else { EXIT_FAILURE }
}

/// `fusionctl system restore` passes it on.
fn exit_of_a_restore(error: &anyhow::Error) -> u8 {
    let is_refused = error
        .chain()
        .filter_map(|cause| cause.downcast_ref())
        .any(|error| matches!(error, OpenError::NotEmpty { .. } | OpenError::Locked { .. }));
    if is_refused { EXIT_REFUSED } else { EXIT_FAILURE }
}

/// What to do about it, by the first cause that knows.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let places = cause.downcast_ref::<PathsError>().map(PathsError::hint);
        places.or_else(|| cause.downcast_ref::<OpenError>().map(OpenError::hint))
    })
}

fn start(args: Args, loaded: Loaded) -> anyhow::Result<()> {
    telemetry::init(loaded.config.log)?;
    loaded.paths.prepare()?;
    app::run(args, loaded)
}

fn restore(file: &std::path::Path, loaded: &Loaded) -> anyhow::Result<()> {
    let paths = &loaded.paths;
    paths.prepare()?;
    let backup = store::restore(file, &paths.store, engine::SCHEMA)?;
    print(format!("restored {} entries into {}\n", backup.entries, paths.store.display()).as_bytes());
    Ok(())
}

/// A bug in any thread ends the whole daemon: the service manager starts it again, agents live on, and
/// the journal tells what was kept. Half a daemon would answer wrongly.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if telemetry::is_journal(std::io::stderr()) {
            telemetry::say(&panic.to_string());
        } else {
            print(panic);
        }
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// With what is said around it on its way up.
    fn exit_of(error: impl Into<anyhow::Error>) -> u8 {
        exit_of_a_start(&error.into().context("the daemon does not start"))
    }

    #[test]
    fn a_restore_where_there_is_a_state_is_refused() {
        let exit = |error: OpenError| exit_of_a_restore(&anyhow::Error::from(error).context("restoring"));
        assert_eq!(exit(OpenError::NotEmpty { dir: "/x".into() }), EXIT_REFUSED);
        assert_eq!(exit(OpenError::Locked { dir: "/x".into(), pid: None }), EXIT_REFUSED);
        assert_eq!(exit(OpenError::NewerSchema { found: 9, known: 1 }), EXIT_FAILURE);
    }

    #[test]
    fn a_start_that_only_a_person_can_mend_is_not_repeated() {
        let path = || "/x".into();
        let lasting = [
            exit_of(PathsError::NoHome),
            exit_of(PathsError::Loose { path: path(), mode: 0o777, expected: 0o711 }),
            exit_of(OpenError::NewerSchema { found: 200, known: 2 }),
            exit_of(OpenError::JournalDamaged { segment: path(), offset: 7, reason: "x".to_owned() }),
            exit_of(OpenError::NoCheckpoint { reason: "x".to_owned() }),
            exit_of(KeyError::Malformed { path: path() }),
            exit_of(StartError::Backend("cgroup-v1")),
        ];
        assert!(lasting.iter().all(|code| *code == EXIT_CONFIG), "{lasting:?}");
    }

    #[test]
    fn a_start_that_may_succeed_the_next_time_is_repeated() {
        let (path, full) = (|| "/x".into(), || io::Error::from(io::ErrorKind::StorageFull));
        let passing = [
            exit_of(PathsError::SocketInUse { path: path(), pid: 7 }),
            exit_of(OpenError::Locked { dir: path(), pid: None }),
            exit_of(OpenError::NoSpace { dir: path(), free_bytes: 1, need_bytes: 2 }),
            exit_of(OpenError::Io { tried: "create", path: path(), source: full() }),
            exit_of(StartError::Backend("systemd")),
            exit_of(StartError::BootId(full())),
            exit_of(full()),
        ];
        assert!(passing.iter().all(|code| *code == EXIT_FAILURE), "{passing:?}");
    }
}
