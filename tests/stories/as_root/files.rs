//! Stories about files and programs of users whom root serves: root does not touch what a user puts in their place.

use fusion_tests::{Daemon, users};

use crate::{system, task_files};

#[test]
fn users_files_of_attempts_are_theirs_and_lead_nowhere() {
    let mut daemon = Daemon::start();
    task_files::with_file_agent(&mut daemon);
    let owner = daemon.ctl().as_user(&users::first());
    owner.ok(&["agent", "spawn", "f", "--profile", "filed"]);
    let uid = users::first().uid;
    let script = format!(
        "test $(stat -c %u \"$FUSION_INPUT\") = {uid} && test $(stat -c %u \"$FUSION_OUTPUT\") = {uid} && \
         test $(stat -c %a \"$(dirname \"$FUSION_INPUT\")\") = 700 && echo mine > \"$FUSION_OUTPUT\""
    );
    let task = owner.submit(&script, &[]);
    assert_eq!(owner.ended(&task)["state"], "succeeded");
    assert_eq!(owner.ok(&["task", "result", &task]), "mine");
    // Only root can read this one, by whatever name.
    let secret = daemon.folder().join("secret");
    std::fs::write(&secret, "secret").expect("a file");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    for trick in [
        format!("ln -sf {} \"$FUSION_OUTPUT\"", secret.display()),
        format!(
            "d=$(dirname \"$FUSION_OUTPUT\"); rm -r \"$d\"; ln -s {} \"$d\"; ln -s secret {}/output 2>&-; true",
            daemon.folder().display(),
            daemon.folder().display()
        ),
    ] {
        let task = owner.submit(&trick, &[]);
        let ended = owner.ended(&task);
        assert_eq!(ended["failure"]["code"], "output_invalid", "{ended}");
        assert_eq!(owner.ok(&["task", "result", &task]), "");
    }
    assert_eq!(std::fs::read_to_string(secret).expect("the file"), "secret");
}

#[test]
fn users_programs_are_looked_for_as_the_user_who_asks() {
    let mut daemon = Daemon::start();
    system::with_programs(&mut daemon);
    let found = system::found_programs(&daemon, &daemon.ctl().as_user(&users::first()));
    let there = found.iter().find(|(name, ..)| name == "profile there").expect("it was looked for");
    assert_eq!(there.2, format!("installed: --version hi {}", users::first().uid));
}
