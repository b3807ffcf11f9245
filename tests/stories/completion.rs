//! Stories of `completion`: real shells ask the real program, which asks the real daemon.

use std::path::Path;
use std::process::{Command, Stdio};

use fusion_tests::{Daemon, Deadline, binary};

use super::host::Server;

/// Asks what may come next, once for each line of words; a line that ends with a space asks for a new word.
type Shell = fn(&[&str]) -> Command;

const SHELLS: &[(&str, Shell)] = &[("bash", bash), ("zsh", zsh), ("fish", fish)];

/// Calls what bash calls at the key, with the words as bash cuts them; what stays of the word stands before each offer.
fn bash(lines: &[&str]) -> Command {
    let mut text = "source <(fusionctl completion bash)\n\
         ask() { COMP_LINE=$1 COMP_POINT=${#1}; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9\n\
           local cur=${COMP_WORDS[COMP_CWORD]}; case $cur in [:=@]) cur= ;; esac; COMPREPLY=()\n\
           _fusionctl fusionctl \"$cur\" ''; printf '%s\\n' \"${COMPREPLY[@]}\"; }\n"
        .to_owned();
    for line in lines {
        let mut words = Vec::new();
        for word in line.split(' ') {
            let mut parts = word.split_inclusive([':', '=', '@']).flat_map(|part| {
                let (word, sign) = part.split_at(part.len() - usize::from(part.ends_with([':', '=', '@'])));
                [word, sign].into_iter().filter(|part| !part.is_empty())
            });
            words.push(parts.next().unwrap_or_default());
            words.extend(parts);
        }
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        text.push_str(&format!("ask '{line}' {}\n", words.join(" ")));
    }
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", &text]);
    command
}

/// `_describe` belongs to an interactive zsh; here it prints what it is given.
fn zsh(lines: &[&str]) -> Command {
    let mut text =
        "compdef() { : }\n_describe() { print -l -- ${(P)3} }\nsource <(fusionctl completion zsh)\n\
         ask() { words=(\"$@\"); CURRENT=$#; _clap_dynamic_completer_fusionctl }\n"
            .to_owned();
    for line in lines {
        let words = line.strip_suffix(' ').map_or_else(|| (*line).to_owned(), |line| format!("{line} ''"));
        text.push_str(&format!("ask {words}\n"));
    }
    let mut command = Command::new("zsh");
    command.args(["-f", "-c", &text]);
    command
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

/// What the shell offers, and what it says on standard error.
fn offered(shell: &str, mut command: Command, socket: &Path) -> (String, String) {
    command.env("FUSION_SOCKET", socket);
    offered_with(shell, command, None)
}

/// The same with this folder before all others of PATH.
fn offered_with(shell: &str, mut command: Command, first: Option<&Path>) -> (String, String) {
    let programs = binary("fusionctl");
    let programs = programs.parent().expect("a program lies in a folder");
    let path = std::env::var_os("PATH").expect("there is a PATH");
    let folders = first.into_iter().chain([programs]).map(Path::to_owned).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders).expect("no colons")).stdin(Stdio::null());
    let home = tempfile::tempdir().expect("a temporary folder");
    command.env("HOME", home.path()).env("XDG_CACHE_HOME", home.path());
    let output = command.output().unwrap_or_else(|error| {
        panic!("{shell}: {error}: run `apt-get install {shell}`, or `cargo xtask test`")
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A busy machine may take longer than a key may: then nothing is offered, and a person presses it again.
fn asked_until(wanted: &[&str], ask: impl Fn() -> (String, String)) -> (String, String) {
    let deadline = Deadline::default();
    loop {
        let (said, complaint) = ask();
        if deadline.is_over() || wanted.iter().all(|word| said.contains(word)) {
            return (said, complaint);
        }
    }
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
    let flow =
        daemon.flow("nightly", "name: nightly\nnodes:\n- {id: x, run: ['true'], capabilities: [fly]}\n");
    ctl.ok(&["workflow", "apply", &flow]);
    let run = ctl.start_run(&flow, &[]);
    let short_run = format!("run_{}", &run[run.len() - 8..]);
    let _set = ctl.run_with(&["secret", "set", "TOKEN"], "a value\n").expect_code(0);
    for (name, shell) in SHELLS {
        let whole = format!("fusionctl task show {}", &task[..20]);
        let lines = [
            "fusionctl agent show ",
            "fusionctl task cancel ts",
            "fusionctl task list --label ba",
            "fusionctl agent spawn x --profile ",
            "fusionctl task show key:",
            whole.as_str(),
            "fusionctl workflow pause ru",
            "fusionctl workflow run ni",
            "fusionctl secret remove TO",
        ];
        let wanted = ["builder", &short, "batch=7", "command", &task, &short_run, "nightly", "TOKEN"];
        // bash completes what follows the sign.
        let wanted = wanted.into_iter().chain([if *name == "bash" { "\nk1" } else { "k1" }]);
        let wanted: Vec<&str> = wanted.collect();
        let (said, complaint) = asked_until(&wanted, || offered(name, shell(&lines), &daemon.socket()));
        for word in wanted {
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

#[test]
fn completion_asks_a_daemon_elsewhere() {
    let daemon = Daemon::start();
    daemon.ctl().ok(&["agent", "spawn", "faraway", "--profile", "shell"]);
    let server = Server::start();
    let line = format!("fusionctl --host {} agent show fa", server.address(&daemon));
    for (name, shell) in SHELLS {
        let ask = || offered_with(name, shell(&[&line]), Some(&server.programs()));
        let (said, complaint) = asked_until(&["faraway"], ask);
        assert!(said.contains("faraway") && complaint.is_empty(), "{name}: {said}{complaint}");
    }
}

/// An `ssh` that hangs is ended; one that fails is not heard.
#[test]
fn completion_is_silent_and_soon_done_when_the_other_machine_does_not_answer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path().display();
    let hangs = format!("#!/bin/sh\necho $$ > {here}/pid\nexec sleep 1000\n");
    for (script, ends) in
        [(hangs.as_str(), "hangs"), ("#!/bin/sh\necho no such host >&2\nexit 255\n", "fails")]
    {
        let ssh = folder.path().join("ssh");
        std::fs::write(&ssh, script).expect("our own folder");
        std::fs::set_permissions(&ssh, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("our own file");
        let line = "fusionctl --host ssh://far agent show fa";
        let said = offered_with("bash", bash(&[line]), Some(folder.path()));
        assert_eq!((said.0.trim(), said.1.trim()), ("", ""), "ssh {ends}");
    }
    // A shell that was ended before it wrote its number left nothing, either.
    if let Ok(pid) = std::fs::read_to_string(folder.path().join("pid")) {
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "the ssh that hung is still there");
    }
}
