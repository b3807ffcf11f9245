//! The published JSON Schema says what the reader says: it takes what is right, and refuses what the words do not allow.

use fusion_workflow::schema::{Checker, published};
use fusion_workflow::tree::Tree;
use fusion_workflow::{Severity, shape, words, yaml};
use std::fs;
use std::path::Path;

mod mutations;

/// Definitions, each broken in one way or a few.
const BAD: &str = include_str!("bad.yaml");

fn definitions() -> impl Iterator<Item = (&'static str, &'static str)> {
    BAD.split("\n#### ").skip(1).map(|part| part.split_once('\n').expect("a title stands above each"))
}

/// A definition with every word that there is.
const EVERY_WORD: &str = include_str!("good.yaml");

fn checker() -> Checker {
    Checker::new(&published()).expect("the published schema is one")
}

#[test]
fn the_schema_takes_the_examples_and_all_that_is_no_error() {
    let checker = checker();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/workflows");
    let mut good = vec![("every word".to_owned(), EVERY_WORD.to_owned())];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        good.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
    }
    assert!(good.len() >= 5, "{good:?}");
    good.extend(definitions().map(|(title, text)| (title.to_owned(), text.to_owned())));
    let mut taken = 0;
    for (title, text) in good {
        let read = fusion_workflow::read_yaml(&text);
        if read.problems.iter().any(|problem| problem.severity == Severity::Error) {
            continue;
        }
        taken += 1;
        let tree = yaml::document(&text).unwrap().unwrap();
        assert_eq!(checker.fault(&tree.to_json()), None, "{title}");
        let stored = serde_json::to_value(read.definition.unwrap()).unwrap();
        assert_eq!(checker.fault(&stored), None, "{title} as it is stored");
    }
    assert!(taken >= 15, "{taken} definitions");
}

#[test]
fn the_schema_refuses_what_the_words_do_not_allow() {
    let checker = checker();
    let mut refused = 0;
    for (title, text) in definitions() {
        let Ok(Some(tree)) = yaml::document(text) else { continue };
        let mut problems = Vec::new();
        shape::read(&tree, &words::DEFINITION, &mut problems);
        if problems.is_empty() {
            continue;
        }
        refused += 1;
        assert!(checker.fault(&tree.to_json()).is_some(), "{title}: {problems:?}");
    }
    assert!(refused >= 40, "{refused} definitions");
}

/// What is said where not exactly one of some words is there.
const OF_CHOICE: [&str; 4] = ["does nothing", "does several things", "must have one of", "must have either"];

#[test]
fn the_schema_and_the_reader_agree_on_every_value() {
    let checker = checker();
    let whole = yaml::document(EVERY_WORD).unwrap().unwrap().to_json();
    let (mut tried, mut apart) = (0, Vec::new());
    for value in mutations::of(&whole) {
        tried += 1;
        let mut problems = Vec::new();
        shape::read(&Tree::from_json(value.whole.clone()), &words::DEFINITION, &mut problems);
        let read = fusion_workflow::read_json(&value.whole.to_string());
        let of_choice = |words: &&str| read.problems.iter().any(|problem| problem.message.contains(words));
        let is_refused = !problems.is_empty() || OF_CHOICE.iter().any(of_choice);
        let fault = checker.fault(&value.whole);
        if is_refused != fault.is_some() {
            let told = read.problems.first().map(ToString::to_string);
            apart.push(format!("{}: the reader {told:?}, the schema {fault:?}", value.what));
        }
    }
    assert!(apart.is_empty(), "{}", apart.join("\n"));
    assert!(tried >= 1000, "{tried} values");
}

#[test]
fn the_schema_asks_for_exactly_one_thing_that_a_node_does() {
    let checker = checker();
    let fault = |text: &str| checker.fault(&yaml::document(text).unwrap().unwrap().to_json());
    for fine in ["prompt: p", "run: [a]", "approval: {}", "workflow: b", "wait: 1s", "done: true"] {
        assert_eq!(fault(&format!("name: a\nnodes: [{{id: x, {fine}}}]")), None, "{fine}");
    }
    for wrong in [
        "needs: y",
        "prompt: p, run: [a]",
        "done: true, wait: 1s",
        "wait: {for: 1s, until: 2030-01-01}",
        "wait: {}",
    ] {
        assert!(fault(&format!("name: a\nnodes: [{{id: x, {wrong}}}]")).is_some(), "{wrong}");
    }
    let hook = |text: &str| fault(&format!("name: a\nnodes: [{{id: x, run: [a]}}]\non_failure: {text}"));
    assert!(hook("{run: [a]}").is_none() && hook("{priority: 3}").is_some());
}
