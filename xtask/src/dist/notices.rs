//! The licence texts and notices of all libraries that are in a package's programs: their licences want them beside every
//! copy. Not here: whether the licences are allowed (`deny.toml`), and checksums (`sbom`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::build::answer;
use crate::shell;

/// `cargo xtask notices FILE PROGRAM…`: writes those of these programs.
///
/// # Errors
///
/// When cargo does not tell what is in them, or a library has no licence text.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let [file, programs @ ..] = words else { bail!("usage: cargo xtask notices FILE PROGRAM…") };
    let text = of(programs)?;
    std::fs::write(file, text).with_context(|| format!("writing {file}"))
}

/// The notices of all libraries in these programs. The same lock file gives the same text.
///
/// # Errors
///
/// When cargo does not tell what is in them, or a library has no licence text.
pub(super) fn of(programs: &[&str]) -> anyhow::Result<String> {
    let known = known()?;
    let mut sharing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in linked(programs)? {
        // Those of this checkout have the licence of the package.
        let Some(library) = known.iter().find(|library| library.is_called(&name) && library.is_foreign())
        else {
            continue;
        };
        for text in texts(library, &known)? {
            sharing.entry(text).or_default().insert(library.title());
        }
    }
    Ok(page(programs, &sharing))
}

/// A package as `cargo metadata` tells of it.
#[derive(Deserialize)]
struct Library {
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

impl Library {
    fn is_called(&self, name: &str) -> bool {
        format!("{} v{}", self.name, self.version) == name
    }

    /// Whether it comes from outside of this checkout.
    const fn is_foreign(&self) -> bool {
        self.source.is_some()
    }

    fn title(&self) -> String {
        format!("{} {} ({})", self.name, self.version, self.license.as_deref().unwrap_or("see below"))
    }
}

/// Everything in the lock file, for any program and platform.
fn known() -> anyhow::Result<Vec<Library>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Library>,
    }
    let mut cargo = shell::command(shell::cargo());
    cargo.args(["metadata", "--locked", "--format-version", "1"]).current_dir(shell::root());
    let metadata: Metadata = serde_json::from_str(&answer(&mut cargo)?).context("reading cargo metadata")?;
    Ok(metadata.packages)
}

/// `name vVERSION` of all that is linked into these programs on this platform; what only runs at a build is not.
pub(super) fn linked(programs: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let mut cargo = shell::command(shell::cargo());
    cargo.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none"]);
    cargo.args(["--format", "{p}"]).args(programs.iter().flat_map(|name| ["--package", name]));
    let tree = answer(cargo.current_dir(shell::root()))?;
    let names = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?))
    });
    Ok(names.collect())
}

/// The texts of one library. Some are published without: then those of its repository stand for it, or the licence that it
/// offers and this project has too.
fn texts(library: &Library, known: &[Library]) -> anyhow::Result<Vec<String>> {
    let own = files(&library.manifest_path)?;
    if !own.is_empty() {
        return Ok(own);
    }
    let kin =
        known.iter().filter(|other| other.repository.is_some() && other.repository == library.repository);
    for other in kin {
        let theirs = files(&other.manifest_path)?;
        if !theirs.is_empty() {
            return Ok(theirs);
        }
    }
    if let Some(kept) = kept(library)? {
        return Ok(vec![kept]);
    }
    let offered = library.license.as_deref().unwrap_or_default();
    if offered.split([' ', '/']).any(|word| word == "Apache-2.0") && !offered.contains("AND") {
        return Ok(vec![read(&shell::root().join("LICENSE"))?]);
    }
    bail!("{} was published without a licence text", library.title())
}

/// The text of a repository whose libraries are all published without it: `packaging/licenses/` has it under the last
/// part of the repository's address.
fn kept(library: &Library) -> anyhow::Result<Option<String>> {
    let name =
        library.repository.as_deref().and_then(|address| address.trim_end_matches('/').rsplit('/').next());
    let path = name.map(|name| shell::root().join("packaging/licenses").join(name));
    path.filter(|path| path.is_file()).map(|path| read(&path)).transpose()
}

/// The texts beside a manifest, in the order of their files' names.
fn files(manifest: &Path) -> anyhow::Result<Vec<String>> {
    const BEGINNINGS: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
    let folder = manifest.parent().context("a manifest lies in a folder")?;
    let is_text = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
    };
    super::sorted(folder)?.iter().filter(|path| is_text(path)).map(|path| read(path)).collect()
}

/// Without what differs between two copies of one text and means nothing.
fn read(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned())
}

fn page(programs: &[&str], sharing: &BTreeMap<String, BTreeSet<String>>) -> String {
    let rule = "=".repeat(100);
    let mut page = format!(
        "Libraries of others are in the programs of this package ({}). Their notices follow; each names\n\
         the libraries that it is of. The programs also hold parts of the standard library of Rust, Copyright (c)\n\
         The Rust Project Contributors, under the Apache License, version 2.0, or the MIT license; both are below.\n",
        programs.join(", ")
    );
    let mut ordered: Vec<_> = sharing.iter().collect();
    ordered.sort_by_key(|(text, titles)| (titles.first(), *text));
    for (text, titles) in ordered {
        let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
        page.push_str(&format!("\n{rule}\n{}\n{rule}\n\n{text}\n", titles.join("\n")));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_of_a_program_is_named_with_a_text() {
        let text = of(&["fusionctl"]).unwrap();
        assert_eq!(text, of(&["fusionctl"]).unwrap());
        assert!(text.contains("\nclap 4") && text.contains("\ntonic 0"), "{text}");
        // It was published without a text and has that of its repository.
        assert!(text.contains("\ntonic-prost 0"), "{text}");
        // Not of the program, only run at its build; and not of others.
        assert!(!text.contains("\nserde_derive ") && !text.contains("\nfusion-core "), "{text}");
        assert_eq!(text.matches("TERMS AND CONDITIONS FOR USE").count(), apache_texts(&text), "{text}");
    }

    /// Of the many copies of this licence only those are repeated that differ.
    fn apache_texts(text: &str) -> usize {
        let rule = "=".repeat(100);
        let parts = text.split(&rule).filter(|part| part.contains("TERMS AND CONDITIONS FOR USE"));
        parts.collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn a_library_without_any_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let library = |license: &str| Library {
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            license: Some(license.to_owned()),
            repository: None,
            source: Some("registry".to_owned()),
            manifest_path: folder.path().join("Cargo.toml"),
        };
        assert!(texts(&library("Apache-2.0/MIT"), &[]).unwrap()[0].contains("Apache License"));
        assert!(texts(&library("MIT"), &[]).is_err());
        assert!(texts(&library("Apache-2.0 AND ISC"), &[]).is_err());
        std::fs::write(folder.path().join("license-mit"), "Copyright x\r\n").unwrap();
        assert_eq!(texts(&library("MIT"), &[]).unwrap(), ["Copyright x"]);
    }
}
