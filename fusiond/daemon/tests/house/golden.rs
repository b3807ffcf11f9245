//! A state that version 1 of all stored shapes wrote is still read: the backup `v1.ckpt` of a daemon
//! with agents and tasks in many states.
//!
//! When a stored shape changes, this fails: raise `engine::SCHEMA`, write a step in `engine::migrate`, and
//! add a file of the new version beside this one. Not here: the store's own format (`store::tests`).

use std::fmt::Write as _;
use std::path::Path;

use fusion_core::State;
use fusiond::{engine, store};

fn load() -> State {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("store");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/house/v1.ckpt");
    store::restore(&file, &dir, engine::SCHEMA).expect("the backup is whole");
    let mut config = store::Config::new(&dir);
    config.probe = store::Probe::Skip;
    config.schema = engine::SCHEMA;
    config.migrations = engine::MIGRATIONS;
    let (store, _) = store::Store::open(config).expect("the store opens");
    engine::load(&store, fusion_core::Config::default()).expect("the state is read")
}

fn tell(state: &State) -> String {
    let mut text = format!("epoch {}, last event {}\n", state.meta.epoch, state.seq);
    for agent in state.agents() {
        let (spec, life) = (&agent.spec, agent.life.word());
        let offers = &spec.capabilities;
        writeln!(
            text,
            "agent {} ({}) {life}, life {}, offers: {offers}",
            spec.name, spec.profile, agent.incarnation
        )
        .expect("a string grows");
    }
    for task in state.tasks() {
        let (title, state, tries) = (&task.spec.title, task.state.word(), task.attempts.len());
        let failure = task.state.failure().map_or("", |failure| failure.code.code());
        writeln!(text, "task {title:?} {state} {failure}, {tries} tries").expect("a string grows");
    }
    text
}

#[test]
fn a_state_of_version_one_is_read() {
    let expected = include_str!("v1.txt");
    assert_eq!(tell(&load()), expected);
}
