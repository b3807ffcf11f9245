//! The published JSON Schema says what the reader says: it takes what is right, and refuses what the words do not allow.

use fusion_workflow::schema::{Checker, published};
use fusion_workflow::{Severity, shape, words, yaml};
use std::fs;
use std::path::Path;

/// Definitions, each broken in one way or a few.
const BAD: &str = include_str!("bad.yaml");

fn definitions() -> impl Iterator<Item = (&'static str, &'static str)> {
    BAD.split("\n#### ").skip(1).map(|part| part.split_once('\n').expect("a title stands above each"))
}

/// A definition with every word that there is but `agent` beside `profile`.
const EVERY_WORD: &str = r#"
name: all
description: d
inputs: {n: {type: integer, required: true, description: d}, m: {enum: [a, b], default: a}}
defaults: {capabilities: [code], agent: ada, priority: 3, timeout: 10m, idle_timeout: 1m, queue_timeout: 1h,
  retries: 2, on_lost: retry, env: {A: 1}, workdir: /srv}
concurrency: 4
timeout: 1h30m
labels: {team: x}
budget: {time: 2h, attempts: 20}
tasks_file: /srv/tasks.md
on_success: {run: [a], capabilities: [sh], profile: claude, priority: 1, timeout: 1s500ms, retries: 1, env: {A: b}}
on_failure: {prompt: p, agent: ada}
nodes:
- {id: a, prompt: p, description: d, capabilities: [code], agent: ada, priority: 9, timeout: 1m, idle_timeout: 1m,
   queue_timeout: 1m, retries: 1, on_lost: fail, concurrency_key: k, env: {B: true}, workdir: /srv, secrets: [k=V],
   foreach: [1, {a: b}], max_parallel: 2, output: json, budget: {attempts: 2}, on_failure: continue, always: true}
- {id: b, needs: a, run: [echo, 1], profile: claude, when: "{{ inputs.n > 1 }}", foreach: "{{ nodes.a.items }}",
   output: {format: json, schema: {type: object}}}
- {id: c, needs: [a, b], approval: {message: m, timeout: 1h, default: approve}, when: true}
- {id: d, workflow: other}
- {id: e, workflow: {name: other, inputs: {n: 1}}}
- {id: f, wait: 10m}
- {id: g, wait: {for: 10m}}
- {id: h, wait: {until: 2030-01-31T08:00:00Z}}
- {id: i, wait: {event: [task.succeeded, agent.*], task: key:k, agent: ada, run: key:k, node: n, workflow: w,
   labels: {a: b}, timeout: 1h}}
- {id: j, done: true}
"#;

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
