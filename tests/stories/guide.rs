//! The documents are sessions that work as they stand: a newcomer types what they show and sees what they show.

use std::path::{Path, PathBuf};

use fusion_tests::console;

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn play(name: &str, before: &str) {
    if let Err(wrong) = console::play(&document(name), before) {
        panic!("run this test with UPDATE_DOCS=1 when the document is what is wrong\n{wrong}");
    }
}

#[test]
fn the_readme_works_as_written() {
    play("README.md", "");
}

#[test]
fn first_agents_work_as_written() {
    play("docs/guide/first-agents.md", console::STARTED);
}

#[test]
fn task_files_work_as_written() {
    play("docs/guide/task-files.md", console::STARTED);
}

#[test]
fn recovery_works_as_written() {
    play("docs/guide/recovery.md", console::STARTED);
}

#[test]
fn secrets_work_as_written() {
    play("docs/guide/secrets.md", console::STARTED);
}

#[test]
fn workspaces_work_as_written() {
    play("docs/guide/workspaces.md", console::STARTED);
}

/// A guide without a test would go stale.
#[test]
fn every_guide_is_played() {
    let own =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("stories/guide.rs")).unwrap();
    for entry in std::fs::read_dir(document("docs/guide")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(own.contains(&format!("\"docs/guide/{name}\"")), "docs/guide/{name} is played by no test");
    }
}
