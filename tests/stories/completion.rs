//! Stories of `completion`: real shells ask the real program, which asks the real daemon.

use std::path::Path;
use std::process::{Command, Stdio};

use fusion_tests::{Daemon, binary};

/// Asks what may come next, once for each line of words; a line that ends with a space asks for a new word.
type Shell = fn(&[&str]) -> Command;

const SHELLS: &[(&str, Shell)] = &[("bash", bash), ("zsh", zsh), ("fish", fish)];

fn bash(lines: &[&str]) -> Command {
    script(
        "bash",
        "source <(fusionctl completion bash)\n\
         ask() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; COMPREPLY=()\n\
           _clap_complete_fusionctl fusionctl \"${COMP_WORDS[COMP_CWORD]}\" ''; printf '%s\\n' \"${COMPREPLY[@]}\"; }\n",
        lines,
    )
}

/// `_describe` belongs to an interactive zsh; here it prints what it is given.
fn zsh(lines: &[&str]) -> Command {
    script(
        "zsh",
        "compdef() { : }\n_describe() { print -l -- ${(P)3} }\nsource <(fusionctl completion zsh)\n\
         ask() { words=(\"$@\"); CURRENT=$#; _clap_dynamic_completer_fusionctl }\n",
        lines,
    )
}

fn fish(lines: &[&str]) -> Command {
    let mut text = "fusionctl completion fish | source\n".to_owned();
    for line in lines {
        text.push_str(&format!("complete -C '{line}'\n"));
    }
    let mut command = Command::new("fish");
    command.args(["--no-config", "-c", &text]);
    command
}

fn script(shell: &str, head: &str, lines: &[&str]) -> Command {
    let mut text = head.to_owned();
    for line in lines {
        let words = line.strip_suffix(' ').map_or_else(|| (*line).to_owned(), |line| format!("{line} ''"));
        text.push_str(&format!("ask {words}\n"));
    }
    let mut command = Command::new(shell);
    command.args([if shell == "zsh" { "-f" } else { "--norc" }, "-c", &text]);
    command
}

/// What the shell offers, and what it says on standard error.
fn offered(shell: &str, mut command: Command, socket: &Path) -> (String, String) {
    let programs = binary("fusionctl");
    let programs = programs.parent().expect("a program lies in a folder").display();
    let path = std::env::var("PATH").expect("there is a PATH");
    command.env("PATH", format!("{programs}:{path}")).env("FUSION_SOCKET", socket).stdin(Stdio::null());
    let home = tempfile::tempdir().expect("a temporary folder");
    command.env("HOME", home.path()).env("XDG_CACHE_HOME", home.path()).env_remove("FUSION_HOST");
    let output = command.output().unwrap_or_else(|error| {
        panic!("{shell}: {error}: run `apt-get install {shell}`, or `cargo xtask test`")
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn completion_knows_verbs_flags_and_words() {
    let nowhere = Path::new("/nonexistent/fusiond.sock");
    for (name, shell) in SHELLS {
        let lines = [
            "fusionctl ta",
            "fusionctl task sub",
            "fusionctl task submit --capa",
            "fusionctl task list --state run",
        ];
        let (said, complaint) = offered(name, shell(&lines), nowhere);
        for word in ["task", "submit", "--capability", "running"] {
            assert!(said.contains(word), "{name} does not offer {word}: {said}{complaint}");
        }
    }
}

#[test]
fn completion_knows_ids_names_labels_and_profiles() {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "builder", "--profile", "shell"]);
    let task = ctl.submit("exit 0", &["--capability", "fly", "--label", "batch=7", "--key", "k1"]);
    let short = format!("tsk_{}", &task[task.len() - 8..]);
    for (name, shell) in SHELLS {
        let whole = format!("fusionctl task show {}", &task[..20]);
        let lines = [
            "fusionctl agent show ",
            "fusionctl task cancel ts",
            "fusionctl task list --label ba",
            "fusionctl agent spawn x --profile ",
            whole.as_str(),
        ];
        let (said, complaint) = offered(name, shell(&lines), &daemon.socket());
        for word in ["builder", short.as_str(), "batch=7", "command", task.as_str()] {
            assert!(said.contains(word), "{name} does not offer {word}: {said}{complaint}");
        }
    }
}

#[test]
fn completion_is_silent_when_no_daemon_answers() {
    for (name, shell) in SHELLS {
        let lines = ["fusionctl agent show bu", "fusionctl task show tsk_"];
        let (said, complaint) = offered(name, shell(&lines), Path::new("/nonexistent/fusiond.sock"));
        assert_eq!((said.trim(), complaint.trim()), ("", ""), "{name}");
    }
}

#[test]
fn completion_knows_the_flags_of_the_daemon() {
    let fusiond = binary("fusiond");
    for (name, ask) in [
        (
            "bash",
            "source <(fusiond completion bash); COMP_WORDS=(fusiond --ro); COMP_CWORD=1\n\
             _fusiond fusiond --ro fusiond; printf '%s\\n' \"${COMPREPLY[@]}\"",
        ),
        (
            "zsh",
            "compdef() { : }; _arguments() { print -l -- $@ }; source <(fusiond completion zsh); _fusiond",
        ),
        ("fish", "fusiond completion fish | source; complete -C 'fusiond --ro'"),
    ] {
        let mut command = Command::new(name);
        command.args([if name == "fish" { "--no-config" } else { "-f" }, "-c", ask]);
        let (said, complaint) = offered(name, command, &fusiond);
        assert!(said.contains("--root"), "{name} does not offer --root: {said}{complaint}");
    }
}
