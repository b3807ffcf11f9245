//! The output of a task that is run, as it comes: stdout to stdout, stderr to stderr, every byte once.
//!
//! Not for: the logs of tasks that others run (`task logs`).

use fusion_proto::v1::{LogFilter, LogPlace, LogStream, TailLogsRequest, Task};
use tonic::Status;

use crate::client::{Link, Patience};
use crate::commands::agent::attach;
use crate::commands::logs::print_bytes;
use crate::error::{Stop, is_lost};
use crate::output::Output;

/// A place in the output of a task.
pub(crate) struct Follow<'a> {
    link: &'a Link,
    task: String,
    /// Behind what was printed last.
    place: Option<LogPlace>,
    /// Only standard error is printed.
    errors_alone: bool,
}

/// Which part of the output is asked for.
#[derive(Clone, Copy)]
enum Part {
    /// What comes, of all attempts.
    Live,
    /// What there is of one attempt.
    Rest(u32),
    /// One attempt until it ends.
    Attempt(u32),
}

impl<'a> Follow<'a> {
    /// The beginning.
    pub(crate) fn new(link: &'a Link, task: &str) -> Self {
        Self { link, task: task.to_owned(), place: None, errors_alone: false }
    }

    /// The same without standard output.
    pub(crate) fn errors_alone(self) -> Self {
        Self { errors_alone: true, ..self }
    }

    /// Prints what comes, across restarts of the daemon. Ends with an error alone: whoever waits for the
    /// end of the task drops it.
    pub(crate) async fn live(&mut self, out: &mut Output) -> Stop {
        let mut patience = Patience::new();
        loop {
            let status = match self.stream(Part::Live, &mut patience, out).await {
                Ok(Some(status)) if !is_lost(&status) => return status.into(),
                Ok(Some(status)) => status,
                Ok(None) => Status::unavailable("the daemon ended the output early"),
                Err(stop) => return stop,
            };
            if let Err(stop) = patience.outlive(self.link, status).await {
                return stop;
            }
        }
    }

    /// Prints what is left of a task that does not run any more.
    pub(crate) async fn rest(&mut self, out: &mut Output, task: &Task) -> Result<(), Stop> {
        for number in task.attempts.iter().map(|attempt| attempt.number) {
            if self.place.as_ref().is_some_and(|printed| number < printed.attempt) {
                continue;
            }
            let mut patience = Patience::new();
            while let Some(status) = self.stream(Part::Rest(number), &mut patience, out).await? {
                patience.outlive(self.link, status).await?;
            }
        }
        Ok(())
    }

    /// Prints the last lines of what there is of an attempt, and goes on behind them.
    pub(crate) async fn tail(&mut self, out: &mut Output, number: u32, count: u64) -> Result<(), Stop> {
        // Also without a line to show, the last one tells the place.
        let filter = Some(LogFilter { tail: Some(count.max(1)), ..LogFilter::default() });
        let (task, attempt) = (self.task.clone(), Some(number));
        let request = TailLogsRequest { task, attempt, filter, ..TailLogsRequest::default() };
        let mut stream =
            self.link.repeat(async || self.link.tasks().tail_logs(request.clone()).await).await?;
        while let Some(mut chunk) = stream.message().await? {
            self.place = chunk.next.take().or(self.place.take());
            if count > 0 {
                print_bytes(&chunk, out)?;
            }
        }
        Ok(())
    }

    /// Prints what comes of one attempt until it has ended, across restarts of the daemon.
    pub(crate) async fn until_over(&mut self, out: &mut Output, number: u32) -> Result<(), Stop> {
        let mut patience = Patience::new();
        loop {
            let status = match self.stream(Part::Attempt(number), &mut patience, out).await? {
                None if attach::is_over(self.link, &self.task, number).await? => return Ok(()),
                None => Status::unavailable("the daemon ended the output early"),
                Some(status) => status,
            };
            patience.outlive(self.link, status).await?;
        }
    }

    /// Prints a part until the stream ends, and returns the status it broke with.
    async fn stream(
        &mut self,
        part: Part,
        patience: &mut Patience,
        out: &mut Output,
    ) -> Result<Option<Status>, Stop> {
        let (attempt, follow) = match part {
            Part::Live => (None, true),
            Part::Rest(number) => (Some(number), false),
            Part::Attempt(number) => (Some(number), true),
        };
        let from = self.place.clone().filter(|place| attempt.is_none_or(|number| number == place.attempt));
        let task = self.task.clone();
        let request = TailLogsRequest { task, attempt, follow, from, ..TailLogsRequest::default() };
        let mut stream = match self.link.tasks().tail_logs(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return Ok(Some(status)),
        };
        loop {
            match stream.message().await {
                Ok(Some(mut chunk)) => {
                    patience.renew();
                    self.place = chunk.next.take().or(self.place.take());
                    if !self.errors_alone || chunk.stream() == LogStream::Stderr {
                        print_bytes(&chunk, out)?;
                    }
                }
                Ok(None) => return Ok(None),
                Err(status) => return Ok(Some(status)),
            }
        }
    }
}
