//! How the daemon ends: asked by a signal or by `system shutdown`, with or without its agents.
//!
//! Not for: ending one agent (`fusion_core::agent::terminate`).

use crate::engine::Engine;
use crate::paths::{Mode, Paths};
use fusion_core::{Caller, Command, Key, Millis, Rights, State, Uid};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How long agents may take beyond their grace before the daemon leaves all the same. Their shims go
/// on ending them, and the next start finds how they ended.
const MARGIN: Millis = Millis::from_secs(5);

/// An end that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What becomes of the agents.
    pub agents: Agents,
}

impl Ask {
    /// How long agents may take until then.
    #[must_use]
    pub const fn limit(self) -> Millis {
        match self.agents {
            Agents::Keep => Millis(0),
            Agents::Stop { grace } => Millis(grace.0.saturating_add(MARGIN.0)),
        }
    }
}

/// What becomes of the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agents {
    /// They go on; the next daemon finds them.
    Keep,
    /// They are ended first.
    Stop {
        /// Between SIGTERM and the kill.
        grace: Millis,
    },
}

/// SIGINT and SIGTERM, heard from here on: from before anybody is told that the daemon is there.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When signals cannot be received.
    pub fn listen() -> std::io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    /// Waits for one of them, or for an ask through the API.
    pub async fn wait(&mut self, paths: &Paths, grace: Millis, mut asks: mpsc::Receiver<Ask>) -> Ask {
        let stop = Ask { agents: Agents::Stop { grace } };
        tokio::select! {
            _ = self.interrupt.recv() => stop,
            _ = self.terminate.recv() => match paths.mode {
                Mode::Root(_) => stop,
                Mode::System | Mode::User => Ask { agents: Agents::Keep },
            },
            Some(ask) = asks.recv() => ask,
        }
    }
}

/// Ends the agents if that is wanted; returns when nothing of them is left, or after grace and margin.
pub async fn end_agents(engine: &Engine, uid: u32, ask: Ask) {
    let Agents::Stop { grace } = ask.agents else { return };
    let caller = Caller { uid: Uid(uid), rights: Rights::Admin };
    let ended = async {
        engine.ask(caller, Command::StopAll { grace }, None, |_, _, _| ()).await?;
        while let Some(id) = engine.look(|state, _| stopping(state)).await? {
            let gone = move |state: &State| {
                let is_stopping = |agent: &fusion_core::Agent| {
                    matches!(agent.life, fusion_core::AgentLife::Stopping { .. })
                };
                (!state.agent(id).is_some_and(is_stopping)).then_some(())
            };
            engine.wait(Key::Agent(id), gone).await?;
        }
        Ok::<(), fusion_core::Reject>(())
    };
    let limit = Duration::from_millis(ask.limit().0);
    match tokio::time::timeout(limit, ended).await {
        Ok(Ok(())) => {}
        Ok(Err(reject)) => tracing::error!("agents could not be stopped: {reject}"),
        Err(_) => tracing::warn!("some agents did not end in time; their shims go on ending them"),
    }
}

fn stopping(state: &State) -> Option<fusion_core::AgentId> {
    let found = state.agents().find(|agent| matches!(agent.life, fusion_core::AgentLife::Stopping { .. }));
    found.map(|agent| agent.id)
}
