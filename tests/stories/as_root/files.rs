//! Stories about files of attempts where root serves a user: whatever the user puts in their place, root does not touch it.

use fusion_tests::{Daemon, users};

use crate::task_files;

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
