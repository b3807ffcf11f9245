//! The man pages: one for the program, one for each noun and verb. `cargo xtask man` keeps them.
//!
//! Not for: the words themselves; they stand beside each verb.

use std::path::{Path, PathBuf};
use std::process::Command as Process;

/// Where the pages are kept; without it they are written, looked at and dropped.
const FOLDER: &str = "FUSION_MAN_DIR";

#[test]
fn every_verb_has_a_page_that_renders() {
    let kept = std::env::var_os(FOLDER).map(PathBuf::from);
    let dropped = tempfile::tempdir().expect("a temporary folder");
    let folder = kept.unwrap_or_else(|| dropped.path().to_owned());
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    clap_mangen::generate_to(fusionctl::command().disable_help_subcommand(true), &folder)
        .expect("the pages can be written");
    let pages = pages(&folder);
    let has = |name: &str| pages.iter().any(|page| page.ends_with(name));
    for name in ["fusionctl.1", "fusionctl-task.1", "fusionctl-task-submit.1", "fusionctl-system-doctor.1"] {
        assert!(has(name), "{name} is not among {pages:?}");
    }
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page that was just written");
        assert!(text.contains(".TH fusionctl") && text.contains(".SH NAME"), "{}", page.display());
        render(&page);
    }
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    pages.retain(|page| page.file_name().is_some_and(|name| name.to_string_lossy().starts_with("fusionctl")));
    pages.sort();
    pages
}

/// As `man -l` shows it: without a complaint, and not empty.
fn render(page: &Path) {
    let shown = Process::new("mandoc").args(["-Tutf8", "-Wunsupp"]).arg(page).output();
    let shown = shown.expect("mandoc is not installed: run `apt-get install mandoc`, or `cargo xtask test`");
    let said = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && !shown.stdout.is_empty(), "{}: {said}", page.display());
}
