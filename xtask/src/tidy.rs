//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Each rule is a pure function from sources to problems; this room gathers the files and prints. Not here:
//! formatting and lints, which rustfmt and clippy own.

mod floors;
mod refusals;
mod size;
mod source;
mod wire;
mod words;

use std::path::Path;

use anyhow::{Context as _, bail};

use self::source::Source;
use crate::shell;

/// One broken rule, with the place to mend it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Path from the root of the checkout.
    pub(crate) path: String,
    /// Counted from one.
    pub(crate) line: usize,
    /// What is wrong and what to do.
    pub(crate) text: String,
}

impl Problem {
    fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into() }
    }
}

/// Checks the whole checkout; prints each problem as `path:line: text`.
///
/// # Errors
///
/// When a rule is broken or a file cannot be read.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = shell::root();
    let paths = tracked(&root)?;
    let sources = read_sources(&root, &paths)?;
    let mut problems: Vec<Problem> = Vec::new();
    for source in &sources {
        problems.extend(size::header(source));
        problems.extend(size::lengths(source));
        problems.extend(words::only_here(source));
        problems.extend(floors::imports(source));
    }
    problems.extend(manifests(&root, &paths)?);
    problems.extend(refusals::check(&root, &sources));
    problems.extend(wire::check(&root, &paths, &sources)?);
    problems.sort();
    for problem in &problems {
        shell::say(&format!("{}:{}: {}\n", problem.path, problem.line, problem.text));
    }
    if !problems.is_empty() {
        bail!("{} rules of the house are broken", problems.len());
    }
    shell::say(&format!("tidy: {} files are in order\n", sources.len()));
    Ok(())
}

/// The files git knows or would add, as paths from the root.
fn tracked(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = shell::command("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).context("a path is not UTF-8")?;
    Ok(text.lines().filter(|path| root.join(path).is_file()).map(str::to_owned).collect())
}

fn read_sources(root: &Path, paths: &[String]) -> anyhow::Result<Vec<Source>> {
    paths
        .iter()
        .filter(|path| path.ends_with(".rs") && !path.contains("/generated/"))
        .map(|path| {
            let text =
                std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
            Ok(Source::new(path, &text))
        })
        .collect()
}

fn manifests(root: &Path, paths: &[String]) -> anyhow::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for path in paths.iter().filter(|path| path.ends_with("Cargo.toml")) {
        let text = std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        problems.extend(floors::manifest(path, &text));
    }
    Ok(problems)
}
