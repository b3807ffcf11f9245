//! `completion`: the few lines that make a shell ask this program what may come next.
//!
//! Not for: the answers; [`crate::complete`] gives them.

use clap::ValueEnum;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::Session;
use crate::complete::VARIABLE;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
The lines ask the `fusionctl` of PATH for what may come next: also the ids, names, labels and profiles
that the daemon knows. When no daemon answers, nothing is offered for those.

Examples:
  fusionctl completion bash > ~/.local/share/bash-completion/completions/fusionctl
  fusionctl completion zsh > ~/.zfunc/_fusionctl
  fusionctl completion fish > ~/.config/fish/completions/fusionctl.fish

For zsh, ~/.zshrc needs `fpath+=(~/.zfunc)` before `compinit`.";

/// Arguments of `completion`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells that can be helped.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the lines for the shell.
pub(crate) fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let shell: &dyn EnvCompleter = match args.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, "fusionctl", "fusionctl", "fusionctl", &mut script)
        .expect("a Vec takes everything");
    session.out.raw(&script)?;
    Ok(Exit::Done)
}
