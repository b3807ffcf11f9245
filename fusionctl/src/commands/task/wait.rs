//! `task wait`: until tasks have ended, whatever happens to the daemon meanwhile.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use fusion_proto::v1::{FindTasksRequest, FindTasksResponse, Task, TaskFilter, TaskState, WaitTasksRequest};
use tokio::sync::Notify;
use tokio::time::Instant;
use tonic::Status;

use super::progress::Board;
use super::report::Report;
use super::selection::{Chosen, Selection, has_ended, matching, noun, some_have};
use crate::client::{Link, Patience};
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::units::{format_duration, parse_duration};

const AFTER: &str = "\
Prints one line for each task that ended. Exits with 0 when all succeeded, else with 3 when one was
not found or no task has the labels, 7 when time was up, 1 when one did not succeed. Those that have
ended are told first, also with --timeout 0s.

Examples:
  fusionctl task wait 4f2k9x0a --timeout 10m
  fusionctl task wait --label batch=7
  fusionctl -q task submit --file tasks.jsonl | fusionctl task wait -";

/// The most names in one request: with these it stays below the 4 MiB that the daemon reads.
const NAMES_MAX: usize = 100_000;

/// So long may the first look take before time counts all the same.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Arguments of `task wait`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Stop waiting after this time; the tasks go on
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

/// Waits and prints.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let chosen = args.selection.choose(false)?;
    let link = session.link().await?;
    let (names, is_alone) = match chosen {
        Chosen::Named(names) => {
            let is_alone = names.len() == 1;
            (names, is_alone)
        }
        Chosen::Matching(filter) => (chosen_by(&session, &link, filter).await?, false),
    };
    let mut report = Report::new(&mut session, is_alone);
    let waited = match args.timeout {
        Some(most) => within(most, &link, names, &mut report).await,
        None => wait(&link, names, &mut report).await,
    };
    if let Err(stop) = waited {
        report.error(stop, None)?;
    }
    report.finish()
}

/// The tasks that match. A label that no task has is a slip of the pen; that none is in a state is an answer.
async fn chosen_by(session: &Session, link: &Link, filter: TaskFilter) -> Result<Vec<String>, Stop> {
    let found = matching(link, filter.clone()).await?;
    if found.is_empty() {
        if !some_have(link, &filter).await? {
            let message = format!("no {}", noun(&filter));
            let complaint = Complaint::new(Exit::NotFound, "task_not_found", message);
            return Err(complaint.hint("`fusionctl task list -o json` shows tasks with their labels").into());
        }
        session.out.note(&format!("no {} is in that state: there is nothing to wait for", noun(&filter)));
    }
    Ok(found.into_iter().map(|(id, _)| id).collect())
}

/// Waits no longer than this after a first look at all of them.
async fn within(
    most: Duration,
    link: &Link,
    names: Vec<String>,
    report: &mut Report<'_>,
) -> Result<(), Stop> {
    let begin = Instant::now();
    let looked = Arc::new(Notify::new());
    let mut board = Board::start(names.len());
    board.tells_once_known(Arc::clone(&looked));
    let time_is_up = async {
        // Either way, time counts from here.
        drop(tokio::time::timeout(LOOK_MAX, looked.notified()).await);
        tokio::time::sleep_until(begin + most).await;
    };
    tokio::select! {
        biased;
        waited = wait_on(link, names, &mut board, report) => waited,
        () = time_is_up => Err(timed_out(most).into()),
    }
}

fn timed_out(most: Duration) -> Complaint {
    let message = format!("not every task has ended within {}", format_duration(most));
    Complaint::new(Exit::TimedOut, "wait_timed_out", message)
        .hint("the tasks go on; `fusionctl why ID` says what one waits for")
}

/// Waits for all that are named, and prints each when it has ended.
pub(super) async fn wait(link: &Link, names: Vec<String>, report: &mut Report<'_>) -> Result<(), Stop> {
    let mut board = Board::start(names.len());
    wait_on(link, names, &mut board, report).await
}

