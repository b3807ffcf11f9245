//! A shim that serves: orders become frames, frames become outcomes. Plain functions; the lane waits.
//!
//! Not here: finding, losing and ending shims (the lane).

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use fusion_core::task::Exit;
use fusion_core::{Millis, Outcome, Time};
use fusion_shim::wire::{Disk, Limits, Observed, Reply, Request, StartRefusedWhy, Welcome};
use fusion_sys::pidfd::PidFd;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::shutdown;
use crate::runtime::Shared;
use crate::runtime::attempt::Template;
use crate::runtime::connection::Connection;
use crate::runtime::launch::Prepared;
use crate::runtime::listener::{self, Accepting};
use crate::runtime::look::{Found, process_of};
use crate::runtime::order::{InputNews, InputPiece, Order, Setup};
use crate::runtime::words;

/// A shim that serves, and what serving it takes.
pub(super) struct Up {
    setup: Arc<Setup>,
    connection: Connection,
    process: Option<PidFd>,
    template: Template,
    /// Under which the shim holds the tree.
    limits: Limits,
    /// The disk that limits of throughput are about.
    disk: Option<Disk>,
    /// Who waits for the word that a piece of input was taken.
    writers: HashMap<(u32, u64), mpsc::Sender<InputNews>>,
    /// Acknowledgements that wait for a start to ride with, or for the end of the batch.
    acks: Vec<u32>,
    /// The end of the grace, once its end was ordered.
    grace_until: Option<Instant>,
    greeted: Greeted,
    _accepting: Accepting,
}

impl Up {
    /// Begins to serve; also returns what is to be told.
    pub(super) fn new(
        shared: &Shared,
        setup: Arc<Setup>,
        found: Found,
        prepared: Prepared,
    ) -> io::Result<(Self, Outcome)> {
        let connections = shared.agent_connections.clone();
        let accepting = listener::accept(prepared.listener, setup.agent, setup.owner, connections)?;
        let Found { connection, welcome } = found;
        let process = process_of(&welcome);
        let limits = welcome.limits;
        let greeted = Greeted::with(&welcome);
        let outcome = shim_up(&setup, *welcome);
        let (template, writers, acks, grace_until) = (prepared.template, HashMap::new(), Vec::new(), None);
        let mut up = Self {
            setup,
            connection,
            process,
            template,
            limits,
            disk: shared.ground.disk,
            writers,
            acks,
            grace_until,
            greeted,
            _accepting: accepting,
        };
        // They may have been changed just before a crash.
        up.set_limits();
        up.flush();
        Ok((up, outcome))
    }

    pub(super) fn incarnation(&self) -> u32 {
        self.setup.incarnation
    }

    pub(super) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(super) fn takes_stored(&self) -> bool {
        self.template.takes_stored()
    }

    pub(super) fn grace_until(&self) -> Option<Instant> {
        self.grace_until
    }

    pub(super) fn into_parts(self) -> (Arc<Setup>, Option<Instant>, Option<PidFd>) {
        (self.setup, self.grace_until, self.process)
    }

    pub(super) async fn next(&mut self) -> io::Result<Reply> {
        self.connection.next().await
    }

    /// Turns an order into a frame. Orders of other incarnations are about the dead, whose end was told.
    pub(super) fn obey(&mut self, order: Order) {
        let mine = self.setup.incarnation;
        match order {
            Order::Start { incarnation, serial, task, number, stdin, input, secrets, .. }
                if incarnation == mine =>
            {
                let spec = self.template.spec(task, number, serial, stdin, &input, &secrets);
                let ack = std::mem::take(&mut self.acks);
                self.connection.send(&Request::Start { serial, spec, ack });
            }
            Order::Seed { incarnation, serial, .. } if incarnation == mine => {
                if let Some(spec) = self.template.seeding() {
                    let ack = std::mem::take(&mut self.acks);
                    self.connection.send(&Request::Start { serial, spec, ack });
                }
            }
            Order::Stop { incarnation, serial, grace, why, .. } if incarnation == mine => {
                let why = words::wire_stop_why(why);
                self.connection.send(&Request::Stop { serial, grace_ms: grace.0, why });
            }
            Order::Ack { incarnation, serial, .. } if incarnation == mine => self.acks.push(serial),
            Order::Freeze { incarnation, .. } if incarnation == mine => {
                self.connection.send(&Request::Freeze)
            }
            Order::Thaw { incarnation, .. } if incarnation == mine => self.connection.send(&Request::Thaw),
            Order::Observe { incarnation, .. } if incarnation == mine => {
                self.connection.send(&Request::Observe);
            }
            Order::Input { lease, piece, taken } if lease.incarnation == mine => {
                self.pass_input(lease.serial, piece, taken);
            }
            Order::Start { .. }
            | Order::Seed { .. }
            | Order::Input { .. }
            | Order::Stop { .. }
            | Order::Ack { .. }
            | Order::Freeze { .. }
            | Order::Thaw { .. }
            | Order::Observe { .. } => {}
            Order::Launch { .. }
            | Order::Adopt { .. }
            | Order::Refresh { .. }
            | Order::StopShim { .. }
            | Order::EndStray { .. }
            | Order::Measure { .. }
            | Order::RemoveWorkspace { .. } => {
                unreachable!("the lane carries these out itself")
            }
        }
    }

    /// From now on attempts are made by these settings, and the tree is held by these limits.
    pub(super) fn refresh(&mut self, setup: Arc<Setup>) {
        self.template.renew(&setup);
        self.setup = setup;
        self.set_limits();
    }

