//! Every refusal code has a page: what it means and what to do. Not here: what the page says.

use std::path::Path;

use super::Problem;
use super::size;
use super::source::{Kind, Source};

const REFUSALS: &str = "fusiond/core/src/reject.rs";
const PAGES: &str = "docs/reference/errors";

/// Codes of the core without a page, and pages without a code.
pub(crate) fn check(root: &Path, sources: &[Source]) -> Vec<Problem> {
    let Some(source) = sources.iter().find(|source| source.path == REFUSALS) else { return Vec::new() };
    let codes = codes(source);
    if codes.is_empty() {
        return vec![Problem::new(
            REFUSALS,
            1,
            "no `fn code` with string literals: the pages cannot be checked",
        )];
    }
    codes
        .iter()
        .filter(|(code, _)| !root.join(PAGES).join(format!("{code}.md")).is_file())
        .map(|(code, line)| {
            Problem::new(REFUSALS, *line, format!("refusal `{code}` has no page: write {PAGES}/{code}.md"))
        })
        .collect()
}

/// The string literals in `fn code`, with their lines.
fn codes(source: &Source) -> Vec<(String, usize)> {
    let bodies: Vec<(usize, usize)> = size::functions(source)
        .into_iter()
        .filter(|(name, ..)| name == "code")
        .map(|(_, first, last)| (first, last))
        .collect();
    source
        .tokens
        .iter()
        .filter(|token| bodies.iter().any(|(first, last)| (*first..=*last).contains(&token.line)))
        .filter_map(|token| match &token.kind {
            Kind::Text(text) => Some((text.clone(), token.line)),
            Kind::Word(_) | Kind::PathSeparator | Kind::Sign(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_literals_of_fn_code() {
        let text = "impl R { fn code(&self) -> &str {\n match self {\n R::A => \"not_found\",\n R::B { .. } => \"limit\" } }\n fn other() { \"no\" } }";
        assert_eq!(
            codes(&Source::new(REFUSALS, text)),
            [("not_found".to_owned(), 3), ("limit".to_owned(), 4)]
        );
    }

    #[test]
    fn a_code_without_page_is_a_problem() {
        let source = Source::new(REFUSALS, "fn code() { \"not_found\" }");
        let problems = check(Path::new("/nonexistent"), &[source]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].text.contains("docs/reference/errors/not_found.md"));
    }
}
