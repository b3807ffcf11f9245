//! Broken definitions and what is said of each: a person should be able to mend each from the message alone.
//!
//! `INSTA_UPDATE=always` writes the snapshot anew.

use serde_json::{Value, json};
use std::fmt::Write as _;

mod mutations;

/// Definitions, each broken in one way or a few.
const BAD: &str = include_str!("bad.yaml");

/// A definition with every word that there is.
const GOOD: &str = include_str!("good.yaml");

fn definitions() -> Vec<(&'static str, &'static str)> {
    let parts = BAD.split("\n#### ").skip(1);
    parts.map(|part| part.split_once('\n').expect("a title stands above each")).collect()
}

#[test]
fn bad_definitions_say_what_is_wrong_where_and_what_to_do() {
    let mut out = String::new();
    let all = definitions();
    assert!(all.len() >= 130, "{} definitions", all.len());
    for (title, text) in all {
        let read = fusion_workflow::read_yaml(text);
        assert!(!read.problems.is_empty(), "nothing is wrong with: {title}");
        assert!(read.problems.len() < 13, "{title}: {} problems", read.problems.len());
        writeln!(out, "#### {title}").unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for problem in &read.problems {
            writeln!(out, "{}", problem.render("flow.yaml", &lines)).unwrap();
        }
        out.push('\n');
    }
    insta::assert_snapshot!("bad_definitions", out);
}

/// A definition that is wrong in whatever way, as JSON, with one more node whose need is wrong as well.
fn with_a_wrong_need(text: &str) -> Option<Value> {
    let mut value = fusion_workflow::yaml::read(text).0?.to_json();
    let map = value.as_object_mut()?;
    let nodes = map.entry("nodes").or_insert_with(|| json!([])).as_array_mut()?;
    nodes.push(json!({"id": "further", "needs": ["nope"], "run": ["true"]}));
    Some(value)
}

#[test]
fn one_mistake_hides_no_other() {
    let mut tried = 0;
    for (title, text) in definitions() {
        let Some(value) = with_a_wrong_need(text) else { continue };
        tried += 1;
        let read = fusion_workflow::read_json(&value.to_string());
        let told = read.problems.iter().any(|problem| problem.message.contains("needs \"nope\""));
        assert!(told, "{title}: {:?}", read.problems);
    }
    assert!(tried >= 100, "{tried} definitions");
}

/// Whatever a value is replaced by, the rest is checked.
#[test]
fn no_wrong_value_hides_a_mistake() {
    let mut whole = fusion_workflow::yaml::read(GOOD).0.unwrap().to_json();
    assert!(fusion_workflow::read_json(&whole.to_string()).definition.is_some());
    whole["nodes"].as_array_mut().unwrap().push(json!({"id": "further", "needs": ["nope"], "run": ["true"]}));
    let mut tried = 0;
    for value in mutations::of(&whole) {
        let further = value.whole["nodes"].as_array().and_then(|nodes| nodes.last());
        if further.is_none_or(|node| node["needs"] != json!(["nope"])) {
            continue;
        }
        tried += 1;
        let read = fusion_workflow::read_json(&value.whole.to_string());
        let told = read.problems.iter().any(|problem| problem.message.contains("needs \"nope\""));
        assert!(told, "{}: {:?}", value.what, read.problems);
        assert!(read.problems.iter().all(|problem| !problem.hint.is_empty()), "{:?}", read.problems);
    }
    assert!(tried >= 1000, "{tried} values");
}

#[test]
fn every_mistake_says_what_to_do() {
    for (title, text) in definitions() {
        for problem in fusion_workflow::read_yaml(text).problems {
            assert!(!problem.hint.is_empty(), "{title}: {problem}");
        }
    }
}

#[test]
fn garbage_is_no_panic() {
    let mut seed = 1_u64;
    let words = [
        "name: a",
        "nodes:",
        "- id: x",
        "  run: [a]",
        "{{",
        "}}",
        "{%",
        "\"",
        "'",
        "&a",
        "*a",
        "[",
        "]",
        ": ",
        "\t",
        "- ",
        "é",
        "|",
        ">",
        "needs: x",
    ];
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(words[usize::try_from(seed >> 33).unwrap() % words.len()]);
            if seed >> 60 < 8 {
                text.push('\n');
            }
        }
        let lines: Vec<&str> = text.lines().collect();
        for problem in fusion_workflow::read_yaml(&text).problems {
            let _rendered = problem.render("f", &lines);
        }
    }
}
