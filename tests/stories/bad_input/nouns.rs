//! What is refused besides agents and tasks, and by the verbs that change or join them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use fusion_tests::{Ctl, Done};

use super::{Transcript, check, stage};

#[test]
fn bad_input_to_the_rest_is_told() {
    let (daemon, ctl) = stage();
    let mut told = Transcript::new(&daemon);
    let there = daemon.folder().join("there");
    fs::write(&there, "not a backup").unwrap();
    let there = there.to_str().unwrap();
    let root = daemon.root();
    let root = root.to_str().unwrap();
    for case in [
        &["event", "list", "--since", "yesterday"][..],
        &["event", "tail", "--since", "-1"],
        &["profile", "show", "nope"],
        &["why", "nothing"],
        &["why", "agt_nothing"],
        &["system", "backup", "/no/such/folder/file"],
        &["system", "restore", there],
        &["system", "restore", there, "--root", root],
        &["system", "restore", "/no/such/file", "--root", "/no/such/root"],
        &["system", "shutdown", "--agents", "maybe"],
        &["completion", "tcsh"],
        &["agent", "frobnicate"],
        &["frobnicate"],
        &["-o", "xml", "agent", "list"],
        &["--color", "sometimes", "agent", "list"],
        &["--host", "ssh://box", "agent", "list"],
    ] {
        told.refused(&ctl, case, "");
    }
    let deep = format!("/{}", "d/".repeat(60));
    for socket in ["/no/such/socket", there, &deep] {
        told.refused_at(&ctl, &ctl.through(Path::new(socket)), &["agent", "list"], "");
    }
    let output = ctl.command(&["-o", "json", "task", "submit"]).arg(OsStr::from_bytes(b"caf\xe9")).output();
    let output = output.expect("fusionctl can be started");
    let code = output.status.code().unwrap_or(-1);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(code, 2, "{stderr}");
    told.note(
        &["task", "submit", "caf\u{fffd}"],
        &Done { command: String::new(), code, stdout: String::new(), stderr },
    );
    check("bad_input_rest", told);
}

#[test]
fn bad_input_to_what_changes_is_told() {
    let (daemon, ctl) = stage();
    let mut told = Transcript::new(&daemon);
    let done = ctl.submit("say x", &["--key", "done"]);
    ctl.ended(&done);
    let _queued = ctl.submit("say x", &["--key", "queued", "--capability", "nobody"]);
    ctl.ok(&["agent", "spawn", "w", "--profile", "shell", "--replicas", "2"]);
    let env_file = daemon.folder().join("env");
    fs::write(&env_file, "GOOD=1\nno value here\n").unwrap();
    let env_file = env_file.to_str().unwrap();
    let spawn = |rest: &[&'static str]| -> Vec<String> {
        ["agent", "spawn", "x", "--profile", "shell"]
            .iter()
            .chain(rest)
            .map(|word| (*word).to_owned())
            .collect()
    };
    for case in [
        spawn(&["--replicas", "0"]),
        spawn(&["--replicas", "1001"]),
        spawn(&["--secret", "NOPE"]),
        spawn(&["--secret", "two words"]),
        spawn(&["--from", "/srv/two\nlines"]),
        spawn(&["--worktree"]),
        spawn(&["--env-file", "/no/such/file"]),
    ] {
        told.refused(&ctl, &case.iter().map(String::as_str).collect::<Vec<_>>(), "");
    }
    for case in [
        &["task", "submit", "x", "--env-file", env_file][..],
        &["agent", "scale", "nobody", "2"],
        &["agent", "scale", "w", "many"],
        &["agent", "scale", "w", "1001"],
        &["agent", "update", "a"],
        &["agent", "update", "a", "--name", "two words"],
        &["agent", "update", "a", "--name", "w-1"],
        &["agent", "update", "nobody", "--name", "b"],
        &["agent", "remove", "a"],
        &["agent", "remove", "nobody"],
        &["agent", "attach", "nobody"],
        &["agent", "attach", "a", "--detach-keys", "ctrl-"],
        &["agent", "send", "a", "hello"],
        &["workspace", "path", "nobody"],
        &["workspace", "remove", "a"],
        &["task", "update", "key:queued"],
        &["task", "update", "key:done", "--priority", "1"],
        &["task", "update", "key:queued", "--prompt", ""],
        &["task", "hold", "key:done"],
        &["task", "release", "key:done"],
        &["task", "cancel"],
        &["task", "cancel", "--label", "novalue"],
        &["task", "logs", "key:done", "--grep", "("],
        &["task", "show", &"x".repeat(100_000)],
        &["task", "logs", "key:done", "--attempt", "3"],
        &["task", "logs", "key:done", "--since", "tomorrow"],
        &["task", "list", "--agent", "nobody"],
        &["run", "nope", "x"],
        &["run", "shell"],
        &["run", "shell", "x", "--", "ls"],
    ] {
        told.refused(&ctl, case, "");
    }
    check("bad_input_changes", told);
}

#[test]
fn bad_input_to_secrets_profiles_and_settings_is_told() {
    let (daemon, ctl) = stage();
    let mut told = Transcript::new(&daemon);
    let long = "x".repeat(65 << 10);
    for (args, value) in [
        (&["secret", "set", "two words"][..], "value"),
        (&["secret", "set", "TOKEN"], ""),
        (&["secret", "set", "TOKEN"], "abc"),
        (&["secret", "set", "TOKEN"], "a\0bcd"),
        (&["secret", "set", "TOKEN"], long.as_str()),
        (&["secret", "set"], ""),
        (&["secret", "remove", "NOPE"], ""),
    ] {
        told.refused(&ctl, args, value);
    }
    for toml in [
        "[profile.mine]\nkind = \"exec\"\ncommand = [\"ls\"]\ncolour = \"red\"\n",
        "[profile.mine]\nkind = \"exec\"\ncomand = [\"ls\"]\n",
        "[profile.mine]\nkind = \"magic\"\ncommand = [\"ls\"]\n",
        "[profile.mine]\nkind = \"exec\"\ncommand = []\n",
        "[profile.\"two words\"]\nkind = \"exec\"\ncommand = [\"ls\"]\n",
        "[profile.mine]\nkind = \"exec\"\ncommand = [\"ls\"]\nprompt = \"telepathy\"\nresult = 7\n",
        "[profile.mine\n",
        "",
    ] {
        told.refused(&ctl, &["profile", "apply", "-"], toml);
    }
    told.refused(&ctl, &["profile", "apply", "/no/such/file"], "");
    told.refused(&ctl, &["profile", "apply", "--remove", "nope"], "");
    told.refused(&ctl, &["profile", "apply", "--remove", "shell"], "");
    reload(&mut told, &ctl, &daemon.folder().join("fusiond.toml"));
    check("bad_input_settings", told);
}

/// A reload with a problem in the file changes nothing.
fn reload(told: &mut Transcript, ctl: &Ctl, config: &Path) {
    let before = fs::read_to_string(config).expect("it was written");
    fs::write(config, "[limits]\nmax_concurent_agents = 5\nmax_running = \"many\"\n")
        .expect("our own folder");
    told.refused(ctl, &["system", "reload"], "");
    fs::write(config, before).expect("our own folder");
}
