//! One verb, done to one task or to many: cancel, retry, hold, release, resolve, update.
//!
//! One that is named goes by its own call; many go as one stream, each with an outcome of its own. Not
//! for: which tasks (`selection`), nor the words of the verbs.

use std::collections::BTreeMap;

use fusion_proto::v1::{
    CancelTaskRequest, ChangeTasksRequest, HoldTaskRequest, ReleaseTaskRequest, Resolution,
    ResolveTaskRequest, RetryTaskRequest, Task, TaskFilter, TaskState, TaskVerb, UpdateTaskRequest,
};
use prost_types::Duration;

use super::report::Report;
use super::selection::{Chosen, Selection, matching, noun, some_have};
use crate::client::Link;
use crate::commands::{Session, agreed};
use crate::error::{Complaint, Exit, Stop};
use crate::view::word::word;

/// The most ids in one request: with these it stays below the 4 MiB that the daemon reads.
const NAMES_MAX: usize = 50_000;

/// What is done.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// `task cancel`, with the time between TERM and KILL.
    Cancel(Option<Duration>),
    /// `task retry`.
    Retry,
    /// `task hold`.
    Hold,
    /// `task release`.
    Release,
    /// `task resolve`.
    Resolve(Resolution),
    /// `task update`, with what is to be different.
    Update(Box<UpdateTaskRequest>),
}

/// Which tasks, and how a choice by label or state is confirmed.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    #[command(flatten)]
    selection: Selection,
    /// Do not ask on a terminal before more than one task is changed by --label or --state
    #[arg(long, short)]
    yes: bool,
}

impl Change {
    const fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Cancel(_) => ("cancel", "cancelled"),
            Self::Retry => ("retry", "retried"),
            Self::Hold => ("hold", "held"),
            Self::Release => ("release", "released"),
            Self::Resolve(_) => ("resolve", "resolved"),
            Self::Update(_) => ("update", "updated"),
        }
    }

    /// Whether it makes sense for a task in this state.
    const fn suits(&self, state: TaskState) -> bool {
        match state {
            TaskState::Blocked | TaskState::Deferred | TaskState::Queued => {
                matches!(self, Self::Cancel(_) | Self::Hold | Self::Update(_))
            }
            TaskState::Held => matches!(self, Self::Cancel(_) | Self::Release | Self::Update(_)),
            TaskState::Dispatched
            | TaskState::Running
            | TaskState::WaitingApproval
            | TaskState::WaitingInput => matches!(self, Self::Cancel(_)),
            TaskState::Lost => matches!(self, Self::Cancel(_) | Self::Resolve(_)),
            TaskState::Failed | TaskState::Cancelled | TaskState::TimedOut => matches!(self, Self::Retry),
            TaskState::Succeeded | TaskState::Unspecified => false,
        }
    }

    /// The filter narrowed to the tasks that it makes sense for.
    fn narrow(&self, mut filter: TaskFilter) -> Result<TaskFilter, Stop> {
        if let Some(state) = filter.states().find(|state| !self.suits(*state)) {
            let state = word::<TaskState>(state.into());
            let message = format!("a task that is {state} cannot be {}", self.words().1);
            return Err(Complaint::usage(message).hint("leave out --state, or name another one").into());
        }
        if filter.states.is_empty() {
            // The numbers of the states are dense and few.
            let all = (1..32).filter_map(|number| TaskState::try_from(number).ok());
            filter.states = all.filter(|state| self.suits(*state)).map(Into::into).collect();
        }
        Ok(filter)
    }

    /// Why nothing is done: no task `has` the labels, or none of those that have them is in such a state.
    fn nothing(&self, filter: &TaskFilter, has: bool) -> String {
        let which = noun(filter);
        if has { format!("no {which} is to be {}", self.words().1) } else { format!("no {which}") }
    }

    /// From oldest first to the order in which one does not stand in the way of the next: a task is retried
    /// before those that come after it, and cancelled behind them, for its end would fail them.
    fn order(&self, found: &mut [(String, TaskState)]) {
        match self {
            Self::Cancel(_) => found.reverse(),
            Self::Retry | Self::Hold | Self::Release | Self::Resolve(_) | Self::Update(_) => {}
        }
    }

    fn request(&self, tasks: Vec<String>) -> ChangeTasksRequest {
        let mut request = ChangeTasksRequest { tasks, ..ChangeTasksRequest::default() };
        let verb = match self {
            Self::Cancel(grace) => {
                request.grace = *grace;
                TaskVerb::Cancel
            }
            Self::Retry => TaskVerb::Retry,
            Self::Hold => TaskVerb::Hold,
            Self::Release => TaskVerb::Release,
            Self::Resolve(resolution) => {
                request.set_resolution(*resolution);
                TaskVerb::Resolve
            }
            Self::Update(update) => {
                request.update = Some((**update).clone());
                TaskVerb::Update
            }
        };
        request.set_verb(verb);
        request
    }

    /// Asks once, but for an update: a repetition could meet what came of the first. The same values twice are
    /// the same values.
    async fn one(self, link: &Link, task: String) -> Result<Task, Stop> {
        let mut tasks = link.tasks();
        let answer = match self {
            Self::Cancel(grace) => tasks.cancel_task(CancelTaskRequest { task, grace }).await,
            Self::Retry => tasks.retry_task(RetryTaskRequest { task }).await,
            Self::Hold => tasks.hold_task(HoldTaskRequest { task }).await,
            Self::Release => tasks.release_task(ReleaseTaskRequest { task }).await,
            Self::Resolve(resolution) => {
                tasks.resolve_task(ResolveTaskRequest { task, resolution: resolution.into() }).await
            }
            Self::Update(update) => {
                let request = UpdateTaskRequest { task, ..*update };
                return link.repeat(async || link.tasks().update_task(request.clone()).await).await;
            }
        };
        Ok(answer?.into_inner())
    }
}

