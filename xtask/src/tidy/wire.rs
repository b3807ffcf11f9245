//! Every RPC says who may call it, what it does and which story shows it. Not here: the words of the wire.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;

use super::Problem;
use super::source::Source;

const STORIES: &str = "tests/stories/";

/// RPCs of the `.proto` files without role, sentence or story.
pub(crate) fn check(root: &Path, paths: &[String], sources: &[Source]) -> anyhow::Result<Vec<Problem>> {
    let stories = stories(sources);
    let mut problems = Vec::new();
    for path in paths.iter().filter(|path| path.ends_with(".proto")) {
        let text = std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        problems.extend(rpcs(path, &text, &stories));
    }
    Ok(problems)
}

/// The names of the test functions and files below `tests/stories`.
fn stories(sources: &[Source]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in sources.iter().filter(|source| source.path.starts_with(STORIES)) {
        names.extend(super::size::functions(source).into_iter().map(|(name, ..)| name));
        names.insert(source.path[STORIES.len()..].trim_end_matches(".rs").to_owned());
    }
    names
}

fn rpcs(path: &str, text: &str, stories: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut comment = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(words) = line.strip_prefix("//") {
            comment.push_str(words.trim());
            comment.push(' ');
            continue;
        }
        if let Some(rest) = line.strip_prefix("rpc ") {
            let name = rest.split('(').next().unwrap_or_default().trim();
            for fault in faults(&comment, stories) {
                problems.push(Problem::new(path, number + 1, format!("rpc {name}: {fault}")));
            }
        }
        comment.clear();
    }
    problems
}

fn faults(comment: &str, stories: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let (sentence, rest) = comment.split_once("role:").unwrap_or((comment, ""));
    if !sentence.trim().ends_with(['.', '!', '?']) {
        faults.push("no sentence that says what it does".to_owned());
    }
    if !comment.contains("role:") {
        faults.push("no `role:`, who may call it".to_owned());
    }
    match rest.split_once("story:").and_then(|(_, story)| story.split_whitespace().next()) {
        None => faults.push("no `story:`, which test shows it".to_owned()),
        Some(story) if !stories.iter().any(|name| name.starts_with(story)) => {
            faults.push(format!("no test in {STORIES} begins with `{story}`"));
        }
        Some(_) => {}
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let stories = BTreeSet::from(["agent_pause_freezes_the_tree".to_owned()]);
        rpcs("a.proto", text, &stories).into_iter().map(|problem| problem.text).collect()
    }

    #[test]
    fn an_rpc_with_role_sentence_and_story_is_in_order() {
        assert!(
            problems("// Freezes\n// it. role: user (own). story: agent_pause\nrpc Pause(A) returns (B);")
                .is_empty()
        );
    }

    #[test]
    fn an_rpc_without_them_is_a_problem() {
        assert_eq!(problems("// Other.\n\nrpc Pause(A) returns (B);").len(), 3);
        assert_eq!(problems("// Freezes it. role: user. story: nobody\nrpc Pause(A) returns (B);").len(), 1);
    }
}
