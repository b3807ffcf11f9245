//! What runs inside an attempt: how long, how it ends, whether it speaks, computes, obeys SIGTERM.
//!
//! Not for: who starts and stops it (`shim`).

use crate::rng::Rng;
use fusion_core::task::{Exit, ExitKind, StopWhy};
use fusion_core::{Cost, Millis, Time, Usd};

/// How a program behaves.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Run time that is left; `None`: until it is stopped.
    pub(crate) left: Option<Millis>,
    pub(crate) end: ExitKind,
    pub(crate) speaks: bool,
    pub(crate) computes: bool,
    pub(crate) obeys: bool,
    /// How far its shim's clock is ahead of the daemon's.
    pub(crate) ahead: Millis,
    /// What it says that it cost.
    pub(crate) cost: Cost,
}

impl Program {
    /// One that ends only when told to.
    pub(crate) fn patient() -> Self {
        let end = ExitKind::Exited { code: 0 };
        let (ahead, cost) = (Millis(0), Cost::default());
        Self { left: None, end, speaks: false, computes: false, obeys: false, ahead, cost }
    }

    /// One that does its work and ends.
    pub(crate) fn good() -> Self {
        Self { left: Some(Millis(200)), obeys: true, ..Self::patient() }
    }

    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let end = match rng.below(100) {
            0..=54 => ExitKind::Exited { code: 0 },
            55..=74 => ExitKind::Exited { code: 1 },
            75..=84 => ExitKind::Exited { code: 75 },
            85..=92 => ExitKind::Signaled { signal: 11 },
            93..=94 => start_failed(12),
            95..=96 => ExitKind::OutputInvalid { message: "it is no regular file".to_owned() },
            _ => start_failed(2),
        };
        let hangs = rng.permille(120) && !matches!(end, ExitKind::StartFailed { .. });
        let left = (!hangs).then(|| Millis(rng.below(9000)));
        let (speaks, computes, obeys) = (rng.permille(500), rng.permille(500), rng.permille(700));
        let cost = Cost {
            usd: rng.permille(300).then(|| Usd(rng.below(1_000_000))),
            tokens: rng.permille(300).then(|| rng.below(1000)),
        };
        Self { left, end, speaks, computes, obeys, ahead: Millis(rng.below(3)), cost }
    }
}

fn start_failed(errno: i32) -> ExitKind {
    ExitKind::StartFailed { stage: "execve".to_owned(), errno, message: format!("errno {errno}") }
}

/// A program at work.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) serial: u32,
    pub(crate) task: fusion_core::TaskId,
    pub(crate) since: Time,
    pub(crate) program: Program,
    pub(crate) stop: Option<(StopWhy, Time)>,
    pub(crate) last_output: Time,
    pub(crate) cpu: Millis,
    /// Its last words.
    pub(crate) tail: String,
}

impl Run {
    /// Lets time pass. Returns the end, if it comes.
    pub(crate) fn pass(&mut self, now: Time, span: Millis, frozen: bool) -> Option<ExitKind> {
        if self.stop.is_some_and(|(_, kill_at)| now >= kill_at) {
            return Some(ExitKind::Signaled { signal: 9 });
        }
        if frozen {
            return None;
        }
        if self.program.speaks {
            self.last_output = now;
        }
        if self.program.computes {
            self.cpu = Millis(self.cpu.0 + span.0);
        }
        if let Some(left) = &mut self.program.left {
            left.0 = left.0.saturating_sub(span.0);
            if left.0 == 0 {
                return Some(self.program.end.clone());
            }
        }
        (self.stop.is_some() && self.program.obeys).then_some(ExitKind::Signaled { signal: 15 })
    }

    /// A stop that was asked for: the first reason stays, the earlier kill counts.
    pub(crate) fn ask_stop(&mut self, why: StopWhy, kill_at: Time) {
        let stop = self.stop.get_or_insert((why, kill_at));
        stop.1 = stop.1.min(kill_at);
    }

    pub(crate) fn record(&self, kind: ExitKind, now: Time) -> Exit {
        // What ended before the signal came carries no reason.
        let by_itself = self.program.end == kind && self.program.left == Some(Millis(0));
        Exit {
            kind,
            stop: self.stop.map(|(why, _)| why).filter(|_| !by_itself),
            oom_kills: 0,
            started_at: self.since.plus(self.program.ahead),
            ended_at: now.plus(self.program.ahead),
            cpu: self.cpu,
            peak_memory_bytes: 0,
            out_bytes: 0,
            err_bytes: 0,
            dropped_bytes: 0,
            tail: self.tail.clone(),
            cost: self.program.cost,
        }
    }
}
