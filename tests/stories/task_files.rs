//! Stories of profiles that take their prompt or give their result in a file.

use fusion_tests::{Ctl, Daemon};

use crate::last_attempt;

/// The prompt is a script, the result what it leaves in its output file.
const PROFILE: &str = "[profile.filed]\nprompt = \"file\"\nresult = \"file\"\n\
    command = [\"/bin/sh\", \"-c\", \"exec /bin/sh \\\"$FUSION_INPUT\\\"\"]\n";

/// Gives the daemon a profile with files and an agent of it, "f".
pub(crate) fn with_file_agent(daemon: &mut Daemon) -> Ctl {
    with_profile(daemon, PROFILE);
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "f", "--profile", "filed"]);
    ctl
}

fn with_profile(daemon: &mut Daemon, profile: &str) {
    let folder = daemon.root().join("profiles.d");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("filed.toml"), profile).expect("a file");
    daemon.kill9();
    daemon.start_again();
}

/// What there is in the folder for files in the workspace of the agent "f".
pub(crate) fn files_left(ctl: &Ctl) -> Vec<String> {
    let workspace = ctl.json(&["agent", "show", "f"])["workspace"].as_str().expect("a path").to_owned();
    let entries = std::fs::read_dir(std::path::Path::new(&workspace).join(".fusiond")).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn task_files_that_cannot_be_a_result_are_a_failure_of_their_own() {
    let mut daemon = Daemon::start();
    let ctl = with_file_agent(&mut daemon);
    let secret = daemon.folder().join("secret");
    std::fs::write(&secret, "secret").expect("a file");
    for (make, says) in [
        (format!("ln -s {} \"$FUSION_OUTPUT\"", secret.display()), "link"),
        ("mkdir \"$FUSION_OUTPUT\"".to_owned(), "regular file"),
        ("mkfifo \"$FUSION_OUTPUT\"".to_owned(), "regular file"),
        ("head -c 1048577 /dev/zero > \"$FUSION_OUTPUT\"".to_owned(), "larger than 1048576 bytes"),
        ("cd \"$FUSION_WORKSPACE\" && mv .fusiond elsewhere && ln -s elsewhere .fusiond".to_owned(), "link"),
    ] {
        let task = ctl.submit(&format!("rm \"$FUSION_OUTPUT\"; {make}"), &[]);
        let ended = ctl.ended(&task);
        assert_eq!(ended["state"], "failed", "{make}: {ended}");
        assert_eq!(ended["failure"]["code"], "output_invalid", "{make}: {ended}");
        assert!(ended["failure"]["message"].as_str().is_some_and(|text| text.contains(says)), "{ended}");
        assert_eq!(last_attempt(&ended)["exitCode"], 0, "{ended}");
        assert_eq!(ctl.ok(&["task", "result", &task]), "");
        let workspace = ctl.json(&["agent", "show", "f"])["workspace"].as_str().expect("a path").to_owned();
        let link = std::path::Path::new(&workspace).join(".fusiond");
        if link.is_symlink() {
            std::fs::remove_file(link).expect("the link");
        }
    }
}

#[test]
fn task_files_may_be_absent_renamed_into_place_or_of_a_failed_program() {
    let mut daemon = Daemon::start();
    let ctl = with_file_agent(&mut daemon);
    let most = 1 << 20;
    for (script, state, result) in [
        ("rm \"$FUSION_OUTPUT\"".to_owned(), "succeeded", String::new()),
        ("true".to_owned(), "succeeded", String::new()),
        ("echo new > tmp && mv tmp \"$FUSION_OUTPUT\"".to_owned(), "succeeded", "new".to_owned()),
        ("echo partly > \"$FUSION_OUTPUT\"; exit 3".to_owned(), "failed", "partly".to_owned()),
        (
            format!("head -c {most} /dev/zero | tr '\\0' x > \"$FUSION_OUTPUT\""),
            "succeeded",
            "x".repeat(most),
        ),
    ] {
        let task = ctl.submit(&script, &[]);
        let ended = ctl.ended(&task);
        assert_eq!(ended["state"], state, "{script}: {ended}");
        assert!(ctl.ok(&["task", "result", &task]) == result, "{script}");
    }
}

#[test]
fn task_files_are_only_made_where_they_are_asked_for() {
    let mut daemon = Daemon::start();
    let profile = "[profile.filed]\nresult = \"file\"\ncommand = [\"/bin/sh\"]\n";
    with_profile(&mut daemon, profile);
    let ctl = daemon.ctl();
    ctl.ok(&["agent", "spawn", "f", "--profile", "filed"]);
    let task = ctl.submit("test -z \"$FUSION_INPUT\" && echo from stdin > \"$FUSION_OUTPUT\"", &[]);
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &task]), "from stdin");
    // A command has its standard streams alone.
    let command = ctl.id(&["task", "submit", "--run", "--", "sh", "-c", "echo \"<$FUSION_OUTPUT>\""]);
    assert_eq!(ctl.ended(&command)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "logs", &command]), "<>");
}
