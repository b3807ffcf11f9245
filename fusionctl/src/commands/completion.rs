//! `completion`: the few lines that make a shell ask this program what may come next.
//!
//! Not for: the answers; [`crate::complete`] gives them.

use clap::ValueEnum;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::Session;
use crate::complete::VARIABLE;
use crate::error::{Exit, Stop};

const AFTER: &str = "\
The lines ask the `fusionctl` of PATH for what may come next: also the ids, names, labels and
profiles that the daemon knows, also behind `--host`, which takes a login each time. When no
daemon answers within a moment, nothing is offered for those.

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

/// bash cuts words also at `:`, `=` and `@`. These lines put `ssh://…`, `key:…` and `key=value` together again, and
/// take from what is offered the part that bash does not replace.
const WHOLE_WORDS: &str = r#"
_fusionctl() {
    local -a words=()
    local rest=$COMP_LINE index=0 before= piece i
    for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
        piece=${COMP_WORDS[i]}
        if [[ $i -eq 0 || $rest == [[:blank:]]* ]]; then
            rest=${rest#"${rest%%[![:blank:]]*}"}
            words+=("")
        fi
        if ((i == COMP_CWORD)); then
            index=$((${#words[@]} - 1))
            before=${words[index]}
            # Right behind such a sign bash says that the word is empty.
            if [[ -z $2 ]]; then before+=$piece; fi
        fi
        words[${#words[@]} - 1]+=$piece
        rest=${rest#"$piece"}
    done
    local -a COMP_WORDS=("${words[@]}")
    local COMP_CWORD=$index
    _clap_complete_fusionctl "$1" "$before$2" "$3"
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
}
complete -o nospace -o bashdefault -o nosort -F _fusionctl fusionctl 2>/dev/null ||
    complete -o nospace -o bashdefault -F _fusionctl fusionctl
"#;

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
    match args.shell {
        Shell::Bash => script.extend_from_slice(WHOLE_WORDS.as_bytes()),
        Shell::Zsh | Shell::Fish => {}
    }
    session.out.raw(&script)?;
    Ok(Exit::Done)
}
