//! The lane of one agent: its orders and the frames of its shim, one after the other.
//!
//! ```text
//!            Launch, Adopt                    hang-up
//!   Down ───────────────────► Up ◄───────┐ ───────────► lock free? ── yes ─► buried, ShimGone, Down
//!    ▲                        welcome    │                   │ no
//!    └── buried, ShimGone ◄── Seeking ◄──┴───────────────────┘
//! ```
//!
//! Seeking: somebody holds the lock and does not serve. The lane waits for its word, or looks again ever less often; it
//! never starts a second shim. Only an order to stop, when its grace is over, kills what does not answer. A shim that
//! answers and refuses (another nonce, or a higher epoch while this daemon alone has the state) is ended at once; one of
//! another protocol goes on with its work, and waits for a daemon that speaks it.
//!
//! The waits only bring events; plain functions decide. Not here: what one order or frame says (`up`).

mod clear;
mod up;

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use fusion_core::input::Witness;
use fusion_core::workspace::Removal;
use fusion_core::{AgentId, Nonce, Outcome};
use fusion_shim::wire::{Reply, Request};
use fusion_sys::pidfd::PidFd;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::clear::clear;
use self::up::Up;
use super::connection::Connection;
use super::death::{Burial, bury, strike_and_bury};
use super::launch::{Prepared, launch, prepare_again};
use super::look::{Found, Look, judge, look};
use super::order::{Order, Setup};
use super::places::Life;
use super::readiness::readable;
use super::stored::lay;
use super::{Lanes, Shared, cost, inspect, words};

/// Hands orders to the lane of their agent, which begins here if there is none.
pub(super) fn deliver(shared: &Arc<Shared>, lanes: &Arc<Lanes>, agent: AgentId, orders: Vec<Order>) {
    lanes.with(|senders| {
        let sender = senders.entry(agent).or_insert_with(|| begin(shared, lanes, agent));
        if let Err(refused) = sender.send(orders) {
            // Its lane has ended, which only a panic does while it is listed.
            *sender = begin(shared, lanes, agent);
            let _fresh_lanes_listen = sender.send(refused.0);
        }
    });
}

fn begin(shared: &Arc<Shared>, lanes: &Arc<Lanes>, agent: AgentId) -> mpsc::UnboundedSender<Vec<Order>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the core has few unanswered orders for one agent at a time, and the engine must not wait"
    )]
    let (sender, orders) = mpsc::unbounded_channel();
    let lane = Lane { shared: Arc::clone(shared), lanes: Arc::downgrade(lanes), agent, shim: Shim::Down };
    shared.handle.spawn(lane.run(orders));
    sender
}

struct Lane {
    shared: Arc<Shared>,
    lanes: Weak<Lanes>,
    agent: AgentId,
    shim: Shim,
}

/// The shim of the present incarnation, as far as it is known.
enum Shim {
    /// There is none, and its end was told.
    Down,
    /// There is one that does not serve.
    Seeking(Seeking),
    /// It serves.
    Up(Box<Up>),
}

struct Seeking {
    setup: Arc<Setup>,
    /// The end of the grace, once its end was ordered.
    grace_until: Option<Instant>,
    wait: Wait,
    /// How long to wait before the look after the next.
    pause: Duration,
}

enum Wait {
    /// It has taken the connection and may yet answer.
    Word(Connection),
    /// It has not: look again then.
    Until(Instant),
}

#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
enum Event {
    Orders(Vec<Order>),
    Reply(io::Result<Reply>),
    Due,
    Closed,
}

/// Between the first two looks; doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// Between two looks at most.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What a shim that serves gets beyond the grace, to kill the rest and say so.
const SERVING_MARGIN: Duration = Duration::from_secs(10);
/// What one that does not serve gets.
const SILENT_MARGIN: Duration = Duration::from_secs(1);
/// How long the kernel may take to take apart a process that has closed its connection.
const END_LIMIT: Duration = Duration::from_secs(2);

