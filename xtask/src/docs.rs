//! `cargo xtask docs` and `cargo xtask man`: what is written from the code itself.
//!
//! The tests that hold the files fresh are what writes them, so that one place knows how. Not here: what is in them.

use crate::shell;

/// Tests that compare a written file with what it is made from, and write it when they are told to. The wire comes
/// first: the rest may not compile without it.
const FRESH: &[&[&str]] = &[&["-p", "fusion-proto", "--tests"], &["--workspace", "--lib", "--tests"]];

/// Tests that write and look at man pages. Of all packages, as the tests build them: others would be built with other
/// features.
const MAN: &[&str] =
    &["test", "--workspace", "--lib", "--test", "man", "--locked", "--quiet", "--", "page_that_renders"];

/// Writes all generated files of the checkout anew; also the way out of a conflict in one of them.
///
/// # Errors
///
/// When something does not compile or cannot be written.
pub(crate) fn write() -> anyhow::Result<()> {
    for packages in FRESH {
        let args = [&["test", "--quiet"], *packages, &["--", "is_fresh"]].concat();
        shell::run_with(&shell::cargo(), &args, &[("UPDATE_GENERATED", "1")])?;
    }
    Ok(())
}

/// Writes a man page for each program and verb to `folder`, and looks at how they render.
///
/// # Errors
///
/// When a page cannot be written or does not render.
pub(crate) fn man(folder: &str) -> anyhow::Result<()> {
    shell::need("mandoc", "mandoc")?;
    let folder = std::path::absolute(shell::root().join(folder))?;
    let folder = folder.to_string_lossy();
    shell::run_with(&shell::cargo(), MAN, &[("FUSION_MAN_DIR", folder.as_ref())])?;
    shell::say(&format!("the man pages are in {folder}\n"));
    Ok(())
}
