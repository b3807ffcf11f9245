//! The documents are sessions that work as they stand: a newcomer types what they show and sees what they show.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fusion_tests::console::{self, Played};

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn play(name: &str, before: &str) -> Vec<Played> {
    console::play(&document(name), before).unwrap_or_else(|wrong| {
        panic!("run this test with UPDATE_DOCS=1 when the document is what is wrong\n{wrong}")
    })
}

/// A guide goes on where the README started a daemon.
fn play_guide(name: &str) -> Vec<Played> {
    play(name, &console::started(&document("README.md")))
}

/// `cargo xtask newcomer` does the same from a clean clone, with the real build.
#[test]
fn the_readme_works_as_written_and_leads_to_a_result_within_a_minute() {
    let played = play("README.md", "");
    let time = console::time_to_first_result(&played).expect("the README shows a result");
    assert!(time < Duration::from_secs(60), "the first result took {time:?}");
}

#[test]
fn first_agents_work_as_written_and_are_ten_things() {
    let played = play_guide("docs/guide/first-agents.md");
    let mut things: Vec<&str> = played.iter().map(|step| step.heading.as_str()).collect();
    things.dedup();
    assert_eq!(things.len(), 10, "{things:?}");
}

#[test]
fn task_files_work_as_written() {
    drop(play_guide("docs/guide/task-files.md"));
}

#[test]
fn workflows_work_as_written() {
    drop(play_guide("docs/guide/workflows.md"));
}

#[test]
fn recovery_works_as_written() {
    drop(play_guide("docs/guide/recovery.md"));
}

#[test]
fn secrets_work_as_written() {
    drop(play_guide("docs/guide/secrets.md"));
}

#[test]
fn spec_kit_works_as_written() {
    drop(play_guide("docs/guide/spec-kit.md"));
}

#[test]
fn workspaces_work_as_written() {
    drop(play_guide("docs/guide/workspaces.md"));
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
