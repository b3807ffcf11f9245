//! Gathering what one turn takes: all that waits, as far as it fits into one record.
//!
//! Not for: what becomes of it.

use super::Loop;
use super::weigh::record_bytes;
use crate::engine::Message;
use fusion_core::Outcome;
use tokio::sync::mpsc;

/// The most messages in one batch: bounds how long a caller waits for its turn.
const BATCH_MAX: usize = 4096;

/// The most bytes of task input in one record; a batch is cut before it grows beyond.
const BATCH_BYTES_MAX: usize = 16 << 20;

impl Loop {
    /// Waits for the next message, outcome or due instant, then takes all that is there. `None`: every
    /// door is gone.
    pub(super) async fn gather(&mut self) -> (Option<Vec<Message>>, Vec<Outcome>) {
        let mut messages = Vec::new();
        let mut outcomes = std::mem::take(&mut self.own_outcomes);
        if outcomes.is_empty() {
            let wake = self.next_wait();
            let sleep = async {
                match wake {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let hands = !self.outcomes.is_closed() || !self.outcomes.is_empty();
            tokio::select! {
                biased;
                _ = self.outcomes.recv_many(&mut outcomes, BATCH_MAX), if hands => {}
                // One: the rest is taken as far as its bytes go.
                message = self.inbox.recv() => match message {
                    Some(message) => messages.push(message),
                    None => return (None, outcomes),
                },
                () = sleep => {}
            }
        }
        while outcomes.len() < BATCH_MAX
            && let Ok(outcome) = self.outcomes.try_recv()
        {
            outcomes.push(outcome);
        }
        fill(&mut messages, &mut self.inbox);
        (Some(messages), outcomes)
    }
}

/// Takes what waits, until one more would make the record of the turn too long.
fn fill(messages: &mut Vec<Message>, inbox: &mut mpsc::Receiver<Message>) {
    let mut bytes: usize = messages.iter().map(record_bytes).sum();
    while messages.len() < BATCH_MAX
        && bytes < BATCH_BYTES_MAX
        && let Ok(message) = inbox.try_recv()
    {
        bytes += record_bytes(&message);
        messages.push(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Beside;
    use crate::runtime::TaskInput;
    use fusion_core::input::Intake;
    use fusion_core::task::TaskKind;
    use fusion_core::{Caller, Command, Rights, Uid};

    fn ask(input: TaskInput) -> Message {
        let (caller, command) =
            (Caller { uid: Uid(1), rights: Rights::Admin }, Command::SetIntake(Intake::Open));
        Message::Ask { caller, command, beside: Some(Beside::Task(input)), answer: Box::new(|_, _, _| {}) }
    }

    #[test]
    fn a_burst_of_long_inputs_becomes_several_records() {
        let text = "x".repeat(1 << 20);
        let input = |prompt: &str, run: &str, value: &str| TaskInput {
            kind: TaskKind::Run,
            prompt: prompt.to_owned(),
            run: vec![run.to_owned()],
            env: vec![("A".to_owned(), value.to_owned())],
            stored: None,
        };
        for input in [input(&text, "", ""), input("", &text, ""), input("", "", &text)] {
            let (sender, mut inbox) = mpsc::channel(64);
            for _ in 0..64 {
                assert!(sender.try_send(ask(input.clone())).is_ok());
            }
            let mut sizes = Vec::new();
            while let Ok(first) = inbox.try_recv() {
                let mut messages = vec![first];
                fill(&mut messages, &mut inbox);
                sizes.push(messages.len());
            }
            assert_eq!(sizes, [16, 16, 16, 16]);
        }
    }
}
