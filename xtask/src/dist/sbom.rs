//! The bill of materials: each library that is in the programs, with version, licence and checksum (CycloneDX). Not here:
//! whether the licences are allowed (`deny.toml`).

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::{build, notices};
use crate::shell;

/// Where cargo-cyclonedx puts the file of each package that is shipped, and what it is called in a release.
const SHIPPED: [(&str, &str); 3] =
    [("fusiond/daemon", "fusiond"), ("fusiond/shim", "fusion-shim"), ("fusionctl", "fusionctl")];
/// A name that no file of the checkout has.
const DRAFT: &str = "sbom-draft";

/// Writes one file for each program to `out`.
///
/// # Errors
///
/// When cargo-cyclonedx is missing and cannot be installed, or refuses.
pub(super) fn write(out: &Path) -> anyhow::Result<()> {
    build::tool("cargo-cyclonedx", "0.5.9", &["cyclonedx"])?;
    let epoch = build::epoch()?;
    let args =
        ["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--override-filename", DRAFT];
    let made = shell::run_with(&shell::cargo(), &args, &[("SOURCE_DATE_EPOCH", &epoch)]);
    let kept = made.and_then(|()| {
        SHIPPED.iter().try_for_each(|(from, name)| {
            let file = out.join(format!("{name}.cdx.json"));
            keep(from, &file)?;
            let missing = missing(&std::fs::read_to_string(&file)?, &notices::linked(&[name])?)?;
            ensure!(missing.is_empty(), "{} does not name {}", file.display(), missing.join(", "));
            Ok(())
        })
    });
    let swept = sweep(&shell::root(), 3);
    kept.and(swept)
}

/// Without the path of this checkout, which would differ from machine to machine.
fn keep(from: &str, to: &Path) -> anyhow::Result<()> {
    let root = shell::root();
    let path = root.join(from).join(format!("{DRAFT}.json"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let text = text.replace(&*root.to_string_lossy(), "/fusiond");
    std::fs::write(to, text).with_context(|| format!("writing {}", to.display()))
}

/// What of a program's libraries its bill does not name, as `name vVERSION`.
fn missing(bill: &str, linked: &BTreeSet<String>) -> anyhow::Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Bill {
        metadata: Metadata,
        components: Vec<Component>,
    }
    #[derive(Deserialize)]
    struct Metadata {
        component: Component,
    }
    #[derive(Deserialize)]
    struct Component {
        name: String,
        version: String,
    }
    let bill: Bill = serde_json::from_str(bill).context("reading a bill of materials")?;
    let all = bill.components.iter().chain([&bill.metadata.component]);
    let named: BTreeSet<String> = all.map(|one| format!("{} v{}", one.name, one.version)).collect();
    Ok(linked.difference(&named).cloned().collect())
}

/// It leaves a file beside the manifest of every package.
fn sweep(folder: &Path, depth: usize) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if name.to_string_lossy() == format!("{DRAFT}.json") {
            std::fs::remove_file(&path)?;
        } else if depth > 0 && entry.file_type()?.is_dir() && name != "target" && name != ".git" {
            sweep(&path, depth - 1)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_the_bill_leaves_out_is_told() {
        let bill = r#"{"metadata": {"component": {"name": "p", "version": "1.0.0"}},
            "components": [{"name": "a", "version": "0.1.0"}, {"name": "b", "version": "2.0.0"}]}"#;
        let linked = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(missing(bill, &linked(&["p v1.0.0", "a v0.1.0"])).unwrap().is_empty());
        assert_eq!(missing(bill, &linked(&["a v0.1.0", "b v2.0.1"])).unwrap(), ["b v2.0.1"]);
    }
}
