//! The output of a task that is run, as it comes: stdout to stdout, stderr to stderr, every byte once.
//!
//! Not for: the logs of tasks that others run (`task logs`).

use fusion_proto::v1::{TailTaskLogsRequest, Task};
use tonic::Status;

use crate::client::{Link, Patience};
use crate::commands::task::logs::print_chunk;
use crate::error::{Stop, is_lost};
use crate::output::Output;

/// A place in the output of a task.
pub(crate) struct Follow<'a> {
    link: &'a Link,
    task: String,
    /// The attempt that was printed last.
    attempt: Option<u32>,
    /// The place behind what was printed of it.
    offset: u64,
}

impl<'a> Follow<'a> {
    /// The beginning.
    pub(crate) fn new(link: &'a Link, task: &str) -> Self {
        Self { link, task: task.to_owned(), attempt: None, offset: 0 }
    }

    /// Prints what comes, across restarts of the daemon. Ends with an error alone: whoever waits for the
    /// end of the task drops it.
    pub(crate) async fn live(&mut self, out: &mut Output) -> Stop {
        let mut patience = Patience::new();
        loop {
            let status = match self.stream(true, &mut patience, out).await {
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
            if self.attempt.is_some_and(|printed| number < printed) {
                continue;
            }
            if self.attempt != Some(number) {
                (self.attempt, self.offset) = (Some(number), 0);
            }
            let mut patience = Patience::new();
            while let Some(status) = self.stream(false, &mut patience, out).await? {
                patience.outlive(self.link, status).await?;
            }
        }
        Ok(())
    }

    /// Prints until the stream ends, and returns the status it broke with.
    async fn stream(
        &mut self,
        follow: bool,
        patience: &mut Patience,
        out: &mut Output,
    ) -> Result<Option<Status>, Stop> {
        let (task, attempt, offset) = (self.task.clone(), self.attempt, self.offset);
        let request = TailTaskLogsRequest { task, attempt, offset, follow };
        let mut stream = match self.link.tasks().tail_task_logs(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return Ok(Some(status)),
        };
        loop {
            match stream.message().await {
                Ok(Some(chunk)) => {
                    patience.renew();
                    (self.attempt, self.offset) = (Some(chunk.attempt), chunk.next_offset);
                    print_chunk(out, &chunk)?;
                }
                Ok(None) => return Ok(None),
                Err(status) => return Ok(Some(status)),
            }
        }
    }
}
