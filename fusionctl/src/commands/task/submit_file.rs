//! `task submit --file`: a file of tasks as one stream.
//!
//! ```text
//!   thread: read, parse ──batches──► fill ──► stream to the daemon
//!                                     │            │ answers, in order
//!                                     └─ pending ──┴─► ids on stdout, refusals on stderr
//! ```
//!
//! Memory is bounded by the window of unanswered lines. When the connection breaks, what has no answer
//! is sent again; the request ids make that safe.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use fusion_proto::v1::submit_tasks_response::Outcome;
use fusion_proto::v1::{Failure, SubmitTaskRequest, SubmitTasksResponse};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::progress::Progress;
use super::report::Report;
use super::store;
use super::task_file::{Item, TaskFile};
use super::wait;
use crate::client::{Link, Patience};
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::output::{Format, json_line};

/// How many lines may be without an answer: enough to keep the daemon's group commits full.
const WINDOW_LINES: usize = 8192;

/// How many bytes of lines may be without an answer.
const WINDOW_BYTES: usize = 16 << 20;

/// How many answers may wait for being printed.
const ANSWERS_MAX: usize = 1024;

/// How long printed ids may stay in the buffer.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// How many buffered bytes are let out without waiting for [`FLUSH_EVERY`].
const FLUSH_BYTES: usize = 32 * 1024;

/// What is done with the accepted tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Their ids are printed as they come.
    Print,
    /// They are waited for.
    Wait,
}

/// Submits every line; refused lines do not keep the others from being accepted.
pub(super) async fn run(session: Session, path: &Path, user: String, then: Then) -> Result<Exit, Stop> {
    let file = TaskFile::open(path)?;
    let link = session.link().await?;
    let progress = Progress::start(file.bytes());
    let lines = file.read(user);
    let mut submission = Submission {
        session,
        link,
        progress,
        waiting: VecDeque::new(),
        pending: VecDeque::new(),
        pending_bytes: 0,
        pipe: None,
        then,
        kept: Vec::new(),
        accepted: 0,
        refused: 0,
        unreadable: None,
    };
    let outcome = submission.work(lines).await;
    submission.progress.finish();
    match outcome {
        Ok(()) => submission.finish(path).await,
        Err(stop) => {
            submission.session.out.flush()?;
            let line = submission.pending.front().map_or(0, |entry| entry.line);
            let accepted = submission.accepted;
            Err(stop.with_detail(|| format!("{accepted} tasks were accepted; line {line} has no answer")))
        }
    }
}

/// A line on its way.
#[derive(Debug)]
struct Entry {
    line: u32,
    bytes: usize,
    /// Where in the file the line ends.
    end: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Sent, and kept for sending it again.
    Sent(Box<SubmitTaskRequest>),
    /// Refused on this side; waits for its turn to be printed.
    Refused(String),
}

/// One accepted line in a JSON list.
#[derive(Debug, Serialize)]
struct Accepted {
    line: u32,
    id: String,
}

/// One stream to the daemon.
#[derive(Debug)]
struct Pipe {
    /// `None` when everything was sent.
    requests: Option<mpsc::Sender<SubmitTaskRequest>>,
    answers: mpsc::Receiver<Result<SubmitTasksResponse, Status>>,
}

impl Pipe {
    fn open(link: &Link) -> Self {
        let (requests, sent) = mpsc::channel(WINDOW_LINES);
        let (answered, answers) = mpsc::channel(ANSWERS_MAX);
        let link = link.clone();
        // Apart, because the daemon may begin its answer only after the first line.
        tokio::spawn(async move {
            if let Err(status) = pump(&link, sent, &answered).await {
                // A receiver that is gone needs no status.
                drop(answered.send(Err(status)).await);
            }
        });
        Self { requests: Some(requests), answers }
    }

    /// Hands a request to the stream. One that has ended says why through its answers.
    fn send(&self, request: SubmitTaskRequest) {
        if let Some(requests) = &self.requests
            && let Err(mpsc::error::TrySendError::Full(_)) = requests.try_send(request)
        {
            unreachable!("the channel holds as many requests as may be without an answer");
        }
    }
}