impl Lane {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Vec<Order>>) {
        loop {
            match self.next(&mut orders).await {
                Event::Orders(batch) => {
                    if self.carry_out(batch).await == After::Leave && self.leave(&orders) {
                        return;
                    }
                }
                Event::Reply(Ok(reply)) => self.hear(reply).await,
                Event::Reply(Err(_hung_up)) => self.lose().await,
                Event::Due => self.act_in_time().await,
                // The daemon ends; shims and agents go on.
                Event::Closed => return,
            }
        }
    }

    async fn next(&mut self, orders: &mut mpsc::UnboundedReceiver<Vec<Order>>) -> Event {
        let due = self.shim.due();
        tokio::select! {
            batch = orders.recv() => batch.map_or(Event::Closed, Event::Orders),
            reply = self.shim.next() => Event::Reply(reply),
            () = until(due) => Event::Due,
        }
    }

    /// Unless more was ordered meanwhile, the lane is over.
    fn leave(&self, orders: &mpsc::UnboundedReceiver<Vec<Order>>) -> bool {
        let Some(lanes) = self.lanes.upgrade() else { return true };
        lanes.with(|senders| orders.is_empty() && senders.remove(&self.agent).is_some())
    }

    async fn carry_out(&mut self, batch: Vec<Order>) -> After {
        let mut after = After::Stay;
        for order in batch {
            after = After::Stay;
            match order {
                Order::Launch { setup } => self.launch(setup).await,
                Order::Adopt { setup } => self.adopt(setup, PAUSE_MIN, None).await,
                Order::Refresh { setup } => self.refresh(setup),
                Order::Measure { setup, serial } => inspect::measure_later(&self.shared, &setup, serial),
                Order::RemoveWorkspace { setup, what } => after = self.remove(setup, what).await,
                Order::StopShim { incarnation, grace, .. } => {
                    self.stop(incarnation, Duration::from_millis(grace.0)).await;
                }
                Order::EndStray { incarnation, .. } => after = self.end_stray(incarnation).await,
                start @ Order::Start { .. } => self.start(start).await,
                other @ (Order::Seed { .. }
                | Order::Stop { .. }
                | Order::Ack { .. }
                | Order::Freeze { .. }
                | Order::Thaw { .. }
                | Order::Input { .. }
                | Order::Observe { .. }) => self.pass_on(other),
            }
        }
        if let Shim::Up(up) = &mut self.shim {
            up.flush();
        }
        after
    }

    /// What only a serving shim can do. Without one the core is told of its end, or of what it says of itself when it
    /// serves again, and orders anew.
    fn pass_on(&mut self, order: Order) {
        if let Shim::Up(up) = &mut self.shim {
            up.obey(order);
        }
    }

    /// A long prompt is laid where the shim takes it; without it the attempt ends before it begins.
    async fn start(&mut self, order: Order) {
        if let Order::Start { incarnation, serial, input, .. } = &order
            && let (Some(stored), Shim::Up(up)) = (input.stored, &self.shim)
        {
            let (incarnation, serial) = (*incarnation, *serial);
            let life = Life { agent: self.agent, incarnation };
            let laid = match up.takes_stored() {
                true => self.shared.blocking(move |shared| lay(shared, life, serial, stored)).await,
                false => Err(rustix::io::Errno::TOOBIG.into()),
            };
            if let Err(error) = laid {
                let exit = words::no_prompt(stored.bytes, &error);
                self.shared.tell(Outcome::AttemptExited { agent: self.agent, incarnation, serial, exit });
                return;
            }
        }
        self.pass_on(order);
    }

    /// A shim that does not serve gets the settings when it does.
    fn refresh(&mut self, setup: Arc<Setup>) {
        match &mut self.shim {
            Shim::Up(up) if up.incarnation() == setup.incarnation => up.refresh(setup),
            Shim::Seeking(seeking) if seeking.setup.incarnation == setup.incarnation => seeking.setup = setup,
            Shim::Up(_) | Shim::Seeking(_) | Shim::Down => {}
        }
    }

    async fn launch(&mut self, setup: Arc<Setup>) {
        match launch(&self.shared, &setup).await {
            Ok((found, prepared)) => self.rise(setup, found, prepared, None).await,
            Err(reason) => {
                self.shim = Shim::Down;
                let (agent, incarnation) = (setup.agent, setup.incarnation);
                self.shared.tell(Outcome::ShimFailed { agent, incarnation, reason });
            }
        }
    }

    async fn adopt(&mut self, setup: Arc<Setup>, pause: Duration, grace_until: Option<Instant>) {
        let looked = look(&self.shared, setup.life(), setup.nonce).await;
        self.settle(setup, looked, pause, grace_until).await;
    }

    /// What a look means.
    async fn settle(
        &mut self,
        setup: Arc<Setup>,
        looked: Look,
        pause: Duration,
        grace_until: Option<Instant>,
    ) {
        let life = setup.life();
        match looked {
            Look::Up(found) => match prepare_again(&self.shared, &setup).await {
                Ok(prepared) => self.rise(setup, found, prepared, grace_until).await,
                Err(reason) => {
                    tracing::warn!(agent = %life.agent, "a living agent cannot be adopted yet: {reason}");
                    self.seek(setup, Wait::Until(Instant::now() + pause), pause, grace_until);
                }
            },
            Look::Silent(connection) => {
                tracing::warn!(agent = %life.agent, "a living shim does not answer");
                self.seek(setup, Wait::Word(connection), pause, grace_until);
            }
            Look::Stranger(protocol) => {
                if pause == PAUSE_MIN {
                    tracing::warn!(agent = %life.agent, "{}", words::stranger(protocol));
                }
                self.seek(setup, Wait::Until(Instant::now() + pause), pause, grace_until);
            }
            Look::Foreign(reason) => {
                tracing::warn!(agent = %life.agent, "ending a shim that does not serve this daemon: {reason}");
                self.force(setup, None, grace_until).await;
            }
            Look::Unreachable => self.bury(setup, pause, grace_until).await,
        }
    }

    fn seek(&mut self, setup: Arc<Setup>, wait: Wait, pause: Duration, grace_until: Option<Instant>) {
        let pause = (pause * 2).min(PAUSE_MAX);
        self.shim = Shim::Seeking(Seeking { setup, grace_until, wait, pause });
    }

    /// The shim serves.
    async fn rise(
        &mut self,
        setup: Arc<Setup>,
        found: Found,
        prepared: Prepared,
        grace_until: Option<Instant>,
    ) {
        let life = setup.life();
        match Up::new(&self.shared, setup, found, prepared) {
            Ok((mut up, outcome)) => {
                self.tell(up.setup(), outcome).await;
                if let Some(at) = grace_until {
                    up.shut_down(at);
                    up.flush();
                }
                self.shim = Shim::Up(Box::new(up));
            }
            // Only a runtime that is ending refuses to watch a socket.
            Err(error) => tracing::error!(agent = %life.agent, "cannot listen: {error}"),
        }
    }

    async fn hear(&mut self, reply: Reply) {
        match std::mem::replace(&mut self.shim, Shim::Down) {
            Shim::Up(mut up) => {
                if let Some(outcome) = up.hear(reply) {
                    self.tell(up.setup(), outcome).await;
                }
                self.shim = Shim::Up(up);
            }
            Shim::Seeking(Seeking { setup, grace_until, wait: Wait::Word(connection), pause }) => {
                let looked = judge(&self.shared, setup.nonce, connection, reply);
                self.settle(setup, looked, pause, grace_until).await;
            }
            Shim::Seeking(seeking @ Seeking { wait: Wait::Until(_), .. }) => {
                self.shim = Shim::Seeking(seeking)
            }
            Shim::Down => {}
        }
    }

    /// The connection is gone: usually because the shim is.
    async fn lose(&mut self) {
        match std::mem::replace(&mut self.shim, Shim::Down) {
            Shim::Up(up) => {
                let (setup, stop, process) = up.into_parts();
                if let Some(process) = &process {
                    wait_for_end(process).await;
                }
                self.bury(setup, PAUSE_MIN, stop).await;
            }
            Shim::Seeking(Seeking { setup, grace_until, pause, .. }) => {
                self.bury(setup, pause, grace_until).await
            }
            Shim::Down => {}
        }
    }

    async fn act_in_time(&mut self) {
        match std::mem::replace(&mut self.shim, Shim::Down) {
            Shim::Up(up) => {
                let (setup, grace_until, process) = up.into_parts();
                tracing::warn!(agent = %setup.life().agent, "killing a shim that does not end");
                self.force(setup, process, grace_until).await;
            }
            Shim::Seeking(Seeking { setup, grace_until, pause, .. }) => {
                if grace_until.is_some_and(|until| until + SILENT_MARGIN <= Instant::now()) {
                    self.force(setup, None, grace_until).await;
                } else {
                    self.adopt(setup, pause, grace_until).await;
                }
            }
            Shim::Down => {}
        }
    }

    /// `StopShim`: the living is asked first; of the dead what is left is cleared away.
    async fn stop(&mut self, incarnation: u32, grace: Duration) {
        let grace_until = Instant::now() + grace;
        match &mut self.shim {
            Shim::Up(up) if up.incarnation() == incarnation => up.shut_down(grace_until),
            Shim::Seeking(seeking) if seeking.setup.incarnation == incarnation => {
                seeking.grace_until = Some(seeking.grace_until.map_or(grace_until, |at| at.min(grace_until)));
                if let Wait::Word(connection) = &mut seeking.wait {
                    connection.send(&shutdown(grace_until));
                }
            }
            Shim::Up(_) | Shim::Seeking(_) | Shim::Down => {
                let life = Life { agent: self.agent, incarnation };
                let witness = self.end(life, None, None).await;
                let gone = self.gone(life, witness, Some(grace_until));
                self.shared.tell(gone);
            }
        }
    }

    /// Of the dead; if it lives, it is sought.
    async fn bury(&mut self, setup: Arc<Setup>, pause: Duration, grace_until: Option<Instant>) {
        let (life, nonce) = (setup.life(), setup.nonce);
        match self.shared.blocking(move |shared| bury(shared, life, Some(nonce))).await {
            Ok(Burial::Done(witness)) => {
                let gone = self.gone(life, witness, grace_until);
                self.tell(&setup, gone).await;
            }
            Ok(Burial::Alive) => self.seek(setup, Wait::Until(Instant::now() + pause), pause, grace_until),
            Err(error) => {
                tracing::error!(agent = %life.agent, "a dead incarnation cannot be cleared away yet: {error}");
                self.seek(setup, Wait::Until(Instant::now() + pause), pause, grace_until);
            }
        }
    }

    /// Of the living that does not serve.
    async fn force(&mut self, setup: Arc<Setup>, process: Option<PidFd>, grace_until: Option<Instant>) {
        let life = setup.life();
        let witness = self.end(life, Some(setup.nonce), process).await;
        let gone = self.gone(life, witness, grace_until);
        self.tell(&setup, gone).await;
    }

    /// Returns when nothing of the incarnation is left, however long that takes: nothing else may happen to it before.
    async fn end(&self, life: Life, nonce: Option<Nonce>, process: Option<PidFd>) -> Witness {
        let process = process.map(Arc::new);
        let mut pause = PAUSE_MIN;
        loop {
            let shim = process.clone();
            let struck = self
                .shared
                .blocking(move |shared| strike_and_bury(shared, life, nonce, shim.as_deref()))
                .await;
            match struck {
                Ok(witness) => return witness,
                Err(error) => tracing::error!(agent = %life.agent, "a life cannot be ended yet: {error}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn gone(&mut self, life: Life, mut witness: Witness, asked: Option<Instant>) -> Outcome {
        self.shim = Shim::Down;
        witness.stopped |= asked.is_some();
        let (agent, incarnation) = (life.agent, life.incarnation);
        Outcome::ShimGone { agent, incarnation, witness }
    }

    /// Tells what may hold ends of attempts, with what they cost.
    async fn tell(&self, setup: &Setup, outcome: Outcome) {
        self.shared.tell(cost::price(&self.shared, setup, outcome).await);
    }

    async fn remove(&mut self, setup: Arc<Setup>, what: Removal) -> After {
        let agent = self.agent;
        let outcome = match &self.shim {
            Shim::Up(_) | Shim::Seeking(_) => Err("the agent still lives".to_owned()),
            Shim::Down => clear(&self.shared, &setup, what).await,
        };
        let (outcome, after) = match outcome {
            Ok(()) => (Outcome::WorkspaceRemoved { agent, what }, After::Leave),
            Err(reason) => (Outcome::WorkspaceKept { agent, what, reason }, After::Stay),
        };
        self.shared.tell(outcome);
        after
    }
}

impl Shim {
    /// When to act without being told anything.
    fn due(&self) -> Option<Instant> {
        match self {
            Self::Down => None,
            Self::Up(up) => up.grace_until().map(|until| until + SERVING_MARGIN),
            Self::Seeking(Seeking { grace_until, wait, .. }) => {
                let kill_at = grace_until.map(|until| until + SILENT_MARGIN);
                let look_at = match wait {
                    Wait::Word(_) => None,
                    Wait::Until(at) => Some(*at),
                };
                kill_at.into_iter().chain(look_at).min()
            }
        }
    }

    /// May be dropped and called again.
    async fn next(&mut self) -> io::Result<Reply> {
        match self {
            Self::Up(up) => up.next().await,
            Self::Seeking(Seeking { wait: Wait::Word(connection), .. }) => connection.next().await,
            Self::Seeking(Seeking { wait: Wait::Until(_), .. }) | Self::Down => std::future::pending().await,
        }
    }
}

/// Whether the lane is needed any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Stay,
    Leave,
}

/// The order to end, with what is left of the grace.
fn shutdown(grace_until: Instant) -> Request {
    let grace = grace_until.saturating_duration_since(Instant::now());
    Request::Shutdown { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Waits until the kernel has taken a process apart, its locks among the rest.
async fn wait_for_end(process: &PidFd) {
    use std::os::fd::AsFd;
    let Ok(watch) = process.as_fd().try_clone_to_owned() else { return };
    let Ok(watch) = readable(watch) else { return };
    // A process that lives on has only closed the connection: the lock tells.
    let _lives_on = tokio::time::timeout(END_LIMIT, watch.readable()).await;
}
