//! The man pages: one for the program, one for each noun and verb. `cargo xtask man` keeps them.
//!
//! Not for: how they are made (`fusion_tests::man`), nor the words themselves; they stand beside each verb.

use fusion_tests::man;

#[test]
fn every_verb_has_a_page_that_renders() {
    let mut pages = man::write(fusionctl::command(), "1", &["fusiond(8)", "fusion-run(1)"]);
    pages.extend(man::write(fusionctl::speckit_command(), "1", &["fusionctl(1)"]));
    let has = |name: &str| pages.iter().any(|page| page.ends_with(name));
    for name in [
        "fusionctl.1",
        "fusion-run.1",
        "fusionctl-task.1",
        "fusionctl-task-submit.1",
        "fusionctl-system-doctor.1",
    ] {
        assert!(has(name), "{name} is not among {pages:?}");
    }
}