/// Does it to all that are chosen, and prints what became of each.
pub(super) async fn run(
    mut session: Session,
    which: Which,
    dead: bool,
    change: Change,
) -> Result<Exit, Stop> {
    let chosen = which.selection.choose(dead)?;
    let (names, is_alone, link) = match chosen {
        Chosen::Named(names) => {
            let is_alone = names.len() == 1;
            (names, is_alone, session.link().await?)
        }
        Chosen::Matching(filter) => {
            let filter = change.narrow(filter)?;
            let link = session.link().await?;
            let mut found = matching(&link, filter.clone()).await?;
            if found.is_empty() {
                session.out.note(&change.nothing(&filter, some_have(&link, &filter).await?));
            }
            change.order(&mut found);
            if found.len() > 1 && !which.yes && !agreed(&question(&found, &change))? {
                return Err(Complaint::new(Exit::Failed, "not_confirmed", "nothing was changed").into());
            }
            (found.into_iter().map(|(id, _)| id).collect(), false, link)
        }
    };
    let mut report = Report::new(&mut session, is_alone);
    match names.as_slice() {
        [one] => match change.one(&link, one.clone()).await {
            Ok(task) => report.task(task, Exit::Done)?,
            Err(stop) => report.error(stop, Some(one))?,
        },
        many => {
            for names in many.chunks(NAMES_MAX) {
                if let Err(stop) = each(&link, change.request(names.to_vec()), &mut report).await {
                    report.error(stop, None)?;
                    break;
                }
            }
        }
    }
    report.finish()
}

/// Prints the outcome of each as it is known.
async fn each(link: &Link, request: ChangeTasksRequest, report: &mut Report<'_>) -> Result<(), Stop> {
    let mut outcomes = link.tasks().change_tasks(request).await?.into_inner();
    while let Some(outcome) = outcomes.message().await? {
        match (outcome.changed, outcome.refusal) {
            (Some(task), _) => report.task(task, Exit::Done)?,
            (None, refusal) => report.refusal(refusal.unwrap_or_default(), &outcome.task)?,
        }
    }
    Ok(())
}

/// What is asked on a terminal.
fn question(found: &[(String, TaskState)], change: &Change) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, state) in found {
        *counts.entry(word::<TaskState>((*state).into())).or_default() += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    format!("{} {} tasks ({})?", change.words().0, found.len(), counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(change: Change, states: &[TaskState]) -> Result<Vec<TaskState>, String> {
        let states = states.iter().map(|state| (*state).into()).collect();
        match change.narrow(TaskFilter { states, ..TaskFilter::default() }) {
            Ok(filter) => Ok(filter.states().collect()),
            Err(Stop::Complaint(complaint)) => Err(complaint.message),
            Err(Stop::OutputClosed | Stop::TerminalGone) => Err(String::new()),
        }
    }

    #[test]
    fn a_filter_means_the_tasks_that_the_verb_makes_sense_for() {
        use TaskState::{Blocked, Cancelled, Deferred, Failed, Held, Lost, Queued, TimedOut};
        assert_eq!(narrowed(Change::Hold, &[]), Ok(vec![Blocked, Deferred, Queued]));
        assert_eq!(narrowed(Change::Retry, &[]), Ok(vec![Failed, Cancelled, TimedOut]));
        assert_eq!(narrowed(Change::Release, &[]), Ok(vec![Held]));
        assert_eq!(narrowed(Change::Resolve(Resolution::Fail), &[]), Ok(vec![Lost]));
        let update = Change::Update(Box::default());
        assert_eq!(narrowed(update, &[]), Ok(vec![Blocked, Deferred, Queued, Held]));
        assert_eq!(narrowed(Change::Cancel(None), &[Queued]), Ok(vec![Queued]));
        assert_eq!(
            narrowed(Change::Cancel(None), &[Queued, Failed]),
            Err("a task that is failed cannot be cancelled".to_owned())
        );
    }
}
