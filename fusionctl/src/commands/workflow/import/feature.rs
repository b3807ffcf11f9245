//! What lies around a task file: the project, the feature, the papers that agents should know.
//!
//! Not for: what the file says.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use fusion_speckit::Papers;

/// The files beside a task file, and what each is for.
const PAPERS: [(&str, &str); 6] = [
    ("plan.md", "the plan"),
    ("spec.md", "what is wanted"),
    ("data-model.md", "the data model"),
    ("research.md", "what was found out"),
    ("quickstart.md", "how it is tried"),
    ("contracts", "the contracts"),
];

/// How much of a checklist is looked at.
const CHECKLIST_BYTES_MAX: u64 = 1 << 20;

/// A feature of a project.
#[derive(Debug)]
pub(super) struct Feature {
    /// The task file, an absolute path without links.
    pub(super) file: PathBuf,
    /// The folder that agents work in.
    pub(super) workdir: PathBuf,
}

impl Feature {
    /// Looks around a task file; agents work in `workdir`, or else in the project that the file is of.
    pub(super) fn around(file: &Path, workdir: Option<&Path>) -> io::Result<Self> {
        let file = file.canonicalize()?;
        let workdir = match workdir {
            Some(named) => named.canonicalize()?,
            None => project_of(&file),
        };
        Ok(Self { file, workdir })
    }

    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// The name of the feature's folder.
    pub(super) fn name(&self) -> String {
        self.folder().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The folder in which spec-kit keeps what it knows of the project.
    pub(super) fn specify(&self) -> Option<PathBuf> {
        self.file.ancestors().skip(1).map(|folder| folder.join(".specify")).find(|folder| folder.is_dir())
    }

    /// The folder of the feature, as agents see it.
    pub(super) fn folder_shown(&self) -> String {
        self.shown(self.folder())
    }

    /// Where the papers are, as agents see them.
    pub(super) fn papers(&self) -> Papers {
        let there = PAPERS.iter().map(|(name, about)| (*about, self.folder().join(name)));
        let others = there.filter(|(_, path)| path.exists());
        let others = others.map(|(about, path)| (about.to_owned(), self.shown(&path))).collect();
        Papers { tasks: self.shown(&self.file), others }
    }

    /// A path from the folder that agents work in, if it lies below.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.workdir).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Checklists with boxes that are not ticked: spec-kit asks a person before it begins with such a feature.
    pub(super) fn open_checklists(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder().join("checklists")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "md") && path.is_file());
        paths.sort();
        let told = paths.iter().filter_map(|path| {
            let open = open_boxes(path).ok().filter(|open| *open > 0)?;
            Some(format!("{} has {open} open boxes", self.shown(path)))
        });
        told.collect()
    }
}

fn open_boxes(path: &Path) -> io::Result<usize> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(CHECKLIST_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter(|line| line.trim_start().starts_with("- [ ]")).count())
}

/// The next folder above with `.specify`, or else with `.git`, or else the file's own.
fn project_of(file: &Path) -> PathBuf {
    let above = || file.ancestors().skip(1);
    let marked = |mark: &str| above().find(|folder| folder.join(mark).exists()).map(Path::to_owned);
    let own = || file.parent().unwrap_or(Path::new("/")).to_owned();
    marked(".specify").or_else(|| marked(".git")).unwrap_or_else(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_found_above_and_papers_are_named_as_seen_from_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("specs/001-login");
        std::fs::create_dir_all(folder.join("checklists")).unwrap();
        std::fs::create_dir(root.path().join(".specify")).unwrap();
        std::fs::write(folder.join("tasks.md"), "").unwrap();
        std::fs::write(folder.join("plan.md"), "").unwrap();
        std::fs::write(folder.join("checklists/a.md"), "- [ ] a\n- [x] b\n  - [ ] c\n").unwrap();
        let feature = Feature::around(&folder.join("tasks.md"), None).unwrap();
        assert_eq!(feature.workdir, root.path().canonicalize().unwrap());
        assert_eq!(
            (feature.name().as_str(), feature.folder_shown().as_str()),
            ("001-login", "specs/001-login")
        );
        let papers = feature.papers();
        assert_eq!(papers.tasks, "specs/001-login/tasks.md");
        assert_eq!(papers.others, [("the plan".to_owned(), "specs/001-login/plan.md".to_owned())]);
        assert_eq!(feature.open_checklists(), ["specs/001-login/checklists/a.md has 2 open boxes"]);
        let elsewhere = Feature::around(&folder.join("tasks.md"), Some(&folder)).unwrap();
        assert_eq!(elsewhere.papers().tasks, "tasks.md");
    }
}