async fn wait_on(
    link: &Link,
    names: Vec<String>,
    board: &mut Board,
    report: &mut Report<'_>,
) -> Result<(), Stop> {
    for names in names.chunks(NAMES_MAX) {
        let request = WaitTasksRequest { tasks: names.to_vec(), ..WaitTasksRequest::default() };
        wait_named(link, request, board, report).await?;
    }
    Ok(())
}

fn print(report: &mut Report<'_>, task: Task) -> Result<(), Stop> {
    let exit = Exit::of_success(task.state() == TaskState::Succeeded);
    report.task(task, exit)
}

/// Names that nothing has are reported, and the rest is waited for.
async fn wait_named(
    link: &Link,
    mut request: WaitTasksRequest,
    board: &mut Board,
    report: &mut Report<'_>,
) -> Result<(), Stop> {
    if request.tasks.len() > 1 {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for each in find(link, std::mem::take(&mut request.tasks)).await? {
            match each.refusal {
                None if seen.insert(each.id.clone()) => found.push(each.id),
                None => {}
                Some(refusal) => board.aside(|| report.refusal(refusal, &each.task))?,
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        request.tasks = found;
    }
    request.progress = board.wants_progress();
    request.results = report.wants_results();
    board.awaits(request.tasks.len());
    until_ended(link, &request, board, |task| print(report, task)).await
}

/// What the names mean, in their order.
async fn find(link: &Link, tasks: Vec<String>) -> Result<Vec<FindTasksResponse>, Stop> {
    let request = FindTasksRequest { tasks };
    let ask = async || {
        let mut stream = link.tasks().find_tasks(request.clone()).await?.into_inner();
        let mut found = Vec::new();
        while let Some(each) = stream.message().await? {
            found.push(each);
        }
        Ok(tonic::Response::new(found))
    };
    link.repeat(ask).await
}

/// Hands out each task once, when it has ended; a daemon that is away for a while is waited for.
pub(crate) async fn until_ended(
    link: &Link,
    request: &WaitTasksRequest,
    board: &mut Board,
    mut ended: impl FnMut(Task) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut patience = Patience::new();
    let mut seen = HashSet::new();
    loop {
        let broke = stream(link, request, |task| {
            patience.renew();
            board.tell(&task);
            let is_end = has_ended(task.state()) || (request.or_lost && task.state() == TaskState::Lost);
            if is_end && seen.insert(task.id.clone()) {
                board.aside(|| ended(task))?;
            }
            Ok(match seen.len() < request.tasks.len() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        });
        match broke.await? {
            None if accounted_for(link, &request.tasks, &seen).await? => return Ok(()),
            None => patience.outlive(link, Status::unavailable("the daemon ended the wait early")).await?,
            Some(status) => patience.outlive(link, status).await?,
        }
    }
}

/// Passes on what the stream brings until that is enough; returns the status it broke with.
async fn stream(
    link: &Link,
    request: &WaitTasksRequest,
    mut each: impl FnMut(Task) -> Result<ControlFlow<()>, Stop>,
) -> Result<Option<Status>, Stop> {
    let mut stream = match link.tasks().wait_tasks(request.clone()).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Ok(Some(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(task)) => {
                if each(task)?.is_break() {
                    return Ok(None);
                }
            }
            Ok(None) => return Ok(None),
            Err(status) => return Ok(Some(status)),
        }
    }
}

/// Whether every named task was handed out. A name may be part of an id, so the daemon is asked about
/// those that are not ids that were seen.
async fn accounted_for(link: &Link, names: &[String], seen: &HashSet<String>) -> Result<bool, Stop> {
    if seen.len() >= names.len() {
        return Ok(true);
    }
    let unseen = names.iter().filter(|name| !seen.contains(*name)).cloned().collect();
    for each in find(link, unseen).await? {
        match each.refusal {
            Some(refusal) => return Err(Complaint::of_refusal(refusal).into()),
            None if seen.contains(&each.id) => {}
            None => return Ok(false),
        }
    }
    Ok(true)
}
