//! Files of definitions: reading one, and telling everything that is wrong with it.
//!
//! The daemon reads no file of a user; it is given what stands here. Not for: what the words mean (`fusion-workflow`).

use std::io::Read;

use fusion_workflow::{DEFINITION_BYTES_MAX, Definition, Problem, Severity};

use crate::error::{Complaint, Exit, Stop};

/// A file as it was read.
pub(super) struct File {
    /// Its name, for messages.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
    /// What it says, unless something is wrong with it.
    pub(super) definition: Option<Definition>,
    /// What is wrong or doubtful.
    pub(super) problems: Vec<Problem>,
}

impl File {
    /// Reads a file; `-` is stdin.
    pub(super) fn read(file: &str) -> Result<Self, Stop> {
        let name = if file == "-" { "stdin".to_owned() } else { file.to_owned() };
        let mut text = String::new();
        let most = DEFINITION_BYTES_MAX as u64 + 1;
        let read = match file {
            "-" => std::io::stdin().lock().take(most).read_to_string(&mut text),
            path => std::fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut text)),
        };
        read.map_err(|error| Complaint::unreadable(&name, &error))?;
        if text.len() > DEFINITION_BYTES_MAX {
            let message = format!("{name} is longer than {DEFINITION_BYTES_MAX} bytes");
            return Err(Complaint::new(Exit::Usage, "too_large", message)
                .hint("put the bulk in files that agents read")
                .into());
        }
        let read = fusion_workflow::read_yaml(&text);
        Ok(Self { name, text, definition: read.definition, problems: read.problems })
    }

    /// Problems of one kind, as people read them.
    pub(super) fn told(&self, severity: Severity) -> Vec<String> {
        let lines: Vec<&str> = self.text.lines().collect();
        let found = self.problems.iter().filter(|problem| problem.severity == severity);
        found.map(|problem| problem.render(&self.name, &lines)).collect()
    }

    /// The definition, or a complaint with every place that is wrong.
    pub(super) fn definition(&self) -> Result<&Definition, Stop> {
        let wrong = self.told(Severity::Error);
        let Some(definition) = &self.definition else {
            let count = wrong.len();
            let s = if count == 1 { "" } else { "s" };
            let message = format!("{} is no valid workflow: {count} mistake{s}", self.name);
            let complaint = Complaint::new(Exit::Usage, "workflow_invalid", message);
            return Err(complaint.detail(format!("\n{}", wrong.join("\n"))).into());
        };
        Ok(definition)
    }

    /// The definition as it crosses the socket.
    pub(super) fn json(&self) -> Result<String, Stop> {
        Ok(serde_json::to_string(self.definition()?).expect("a definition always has a JSON form"))
    }
}

/// Whether what was given is a file rather than a name.
pub(super) fn is_file(text: &str) -> bool {
    text == "-" || text.contains('/') || text.contains('.') || std::path::Path::new(text).is_file()
}
