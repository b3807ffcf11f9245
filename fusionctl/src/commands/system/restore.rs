//! `system restore`: hands a backup to `fusiond restore`, which works on the state while no daemon runs.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::client::{Named, StateOf, quoted};
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};

const AFTER: &str = "\
Stop the daemon first. Say where its state is with the flags that the daemon itself gets;
without any it is the state of the machine's own daemon, and a socket that names another one is
refused.

Examples:
  fusionctl system restore /var/backups/fusiond.backup
  fusionctl system restore --root /tmp/trial trial.backup";

/// Arguments of `system restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The backup
    file: PathBuf,
    /// The folder that the daemon gets as --root
    #[arg(long, value_name = "DIR", conflicts_with = "user")]
    root: Option<PathBuf>,
    /// The state of the caller's rootless daemon
    #[arg(long)]
    user: bool,
    /// The configuration that the daemon gets as --config
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Args {
    fn words(&self) -> Vec<OsString> {
        let mut words = vec!["restore".into(), self.file.clone().into()];
        for (flag, path) in [("--root", &self.root), ("--config", &self.config)] {
            if let Some(path) = path {
                words.extend([flag.into(), path.clone().into()]);
            }
        }
        if self.user {
            words.push("--user".into());
        }
        words
    }
}

/// Becomes `fusiond restore`: its messages and its exit code are the answer.
pub(crate) fn run(session: &Session, args: &Args) -> Result<Exit, Stop> {
    if session.place.elsewhere().is_some() {
        let message = "a backup is restored on the machine of the daemon, while none runs";
        return Err(Complaint::usage(message).hint("log in there and run the same without --host").into());
    }
    if let Some(named) = session.place.named().filter(|_| args.root.is_none() && !args.user) {
        return Err(other_state(&named).into());
    }
    File::open(&args.file)
        .map_err(|error| Complaint::unreadable(&args.file.display().to_string(), &error))?;
    let program = fusiond();
    let error = Command::new(&program).args(args.words()).exec();
    let message = format!("cannot run {}", program.display());
    Err(Complaint::new(Exit::Failed, "fusiond_missing", message)
        .detail(error.to_string())
        .hint("install fusiond beside fusionctl or in a folder of PATH")
        .into())
}

/// A socket says which daemon is meant, and no flag that it is another one's state.
fn other_state(named: &Named) -> Complaint {
    let message = format!(
        "{} is not the socket of the machine's own daemon, the state of which would be replaced",
        named.socket.display()
    );
    let flag = match &named.state {
        StateOf::User => "--user".to_owned(),
        StateOf::Root(root) => format!("--root {}", quoted(root.as_os_str())),
        StateOf::Unknown => "--root DIR or --user, as its daemon gets it,".to_owned(),
    };
    let hint = format!(
        "add {flag} for the state of that daemon, or unset FUSION_SOCKET and leave out --socket for that of the machine"
    );
    Complaint::usage(message).hint(hint)
}

/// The daemon's program beside this one, else the one in `PATH`.
fn fusiond() -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|own| own.parent().map(|folder| folder.join("fusiond")));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| "fusiond".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_another_daemon_names_the_flag_for_its_state() {
        let hint = |state| other_state(&Named { socket: "/a/run/fusiond.sock".into(), state }).hint.unwrap();
        assert!(hint(StateOf::Root("/a b".into())).starts_with("add --root '/a b' for "));
        assert!(hint(StateOf::User).starts_with("add --user for "));
        assert!(hint(StateOf::Unknown).starts_with("add --root DIR or --user"));
    }

    #[test]
    fn the_path_flags_are_passed_on() {
        let args = Args { file: "b".into(), root: Some("/r".into()), user: false, config: None };
        assert_eq!(args.words(), ["restore", "b", "--root", "/r"]);
        let args = Args { file: "b".into(), root: None, user: true, config: Some("c".into()) };
        assert_eq!(args.words(), ["restore", "b", "--config", "c", "--user"]);
    }
}
