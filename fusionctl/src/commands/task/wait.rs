//! `task wait`: until tasks have ended, whatever happens to the daemon meanwhile.

use std::collections::HashSet;
use std::time::Duration;

use fusion_proto::v1::{FindTasksRequest, FindTasksResponse, Task, TaskFilter, TaskState, WaitTasksRequest};
use tonic::Status;

use super::progress::Board;
use super::report::Report;
use super::selection::{Chosen, Selection, has_ended};
use crate::client::{Link, Patience};
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::units::{format_duration, parse_duration};

const AFTER: &str = "\
Prints one line for each task that ended. Exits with 0 when all succeeded, else with 3 when one was
not found, 7 when time was up, 1 when one did not succeed.

Examples:
  fusionctl task wait 4f2k9x0a --timeout 10m
  fusionctl task wait --label batch=7
  fusionctl -q task submit --file tasks.jsonl | fusionctl task wait -";

/// The most names in one request: with these it stays below the 4 MiB that the daemon reads.
const NAMES_MAX: usize = 100_000;

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
    let (names, filter) = match chosen {
        Chosen::Named(names) => (names, None),
        Chosen::Matching(filter) => (Vec::new(), Some(filter)),
    };
    let mut report = Report::new(&mut session, names.len() == 1);
    let waiting = wait(&link, names, filter, &mut report);
    let timeout = args.timeout;
    let waited = match timeout {
        Some(most) => {
            tokio::time::timeout(most, waiting).await.unwrap_or_else(|_| Err(timed_out(most).into()))
        }
        None => waiting.await,
    };
    if let Err(stop) = waited {
        report.error(stop, None)?;
    }
    report.finish()
}

fn timed_out(most: Duration) -> Complaint {
    let message = format!("not every task has ended within {}", format_duration(most));
    Complaint::new(Exit::TimedOut, "wait_timed_out", message)
        .hint("the tasks go on; `fusionctl why ID` says what one waits for")
}

/// Waits for all that are named, or for all that match, and prints each when it has ended.
pub(super) async fn wait(
    link: &Link,
    names: Vec<String>,
    filter: Option<TaskFilter>,
    report: &mut Report<'_>,
) -> Result<(), Stop> {
    let mut board = Board::start(names.len());
    let progress = board.is_shown();
    if filter.is_some() {
        let request = WaitTasksRequest { filter, progress, ..WaitTasksRequest::default() };
        return until_ended(link, &request, &mut board, |task| print(report, task)).await;
    }
    for names in names.chunks(NAMES_MAX) {
        let request = WaitTasksRequest { tasks: names.to_vec(), progress, ..WaitTasksRequest::default() };
        wait_named(link, request, &mut board, report).await?;
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
        let mut found = Vec::new();
        for each in find(link, std::mem::take(&mut request.tasks)).await? {
            match each.refusal {
                None => found.push(each.id),
                Some(refusal) => board.aside(|| report.refusal(refusal, &each.task))?,
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        request.tasks = found;
    }
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
                return board.aside(|| ended(task));
            }
            Ok(())
        });
        match broke.await? {
            None if accounted_for(link, &request.tasks, &seen).await? => return Ok(()),
            None => patience.outlive(link, Status::unavailable("the daemon ended the wait early")).await?,
            Some(status) => patience.outlive(link, status).await?,
        }
    }
}

/// Passes on what the stream brings; returns the status it broke with.
async fn stream(
    link: &Link,
    request: &WaitTasksRequest,
    mut each: impl FnMut(Task) -> Result<(), Stop>,
) -> Result<Option<Status>, Stop> {
    let mut stream = match link.tasks().wait_tasks(request.clone()).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Ok(Some(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(task)) => each(task)?,
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
