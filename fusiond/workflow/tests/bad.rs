//! Broken definitions and what is said of each: a person should be able to mend each from the message alone.
//!
//! `INSTA_UPDATE=always` writes the snapshot anew.

use std::fmt::Write as _;

/// Definitions, each broken in one way or a few.
const BAD: &str = include_str!("bad.yaml");

fn definitions() -> Vec<(&'static str, &'static str)> {
    let parts = BAD.split("\n#### ").skip(1);
    parts.map(|part| part.split_once('\n').expect("a title stands above each")).collect()
}

#[test]
fn bad_definitions_say_what_is_wrong_where_and_what_to_do() {
    let mut out = String::new();
    let all = definitions();
    assert!(all.len() >= 60, "{} definitions", all.len());
    for (title, text) in all {
        let read = fusion_workflow::read_yaml(text);
        assert!(!read.problems.is_empty(), "nothing is wrong with: {title}");
        assert!(read.problems.len() < 10, "{title}: {} problems", read.problems.len());
        writeln!(out, "#### {title}").unwrap();
        for problem in &read.problems {
            writeln!(out, "{}", problem.render("flow.yaml", text)).unwrap();
        }
        out.push('\n');
    }
    insta::assert_snapshot!("bad_definitions", out);
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
        for problem in fusion_workflow::read_yaml(&text).problems {
            let _rendered = problem.render("f", &text);
        }
    }
}
