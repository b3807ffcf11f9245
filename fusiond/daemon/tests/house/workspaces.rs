//! Workspaces are removed without touching anything else.

use std::os::unix::fs::symlink;

use fusion_core::workspace::Removal;
use fusion_core::{AgentId, Outcome};
use fusion_tests::Fifo;
use fusiond::runtime::{BackendChoice, Order};

use crate::rig::{Rig, UID, code, on_runtime, shim};

#[test]
fn a_removal_takes_the_tree_and_the_folders_and_nothing_outside() {
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::Auto, "");
        let outside = tempfile::tempdir().expect("a folder");
        std::fs::write(outside.path().join("precious"), "stays").expect("a file");
        std::os::unix::fs::chown(outside.path(), Some(UID), None).expect("chown");
        rig.launch().await;
        let script = format!(
            "ln -s {0} link; ln -s {0}/precious file; mkdir locked; touch locked/x; chmod 000 locked; \
             i=0; while [ $i -lt 300 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done; ln -s {0} deepest",
            outside.path().display()
        );
        assert_eq!(code(&rig.run(1, &script).await), 0);
        rig.order(Order::RemoveWorkspace { setup: rig.setup(1), what: Removal::All });
        let kept = rig.next().await;
        assert!(matches!(kept, Outcome::WorkspaceKept { .. }), "the agent lives: {kept:?}");
        rig.hands.runtime.order(vec![rig.ack(1), rig.stop_shim(1, 0)]);
        assert!(matches!(rig.next().await, Outcome::ShimGone { .. }));
        rig.order(Order::RemoveWorkspace { setup: rig.setup(1), what: Removal::All });
        let removed = rig.next().await;
        assert!(matches!(removed, Outcome::WorkspaceRemoved { .. }), "{removed:?}");
        assert!(!rig.workspace().exists() && !rig.state_folder(1).exists());
        assert_eq!(std::fs::read_to_string(outside.path().join("precious")).expect("it stays"), "stays");
        // Again, as after a crash.
        rig.order(Order::RemoveWorkspace { setup: rig.setup(1), what: Removal::All });
        assert!(matches!(rig.next().await, Outcome::WorkspaceRemoved { .. }));
        rig.clean_up().await;
    });
}

#[test]
fn a_link_in_the_place_of_a_workspace_is_never_followed() {
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::Auto, "");
        let outside = tempfile::tempdir().expect("a folder");
        std::fs::write(outside.path().join("precious"), "stays").expect("a file");
        rig.launch().await;
        rig.order(rig.stop_shim(1, 0));
        assert!(matches!(rig.next().await, Outcome::ShimGone { .. }));
        // What the user may do with a folder of its own.
        std::fs::rename(rig.workspace(), rig.workspace().with_extension("moved")).expect("a rename");
        symlink(outside.path(), rig.workspace()).expect("a link");
        rig.order(Order::Launch { setup: rig.setup(2) });
        let Outcome::ShimFailed { reason, .. } = rig.next().await else { panic!("a link was followed") };
        assert!(reason.contains("cannot make the workspace"), "{reason}");
        rig.order(Order::RemoveWorkspace { setup: rig.setup(2), what: Removal::All });
        let removed = rig.next().await;
        assert!(matches!(removed, Outcome::WorkspaceRemoved { .. }), "{removed:?}");
        assert!(std::fs::symlink_metadata(rig.workspace()).is_err());
        assert!(outside.path().join("precious").exists());
        rig.clean_up().await;
    });
}

#[test]
fn somebody_elses_folder_in_the_place_of_a_workspace_is_refused() {
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::Auto, "");
        std::fs::create_dir_all(rig.workspace()).expect("folders of root");
        rig.order(Order::Launch { setup: rig.setup(1) });
        let Outcome::ShimFailed { reason, .. } = rig.next().await else {
            panic!("a strange folder was used")
        };
        assert!(reason.contains("a folder of user 0 is in its place"), "{reason}");
        rig.clean_up().await;
    });
}

/// More than works that block at once.
const STOPPED: u128 = 20;

#[test]
fn removals_that_their_user_has_stopped_hold_up_nobody_and_nothing_is_lost() {
    use std::os::unix::fs::{PermissionsExt, chown};
    on_runtime(async {
        let mut rig = Rig::new(BackendChoice::None, "");
        let mut stopped = Fifo::new(&rig.root().join("stopped"));
        let stops = rig.root().join("stops");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = rm-tree ]; then echo $$ >> {}; kill -STOP $$; fi\nexec {} \"$@\"\n",
            rig.root().join("stopped").display(),
            shim().display()
        );
        std::fs::write(&stops, script).expect("a script");
        std::fs::set_permissions(&stops, PermissionsExt::from_mode(0o755)).expect("chmod");
        rig.restart_with(stops);
        let agents: Vec<AgentId> = (1..=STOPPED).map(|number| AgentId(rig.agent.0 + number)).collect();
        for agent in &agents {
            let workspace = rig.workspace_of(*agent);
            std::fs::create_dir_all(&workspace).expect("a folder");
            std::fs::write(workspace.join("file"), "x").expect("a file");
            for path in [workspace.parent().expect("of the user"), &workspace] {
                chown(path, Some(UID), Some(UID)).expect("chown");
                std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).expect("chmod");
            }
            rig.order(Order::RemoveWorkspace { setup: rig.setup_of(*agent, 1), what: Removal::All });
        }
        let first = stopped.next_line();
        rig.launch().await;
        end(&first);
        for left in (0..STOPPED).rev() {
            let kept = rig.next().await;
            assert!(matches!(kept, Outcome::WorkspaceKept { .. }), "{kept:?}");
            if left > 0 {
                end(&stopped.next_line());
            }
        }
        rig.restart_with(shim());
        for agent in &agents {
            rig.order(Order::RemoveWorkspace { setup: rig.setup_of(*agent, 1), what: Removal::All });
        }
        for _ in &agents {
            let removed = rig.next().await;
            assert!(matches!(removed, Outcome::WorkspaceRemoved { .. }), "{removed:?}");
        }
        assert!(agents.iter().all(|agent| !rig.workspace_of(*agent).exists()));
        let trash = std::fs::read_dir(rig.root().join("workspaces/.trash")).expect("a folder");
        assert_eq!(trash.count(), 0);
        rig.clean_up().await;
    });
}

fn end(pid: &str) {
    let killed = std::process::Command::new("kill").args(["-KILL", pid]).status().expect("kill");
    assert!(killed.success());
}