async fn pump(
    link: &Link,
    sent: mpsc::Receiver<SubmitTaskRequest>,
    answered: &mpsc::Sender<Result<SubmitTasksResponse, Status>>,
) -> Result<(), Status> {
    let mut stream = link.tasks().submit_tasks(ReceiverStream::new(sent)).await?.into_inner();
    while let Some(answer) = stream.message().await? {
        if answered.send(Ok(answer)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// A file under way.
#[derive(Debug)]
struct Submission {
    session: Session,
    link: Link,
    progress: Progress,
    /// Read, but outside the window.
    waiting: VecDeque<Item>,
    /// Inside the window, in the order of the file.
    pending: VecDeque<Entry>,
    pending_bytes: usize,
    pipe: Option<Pipe>,
    then: Then,
    kept: Vec<Accepted>,
    accepted: u64,
    refused: u64,
    unreadable: Option<io::Error>,
}

impl Submission {
    async fn work(&mut self, mut lines: mpsc::Receiver<Vec<Item>>) -> Result<(), Stop> {
        let mut patience = Patience::new();
        let mut tick = tokio::time::interval(FLUSH_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading = true;
        loop {
            self.fill().await?;
            self.print_refused()?;
            if !reading && self.waiting.is_empty() {
                if self.pending.is_empty() {
                    return Ok(());
                }
                if let Some(pipe) = &mut self.pipe {
                    pipe.requests = None;
                }
            }
            tokio::select! {
                batch = lines.recv(), if reading && self.waiting.is_empty() => match batch {
                    Some(items) => self.waiting.extend(items),
                    None => reading = false,
                },
                answer = next_answer(&mut self.pipe), if !self.pending.is_empty() => match answer {
                    Ok(answer) => {
                        patience.renew();
                        self.take_answers(answer)?;
                    }
                    Err(status) => {
                        self.flush()?;
                        patience.outlive(&self.link, status).await?;
                        self.send_again();
                    }
                },
                _ = tick.tick() => self.flush()?,
            }
        }
    }

    /// Moves lines into the window while there is room.
    async fn fill(&mut self) -> Result<(), Stop> {
        while self.pending.len() < WINDOW_LINES
            && (self.pending_bytes < WINDOW_BYTES || self.pending.is_empty())
            && let Some(item) = self.waiting.pop_front()
        {
            let (line, bytes, end, content) = match item {
                Item::Task { request, bytes, end } => {
                    let line = request.line;
                    let content = self.send(request).await?;
                    (line, bytes, end, content)
                }
                Item::Refused { line, why, end } => (line, why.len(), end, Content::Refused(why)),
                Item::Unreadable(error) => {
                    self.unreadable = Some(error);
                    continue;
                }
            };
            self.pending_bytes += bytes;
            self.pending.push_back(Entry { line, bytes, end, content });
        }
        Ok(())
    }

    /// Sends one line. A long prompt goes ahead; one that is refused keeps no other line from being accepted.
    async fn send(&mut self, mut request: Box<SubmitTaskRequest>) -> Result<Content, Stop> {
        match store::send_ahead(&self.link, &mut request).await {
            Ok(()) => {
                self.pipe.get_or_insert_with(|| Pipe::open(&self.link)).send((*request).clone());
                Ok(Content::Sent(request))
            }
            Err(Stop::Complaint(refusal)) if refusal.exit != Exit::Unreachable => {
                Ok(Content::Refused(refusal.message))
            }
            Err(stop) => Err(stop),
        }
    }

    /// After a lost connection: a new stream with everything that has no answer.
    fn send_again(&mut self) {
        let pipe = Pipe::open(&self.link);
        for entry in &self.pending {
            match &entry.content {
                Content::Sent(request) => pipe.send((**request).clone()),
                Content::Refused(_) => {}
            }
        }
        self.pipe = Some(pipe);
    }

    /// Takes an answer and all that are there already.
    fn take_answers(&mut self, first: SubmitTasksResponse) -> Result<(), Stop> {
        let mut next = Some(first);
        while let Some(answer) = next {
            self.take_answer(answer)?;
            let ready = self.pipe.as_mut().and_then(|pipe| pipe.answers.try_recv().ok());
            next = match ready {
                Some(Ok(answer)) => Some(answer),
                Some(Err(status)) => {
                    // Waited for in the loop like any other end of the stream.
                    self.pipe = Some(Pipe::ended(status));
                    None
                }
                None => None,
            };
        }
        if self.session.out.waiting() > FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    fn take_answer(&mut self, answer: SubmitTasksResponse) -> Result<(), Stop> {
        let is_meant = |entry: &Entry| entry.line == answer.line && matches!(entry.content, Content::Sent(_));
        let Some(place) = self.pending.iter().position(is_meant) else { return Ok(()) };
        let entry = self.pending.remove(place).expect("the place was found in the window");
        self.pending_bytes -= entry.bytes;
        self.progress.reached(entry.end);
        match answer.outcome {
            Some(Outcome::Id(id)) => self.accept(entry.line, id)?,
            Some(Outcome::Refusal(failure)) => self.refuse(&refusal(entry.line, failure))?,
            None => self.refuse(&Complaint::new(
                Exit::Bug,
                "no_outcome",
                format!("line {}: the daemon gave no outcome", entry.line),
            ))?,
        }
        self.print_refused()
    }

    fn accept(&mut self, line: u32, id: String) -> Result<(), Stop> {
        self.accepted += 1;
        if self.then == Then::Wait {
            self.kept.push(Accepted { line, id });
            return Ok(());
        }
        let out = &mut self.session.out;
        if out.is_quiet() {
            return out.line(&id);
        }
        match out.format() {
            Format::Table => out.line(&id),
            Format::Jsonl => out.line(&json_line(&Accepted { line, id })),
            Format::Json | Format::Yaml => {
                self.kept.push(Accepted { line, id });
                Ok(())
            }
        }
    }

    fn refuse(&mut self, complaint: &Complaint) -> Result<(), Stop> {
        self.refused += 1;
        let session = &mut self.session;
        self.progress.aside(|| session.complain(complaint))
    }

    /// Prints the lines refused on this side whose turn has come.
    fn print_refused(&mut self) -> Result<(), Stop> {
        while let Some(Entry { content: Content::Refused(_), .. }) = self.pending.front() {
            let entry = self.pending.pop_front().expect("the window has a first line");
            self.pending_bytes -= entry.bytes;
            self.progress.reached(entry.end);
            if let Content::Refused(why) = entry.content {
                let message = format!("line {}: {why}", entry.line);
                let complaint = Complaint::new(Exit::Failed, "invalid_line", message);
                self.refuse(
                    &complaint.hint("mend it and submit it again; the other lines do not wait for it"),
                )?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.progress.tell(self.accepted, self.refused);
        let out = &mut self.session.out;
        self.progress.aside(|| out.flush())
    }

    async fn finish(mut self, path: &Path) -> Result<Exit, Stop> {
        if self.then == Then::Wait {
            return self.wait(path).await;
        }
        let programs = matches!(self.session.out.format(), Format::Json | Format::Yaml);
        if programs && !self.session.out.is_quiet() {
            self.session.out.document(&self.kept, |_| Ok(()))?;
        }
        self.session.out.flush()?;
        if let Some(error) = self.unreadable {
            return Err(Complaint::unreadable(&path.display().to_string(), &error).into());
        }
        Ok(Exit::of_success(self.refused == 0))
    }

    /// Waits for what was accepted, also of a file that broke off.
    async fn wait(mut self, path: &Path) -> Result<Exit, Stop> {
        let ids = self.kept.into_iter().map(|accepted| accepted.id).collect();
        let mut report = Report::new(&mut self.session, false);
        report.exit(Exit::of_success(self.refused == 0));
        wait::wait(&self.link, ids, &mut report).await?;
        if let Some(error) = self.unreadable {
            report.error(Complaint::unreadable(&path.display().to_string(), &error).into(), None)?;
        }
        report.finish()
    }
}

impl Pipe {
    /// A pipe whose only answer is how it ended.
    fn ended(status: Status) -> Self {
        let (answered, answers) = mpsc::channel(1);
        drop(answered.try_send(Err(status)));
        Self { requests: None, answers }
    }
}

async fn next_answer(pipe: &mut Option<Pipe>) -> Result<SubmitTasksResponse, Status> {
    match pipe {
        Some(pipe) => pipe.answers.recv().await.unwrap_or_else(|| {
            Err(Status::unavailable("the daemon ended the stream before every line had its answer"))
        }),
        None => std::future::pending().await,
    }
}

fn refusal(line: u32, failure: Failure) -> Complaint {
    let complaint = Complaint::new(Exit::Failed, &failure.code, format!("line {line}: {}", failure.message));
    if failure.hint.is_empty() { complaint } else { complaint.hint(failure.hint) }
}
