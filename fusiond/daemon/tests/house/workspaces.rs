//! Workspaces are removed without touching anything else.

use std::os::unix::fs::symlink;

use fusion_core::Outcome;
use fusion_core::workspace::Removal;
use fusiond::runtime::{BackendChoice, Order};

use crate::rig::{Rig, UID, code, on_runtime};

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
