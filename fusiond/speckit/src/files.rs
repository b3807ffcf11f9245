//! Files that the text of a task names: tasks that work on the same one must not run together.
//!
//! A word counts when it is a path to something with an ending, or a name with an ending that source files have; folders,
//! links and the papers of a feature do not. Not for: whether a file exists.

/// Endings of files without a folder in their name.
const ENDINGS: [&str; 58] = [
    "c", "cc", "cfg", "conf", "cpp", "cs", "css", "csv", "dart", "env", "ex", "exs", "go", "gradle", "h",
    "hpp", "html", "ini", "ipynb", "java", "jl", "js", "json", "jsx", "kt", "kts", "less", "lock", "lua",
    "md", "mjs", "mts", "nix", "php", "prisma", "proto", "ps1", "py", "r", "rb", "rs", "sass", "scala",
    "scss", "sh", "sql", "svelte", "swift", "tf", "toml", "ts", "tsx", "txt", "vue", "xml", "yaml", "yml",
    "zig",
];

/// Files without an ending.
const NAMES: [&str; 6] = ["Dockerfile", "Makefile", "Justfile", "Gemfile", "Procfile", "CMakeLists.txt"];

/// What tasks read rather than write.
const PAPERS: [&str; 6] = ["spec.md", "plan.md", "research.md", "data-model.md", "quickstart.md", "tasks.md"];

/// The files that a text names, each once, in order.
pub(crate) fn files(text: &str, found: &mut Vec<String>) {
    for word in text.split(|c: char| {
        c.is_whitespace() || matches!(c, '`' | '"' | ',' | ';' | '(' | ')' | '|' | '<' | '>')
    }) {
        let word = word.trim_matches(|c: char| matches!(c, '*' | '\'' | ':' | '!' | '?' | '[' | ']'));
        let word = word.trim_end_matches('.').trim_start_matches("./");
        if is_file(word) && !found.iter().any(|known| known == word) {
            found.push(word.to_owned());
        }
    }
}

fn is_file(word: &str) -> bool {
    if word.contains("://") || word.starts_with(['@', '/']) || word.ends_with('/') || word.contains("..") {
        return false;
    }
    let (folder, name) = word.rsplit_once('/').map_or((None, word), |(folder, name)| (Some(folder), name));
    if PAPERS.contains(&name)
        || folder.is_some_and(|folder| folder.split('/').any(|part| part == "contracts" || part == "specs"))
    {
        return false;
    }
    if NAMES.contains(&name) {
        return true;
    }
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    let is_ending = (1..=8).contains(&ending.len())
        && ending.chars().all(|c| c.is_ascii_alphanumeric())
        && ending.chars().any(|c| c.is_ascii_alphabetic());
    match folder {
        Some(_) => is_ending && !(stem.is_empty() && folder.is_none()),
        // Node.js is no file.
        None => {
            ENDINGS.contains(&ending)
                && !stem.is_empty()
                && !(ending == "js" && stem.starts_with(char::is_uppercase))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        files(text, &mut found);
        found
    }

    #[test]
    fn files_are_told_from_other_words() {
        assert_eq!(named("Create `src/models/user.py`, and src/a.rs."), ["src/models/user.py", "src/a.rs"]);
        assert_eq!(
            named("in ./package.json and the Dockerfile (see README.md)"),
            ["package.json", "Dockerfile", "README.md"]
        );
        assert_eq!(
            named("test in tests/contract/test_[name].py twice: tests/contract/test_[name].py"),
            ["tests/contract/test_[name].py"]
        );
        assert_eq!(named("[src/a.ts](https://example.org/src/a.ts)"), ["src/a.ts"]);
    }

    #[test]
    fn folders_links_endpoints_and_papers_are_none() {
        assert_eq!(
            named("docs/ and/or CI/CD, Node.js e.g. GET /api/users.json, https://a.org/b.html, v1.2"),
            [""; 0]
        );
        assert_eq!(named("per specs/001-x/contracts/api.yaml, plan.md and contracts/a.yaml"), [""; 0]);
    }
}
