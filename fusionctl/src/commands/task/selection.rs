//! Which tasks a verb is about: `T…`, `-` (ids on stdin), or all that labels and states choose.
//!
//! Not for: what is done to them (`change`, `wait`).

use std::io::BufRead;

use fusion_proto::v1::{ListTasksRequest, TaskFilter, TaskState};

use crate::client::Link;
use crate::error::{Complaint, Stop};
use crate::units::parse_pair;
use crate::view::word::words;

/// How many ids and states one answer carries.
const PAGE: i32 = 10_000;

/// The part of the arguments that chooses tasks.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Ids, unique parts of ids, or key:KEY; `-` reads them from stdin, one a line
    #[arg(value_name = "TASK", conflicts_with_all = ["labels", "states"])]
    tasks: Vec<String>,
    /// All tasks with this label (may be repeated: all must match)
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse_pair)]
    labels: Vec<(String, String)>,
    /// All tasks in this state (may be repeated: any may match)
    #[arg(long = "state", value_name = "STATE", value_parser = words::<TaskState>())]
    states: Vec<TaskState>,
}

/// What the arguments mean.
#[derive(Debug, PartialEq)]
pub(super) enum Chosen {
    /// These, in this order and each once.
    Named(Vec<String>),
    /// All that match.
    Matching(TaskFilter),
}

impl Selection {
    /// Reads stdin when asked to; `dead` narrows a filter and is one by itself.
    pub(super) fn choose(self, dead: bool) -> Result<Chosen, Stop> {
        let is_filter = dead || !self.labels.is_empty() || !self.states.is_empty();
        match (self.tasks.is_empty(), is_filter) {
            (true, true) => {
                let labels = self.labels.into_iter().collect();
                let states = self.states.into_iter().map(Into::into).collect();
                Ok(Chosen::Matching(TaskFilter { labels, states, dead, ..TaskFilter::default() }))
            }
            (true, false) => {
                let complaint = Complaint::usage("no task is named");
                Err(complaint
                    .hint(
                        "name tasks by id, give `-` to read ids from stdin, or choose with --label KEY=VALUE \
                         or --state STATE",
                    )
                    .into())
            }
            (false, true) => {
                let complaint = Complaint::usage("--dead chooses tasks and cannot be combined with ids");
                Err(complaint.hint("leave out the ids or --dead").into())
            }
            (false, false) => named(self.tasks).map(Chosen::Named),
        }
    }
}

/// In this order, each once.
fn named(tasks: Vec<String>) -> Result<Vec<String>, Stop> {
    let mut names = Vec::new();
    for name in tasks {
        match name.as_str() {
            "-" => names.extend(read_names(std::io::stdin().lock())?),
            _ => names.push(name),
        }
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn read_names(input: impl BufRead) -> Result<Vec<String>, Stop> {
    let mut names = Vec::new();
    for line in input.lines() {
        let line = line.map_err(|error| Complaint::unreadable("the list of ids on stdin", &error))?;
        // The first word is the id: the lines of `task wait` can be given back.
        names.extend(line.split_whitespace().next().map(str::to_owned));
    }
    Ok(names)
}

/// The tasks that a filter is about, in words: `task with label a=b and c=d`.
pub(super) fn noun(filter: &TaskFilter) -> String {
    let mut labels: Vec<String> = filter.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort_unstable();
    if labels.is_empty() { "task".to_owned() } else { format!("task with label {}", labels.join(" and ")) }
}

/// Whether any task, in whatever state, has the labels of a filter; one without labels is about all.
pub(super) async fn some_have(link: &Link, filter: &TaskFilter) -> Result<bool, Stop> {
    if filter.labels.is_empty() {
        return Ok(true);
    }
    let filter = Some(TaskFilter { labels: filter.labels.clone(), ..TaskFilter::default() });
    let request = ListTasksRequest { page_size: 1, brief: true, filter, ..ListTasksRequest::default() };
    let page = link.repeat(async || link.tasks().list_tasks(request.clone()).await).await?;
    Ok(!page.tasks.is_empty())
}

/// All tasks that match, oldest first: full id and state.
pub(super) async fn matching(link: &Link, filter: TaskFilter) -> Result<Vec<(String, TaskState)>, Stop> {
    let filter = Some(filter);
    let mut request =
        ListTasksRequest { page_size: PAGE, brief: true, filter, ..ListTasksRequest::default() };
    let mut found = Vec::new();
    loop {
        let page = link.repeat(async || link.tasks().list_tasks(request.clone()).await).await?;
        found.extend(page.tasks.into_iter().map(|task| {
            let state = task.state();
            (task.id, state)
        }));
        if page.next_page_token.is_empty() {
            found.reverse();
            return Ok(found);
        }
        request.page_token = page.next_page_token;
    }
}

/// Whether a task is over.
pub(super) const fn has_ended(state: TaskState) -> bool {
    match state {
        TaskState::Succeeded | TaskState::Failed | TaskState::Cancelled | TaskState::TimedOut => true,
        TaskState::Unspecified
        | TaskState::Blocked
        | TaskState::Deferred
        | TaskState::Queued
        | TaskState::Dispatched
        | TaskState::Running
        | TaskState::WaitingApproval
        | TaskState::WaitingInput
        | TaskState::Held
        | TaskState::Lost => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(tasks: &[&str], labels: &[(&str, &str)]) -> Selection {
        Selection {
            tasks: tasks.iter().map(ToString::to_string).collect(),
            labels: labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            states: Vec::new(),
        }
    }

    #[test]
    fn names_are_kept_in_order_and_each_once() {
        let chosen = selection(&["b", "a", "b"], &[]).choose(false).unwrap();
        assert_eq!(chosen, Chosen::Named(vec!["b".to_owned(), "a".to_owned()]));
    }

    #[test]
    fn labels_and_dead_make_a_filter() {
        let Chosen::Matching(filter) = selection(&[], &[("a", "b")]).choose(true).unwrap() else {
            panic!("no filter")
        };
        assert!(filter.dead && filter.labels["a"] == "b");
        assert!(matches!(selection(&[], &[]).choose(true), Ok(Chosen::Matching(_))));
    }

    #[test]
    fn nothing_chosen_is_wrong_usage() {
        for (chosen, dead) in [(selection(&[], &[]), false), (selection(&["a"], &[]), true)] {
            let Err(Stop::Complaint(complaint)) = chosen.choose(dead) else { panic!("accepted") };
            assert_eq!(complaint.exit, crate::error::Exit::Usage);
        }
    }

    #[test]
    fn a_filter_is_told_by_its_labels() {
        assert_eq!(noun(&TaskFilter::default()), "task");
        let labels = [("b", "2"), ("a", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let filter = TaskFilter { labels: labels.into(), ..TaskFilter::default() };
        assert_eq!(noun(&filter), "task with label a=1 and b=2");
    }

    #[test]
    fn ids_on_stdin_are_the_first_words_of_its_lines() {
        assert_eq!(read_names(&b"tsk_1 succeeded\n\n  tsk_2\n"[..]).unwrap(), ["tsk_1", "tsk_2"]);
    }
}
