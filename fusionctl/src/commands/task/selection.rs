//! Which tasks a verb is about, and doing something to each of several.
//!
//! For: `T…`, `-` (ids on stdin) and `--label`; one failing task does not keep the others from their
//! turn. Not for: what is done to them.

use std::collections::VecDeque;
use std::io::BufRead;

use fusion_proto::v1::{self, ListTasksRequest, TaskFilter, TaskState};

use super::list::PAGE;
use crate::client::Link;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::output::{Format, json_line};
use crate::units::parse_pair;
use crate::view::task::Task;

/// How many calls are under way at once.
const CALLS_MAX: usize = 32;

/// The part of the arguments that chooses tasks.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Ids, unique parts of ids, or key:KEY; `-` reads them from stdin, one a line
    #[arg(value_name = "TASK", conflicts_with = "labels")]
    tasks: Vec<String>,
    /// All tasks with this label (may be repeated: all must match)
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse_pair)]
    labels: Vec<(String, String)>,
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
        if self.tasks.is_empty() && (dead || !self.labels.is_empty()) {
            let labels = self.labels.into_iter().collect();
            return Ok(Chosen::Matching(TaskFilter { labels, dead, ..TaskFilter::default() }));
        }
        if self.tasks.is_empty() {
            let complaint = Complaint::usage("no task is named");
            return Err(complaint
                .hint("name tasks by id, give `-` to read ids from stdin, or choose with --label KEY=VALUE")
                .into());
        }
        if dead {
            let complaint = Complaint::usage("--dead chooses tasks and cannot be combined with ids");
            return Err(complaint.hint("leave out the ids or --dead").into());
        }
        let mut names = Vec::new();
        for name in self.tasks {
            match name.as_str() {
                "-" => names.extend(read_names(std::io::stdin().lock())?),
                _ => names.push(name),
            }
        }
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Ok(Chosen::Named(names))
    }
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

/// The full ids of all tasks that match `filter` and that `keep` wants.
pub(super) async fn matching(
    link: &Link,
    filter: TaskFilter,
    keep: fn(TaskState) -> bool,
) -> Result<Vec<String>, Stop> {
    let page_size = i32::try_from(PAGE).expect("a page is small");
    let mut request = ListTasksRequest { page_size, filter: Some(filter), ..ListTasksRequest::default() };
    let mut ids = Vec::new();
    loop {
        let page = link.repeat(async || link.tasks().list_tasks(request.clone()).await).await?;
        ids.extend(page.tasks.into_iter().filter(|task| keep(task.state())).map(|task| task.id));
        if page.next_page_token.is_empty() {
            return Ok(ids);
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
        | TaskState::Lost => false,
    }
}

/// Prints tasks as they come, and remembers what the exit code must say. One task that was named is
/// one JSON object; several are an array.
#[derive(Debug)]
pub(super) struct Report<'a> {
    session: &'a mut Session,
    alone: bool,
    kept: Vec<Task>,
    exits: Vec<Exit>,
}

impl<'a> Report<'a> {
    /// A report on one named task (`alone`) or on several.
    pub(super) const fn new(session: &'a mut Session, alone: bool) -> Self {
        Self { session, alone, kept: Vec::new(), exits: Vec::new() }
    }

    /// Prints a task.
    pub(super) fn task(&mut self, task: v1::Task, exit: Exit) -> Result<(), Stop> {
        self.exits.push(exit);
        let task = Task::from(task);
        let out = &mut self.session.out;
        if out.is_quiet() {
            out.line(&task.id)?;
            return out.flush();
        }
        match out.format() {
            Format::Table => out.line(&task.state_line())?,
            Format::Jsonl => out.line(&json_line(&task))?,
            Format::Json | Format::Yaml => {
                self.kept.push(task);
                return Ok(());
            }
        }
        out.flush()
    }

    /// Reports an error; the end of the output is passed on.
    pub(super) fn error(&mut self, stop: Stop, about: Option<&str>) -> Result<(), Stop> {
        let complaint = stop.into_complaint()?;
        let complaint = match about {
            Some(name) if !self.alone => complaint.about(name),
            Some(_) | None => complaint,
        };
        self.exits.push(complaint.exit);
        self.session.complain(&complaint)
    }

    /// Prints what was kept, and chooses the exit code.
    pub(super) fn finish(self) -> Result<Exit, Stop> {
        let Self { session, alone, kept, exits } = self;
        let exit = Exit::of_several(exits);
        let programs = matches!(session.out.format(), Format::Json | Format::Yaml) && !session.out.is_quiet();
        match kept.as_slice() {
            [] if alone => {}
            [one] if alone => session.out.document(one, |_| Ok(()))?,
            several if programs => session.out.document(&several, |_| Ok(()))?,
            _ => {}
        }
        session.out.flush()?;
        Ok(exit)
    }
}

/// Does `work` to each task, several at once, and reports in the order of `names`.
pub(super) async fn each<F>(
    session: &mut Session,
    names: Vec<String>,
    alone: bool,
    work: impl Fn(String) -> F,
) -> Result<Exit, Stop>
where
    F: Future<Output = Result<v1::Task, Stop>> + Send + 'static,
{
    let mut report = Report::new(session, alone);
    let mut names = names.into_iter();
    let mut under_way = VecDeque::new();
    loop {
        for name in names.by_ref().take(CALLS_MAX - under_way.len()) {
            let call = tokio::spawn(work(name.clone()));
            under_way.push_back((name, call));
        }
        let Some((name, call)) = under_way.pop_front() else { break };
        match call.await.expect("a call neither panics nor is aborted") {
            Ok(task) => report.task(task, Exit::Done)?,
            Err(stop) => report.error(stop, Some(&name))?,
        }
    }
    report.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(tasks: &[&str], labels: &[(&str, &str)]) -> Selection {
        Selection {
            tasks: tasks.iter().map(ToString::to_string).collect(),
            labels: labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
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
            assert_eq!(complaint.exit, Exit::Usage);
        }
    }

    #[test]
    fn ids_on_stdin_are_the_first_words_of_its_lines() {
        assert_eq!(read_names(&b"tsk_1 succeeded\n\n  tsk_2\n"[..]).unwrap(), ["tsk_1", "tsk_2"]);
    }
}
