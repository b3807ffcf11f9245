//! What an agent is told of one task: the task, its phase, and where the papers of the feature are.
//!
//! Not for: the form of templates, which the words may look like.

use std::fmt::Write as _;

use crate::{Task, TaskFile};

/// Where the papers of a feature are, as far as they exist; paths as the agent is to open them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Papers {
    /// The file of the tasks.
    pub tasks: String,
    /// Name and path: what each is for, and where it is.
    pub others: Vec<(String, String)>,
}

/// What an agent is told of a task.
#[must_use]
pub fn prompt(file: &TaskFile, task: &Task, papers: &Papers) -> String {
    let mut text = format!("Do task {} of {}, and only this one.\n\n", task.id, papers.tasks);
    let labels = task.story.iter().map(|story| format!("US{story}")).chain(task.labels.iter().cloned());
    let labels: String = labels.fold(String::new(), |all, label| format!("{all}[{label}] "));
    put(&mut text, &format!("{} {labels}{}", task.id, task.text));
    for line in task.details.lines() {
        put(&mut text, format!("  {line}").trim_end());
    }
    let phase = file.phase_of(task);
    if !phase.title.is_empty() {
        put(&mut text, &format!("\nIt belongs to: {}", phase.title));
    }
    if let Some(goal) = &phase.goal {
        put(&mut text, &format!("Goal: {goal}"));
    }
    if let Some(test) = &phase.test {
        put(&mut text, &format!("It is done when this holds: {test}"));
    }
    if !papers.others.is_empty() {
        put(&mut text, "\nRead what you need of these before you begin:");
        for (name, path) in &papers.others {
            put(&mut text, &format!("- {name}: {path}"));
        }
    }
    let end = format!(
        "\nOther tasks of this file are done by others, some at this moment: leave them alone. Do not edit {}: the box of {} is \
         ticked for you.",
        papers.tasks, task.id
    );
    put(&mut text, &end);
    text
}

fn put(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes everything");
}