    fn set_limits(&mut self) {
        let limits = words::wire_limits(&self.setup.limits, self.disk);
        if self.limits != limits {
            self.limits = limits;
            self.connection.send(&Request::Limit { limits });
        }
    }

    /// Of two pieces of one writer the first is forgotten: its client has come back and says it again.
    fn pass_input(&mut self, serial: u32, piece: InputPiece, taken: mpsc::Sender<InputNews>) {
        let InputPiece { writer, offset, bytes, is_last } = piece;
        self.writers.insert((serial, writer), taken);
        self.connection.send(&Request::Input { serial, writer, offset, bytes, is_last });
    }

    fn answer_input(&mut self, serial: u32, writer: u64, news: InputNews) {
        if let Some(taken) = self.writers.remove(&(serial, writer)) {
            // Who does not wait any more needs no answer.
            let _nobody_waits = taken.try_send(news);
        }
    }

    /// Asks for the end of everything; of two orders the earlier one counts.
    pub(super) fn shut_down(&mut self, grace_until: Instant) {
        self.grace_until = Some(self.grace_until.map_or(grace_until, |at| at.min(grace_until)));
        self.connection.send(&shutdown(grace_until));
    }

    /// The end of a batch: what has no start to ride with goes alone.
    pub(super) fn flush(&mut self) {
        if !self.acks.is_empty() {
            let serials = std::mem::take(&mut self.acks);
            self.connection.send(&Request::Ack { serials });
        }
        // A connection that is broken says so at the next read, behind the shim's last words.
        let _told_by_the_read = self.connection.flush();
    }

    /// Turns a frame into an outcome, if it is news.
    pub(super) fn hear(&mut self, reply: Reply) -> Option<Outcome> {
        let (agent, incarnation) = (self.setup.agent, self.setup.incarnation);
        match reply {
            Reply::Started(started) => {
                let (serial, at) = (started.serial, Time(started.at_unix_ms));
                Some(Outcome::AttemptStarted { agent, incarnation, serial, at })
            }
            Reply::Exited(record) => {
                let (serial, exit) = words::exit(record);
                for writer in self.writers_of(serial) {
                    self.answer_input(serial, writer, InputNews::Refused("it has ended"));
                }
                Some(Outcome::AttemptExited { agent, incarnation, serial, exit })
            }
            // It was started before: its record follows or has been told, or there is none.
            Reply::StartRefused { serial, why: StartRefusedWhy::SerialUsed, .. } => {
                let forgotten = Outcome::AttemptForgotten { agent, incarnation, serial };
                self.greeted.is_forgotten(serial).then_some(forgotten)
            }
            Reply::StartRefused { serial, highest, why } => {
                let reason = words::refusal(why, highest);
                Some(Outcome::AttemptRefused { agent, incarnation, serial, reason })
            }
            Reply::Frozen { ms: _ } => Some(Outcome::Frozen { agent, incarnation }),
            Reply::Observed(observed) => Some(self.observed(&observed)),
            // After it the shim ends by itself, as soon as every record is acknowledged.
            Reply::Stopped { survivors: _ } => None,
            Reply::Thawed => None,
            Reply::InputTaken { serial, writer, offset: _ } => {
                self.answer_input(serial, writer, InputNews::Taken);
                None
            }
            Reply::InputRefused { serial, writer, why } => {
                self.answer_input(serial, writer, InputNews::Refused(words::input_refusal(why)));
                None
            }
            Reply::LimitRefused { reason } => {
                tracing::warn!(agent = %self.setup.life().agent, "a limit could not be changed: {reason}");
                None
            }
            Reply::Welcome(_) | Reply::Refused { .. } => {
                tracing::warn!(agent = %self.setup.life().agent, "a shim greets twice");
                None
            }
        }
    }

    fn writers_of(&self, serial: u32) -> Vec<u64> {
        self.writers.keys().filter(|(other, _)| *other == serial).map(|(_, writer)| *writer).collect()
    }

    fn observed(&self, observed: &Observed) -> Outcome {
        Outcome::Observed {
            agent: self.setup.agent,
            incarnation: self.setup.incarnation,
            serial: observed.serial,
            quiet: Millis(observed.quiet_ms.unwrap_or_else(|| since_unix_ms(observed.last_output_unix_ms))),
            cpu: Millis(observed.cpu_ms),
        }
    }
}

/// What a shim said at the welcome of the attempts before.
struct Greeted {
    highest: u32,
    /// Those that ran, or whose ends it knew.
    told: Vec<u32>,
}

impl Greeted {
    fn with(welcome: &Welcome) -> Self {
        let running = welcome.running.iter().map(|started| started.serial);
        let told = welcome.exits.iter().map(|record| record.serial).chain(running).collect();
        Self { highest: welcome.highest_started, told }
    }

    /// Whether it was started before the welcome and said nothing of then: nothing more will come of it.
    fn is_forgotten(&self, serial: u32) -> bool {
        serial <= self.highest && !self.told.contains(&serial)
    }
}

/// For a shim that only tells the hour: both look at the same clock, which may have been set in between.
fn since_unix_ms(at: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_sub(at)
}

fn shim_up(setup: &Setup, welcome: Welcome) -> Outcome {
    let exits: Vec<(u32, Exit)> = welcome.exits.into_iter().map(words::exit).collect();
    Outcome::ShimUp {
        agent: setup.agent,
        incarnation: setup.incarnation,
        highest_started: welcome.highest_started,
        running: welcome.running.map(|started| (started.serial, Time(started.at_unix_ms))),
        exits,
        frozen: welcome.frozen,
    }
}
