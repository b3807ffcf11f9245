//! Every refusal and every failure code is explained: what it means and what to do. Not here: what the words say.

use std::collections::BTreeSet;
use std::path::Path;

use super::Problem;
use super::source::{Kind, Source};

const REFUSALS: &str = "fusiond/core/src/reject.rs";
const PAGES: &str = "docs/reference/errors";
const FAILURES: &str = "fusiond/core/src/failure.rs";
const TABLE: &str = "docs/reference/failures.md";

/// The word before the code of a refusal, which tells it from the other literals.
const CLASSES: [&str; 7] = ["Invalid", "NotFound", "State", "Permission", "Limit", "Exists", "Unavailable"];

/// The word behind a code in the table of failures, which tells one from the other literals.
const RETRIED: [&str; 4] = ["Request", "Default", "Always", "Never"];

/// Codes of the core without a page or a line in the table, and pages without a code.
pub(crate) fn check(root: &Path, sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(source) = sources.iter().find(|source| source.path == REFUSALS) {
        problems.extend(pages(root, &codes(source)));
    }
    if let Some(source) = sources.iter().find(|source| source.path == FAILURES) {
        let table = std::fs::read_to_string(root.join(TABLE)).unwrap_or_default();
        problems.extend(lines_of_table(&table, &failures(source)));
    }
    problems
}

fn pages(root: &Path, codes: &[(String, usize)]) -> Vec<Problem> {
    if codes.is_empty() {
        let text = "no codes of refusals: the pages cannot be checked";
        return vec![Problem::new(REFUSALS, 1, text)];
    }
    let known: BTreeSet<&str> = codes.iter().map(|(code, _)| code.as_str()).chain(["README"]).collect();
    let without_page = |(code, line): &(String, usize)| {
        let missing = !root.join(PAGES).join(format!("{code}.md")).is_file();
        missing.then(|| {
            Problem::new(REFUSALS, *line, format!("refusal `{code}` has no page: write {PAGES}/{code}.md"))
        })
    };
    let mut problems: Vec<Problem> = codes.iter().filter_map(without_page).collect();
    for entry in std::fs::read_dir(root.join(PAGES)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !known.contains(name.trim_end_matches(".md")) {
            problems.push(Problem::new(
                &format!("{PAGES}/{name}"),
                1,
                "no refusal has this code: remove the page",
            ));
        }
    }
    problems
}

fn lines_of_table(table: &str, codes: &[(String, usize)]) -> Vec<Problem> {
    let missing = codes.iter().filter(|(code, _)| !table.contains(&format!("| `{code}` |")));
    let problem = |(code, line): &(String, usize)| {
        Problem::new(FAILURES, *line, format!("failure `{code}` is not in the table of {TABLE}: add it"))
    };
    missing.map(problem).collect()
}

/// The codes of the table in the core: `Name, "code", Retried, "meaning", "hint";`.
fn failures(source: &Source) -> Vec<(String, usize)> {
    let is_retried = |at| source.word(at).is_some_and(|word| RETRIED.contains(&word));
    let code = |at: usize| match &source.tokens[at].kind {
        Kind::Text(text) if source.is_sign(at + 1, ',') && is_retried(at + 2) => {
            Some((text.clone(), source.tokens[at].line))
        }
        Kind::Text(_) | Kind::Word(_) | Kind::PathSeparator | Kind::Sign(_) => None,
    };
    (0..source.tokens.len()).filter_map(code).collect()
}

/// The codes of the table of refusals: `Name { words }: Class "code" "message" => hint;`.
fn codes(source: &Source) -> Vec<(String, usize)> {
    let is_class = |at: usize| source.word(at).is_some_and(|word| CLASSES.contains(&word));
    let code = |at: usize| match &source.tokens[at].kind {
        Kind::Text(text) if at > 0 && is_class(at - 1) => Some((text.clone(), source.tokens[at].line)),
        Kind::Text(_) | Kind::Word(_) | Kind::PathSeparator | Kind::Sign(_) => None,
    };
    (0..source.tokens.len()).filter_map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_literals_behind_a_class() {
        let text = "rejects! {\n A { b: String }: NotFound \"not_found\" \"no {b}\" => \"c\";\n B: Limit \"limit\" \"m\" => \"h\"; }";
        assert_eq!(
            codes(&Source::new(REFUSALS, text)),
            [("not_found".to_owned(), 2), ("limit".to_owned(), 3)]
        );
    }

    #[test]
    fn a_code_without_page_is_a_problem() {
        let source = Source::new(REFUSALS, "A: NotFound \"not_found\" \"m\" => \"h\";");
        let problems = check(Path::new("/nonexistent"), &[source]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].text.contains("docs/reference/errors/not_found.md"));
    }

    #[test]
    fn a_failure_without_a_line_in_the_table_is_a_problem() {
        let source = Source::new(
            FAILURES,
            "failures! { A, \"a_b\", Never, \"meaning\", \"hint\"; B, \"b\", Always, \"\", \"\"; }",
        );
        let codes = failures(&source);
        assert_eq!(codes.len(), 2);
        assert_eq!(lines_of_table("| `a_b` | meaning |", &codes).len(), 1);
    }
}
