//! One program run, from its start to the moment when nothing of it is left. Not here: connections and records.
//!
//! ```text
//! running ──main process ends──► anything left? ──no──► drain the pipes ──► over
//!    │                               │ yes                  ▲
//!    └──grace runs out──► clearing ◄─┘                      │
//!                         a round of kills, again and again, until nothing is left
//! ```

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use fusion_shim::log::{Stream, Writer};
use fusion_shim::tree::Tree;
use fusion_shim::wire::{EXIT_RECORD_VERSION, ExitKind, ExitRecord, Observed, Started, StopWhy};
use fusion_sys::process::{End, Look, Reaped, reap_any};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::files::Place;
use crate::input::Input;
use crate::launch::Launched;
use crate::startup::Begun;

/// A running attempt.
pub(crate) struct Attempt {
    serial: u32,
    pid: u32,
    started_unix_ms: u64,
    writer: Writer,
    /// Its files, if it has any.
    place: Option<Place>,
    pipes: [Option<OwnedFd>; 2],
    /// Standard input, as long as it stays open.
    pub(crate) input: Option<Input>,
    stop: Option<Stop>,
    phase: Phase,
    main: Option<(Reaped, u64)>,
    /// The main process was killed by a round.
    killed: bool,
    cpu_us: u64,
    peak_memory_bytes: u64,
    oom_kills_before: u32,
    last_output_unix_ms: u64,
    /// The same by a clock that nobody sets.
    last_output: Instant,
    /// When to tell the daemon of the start; `None` if told.
    pub(crate) announce_at: Option<Instant>,
}

struct Stop {
    why: StopWhy,
    kill_at: Instant,
}

enum Phase {
    Running,
    Clearing { next_round: Instant, wait: Duration },
    Draining { until: Instant },
}

/// Whether anything is left to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Alive,
    Over,
}

/// A short attempt is told of in one packet; a longer one is not kept secret for long.
const ANNOUNCE_AFTER: Duration = Duration::from_millis(4);

/// Somebody outside the tree may hold a pipe for ever.
const DRAIN_FOR: Duration = Duration::from_secs(2);

/// Between rounds of kills: dying takes well below a millisecond, but a process may be in a long system call.
const ROUND_WAIT_MIN: Duration = Duration::from_millis(10);
const ROUND_WAIT_MAX: Duration = Duration::from_secs(1);

/// Reads of one pipe before the others have their turn.
const READS_IN_TURN: u32 = 16;

impl Attempt {
    pub(crate) fn new(
        serial: u32,
        launched: Launched,
        at_unix_ms: u64,
        writer: Writer,
        oom_kills: u32,
    ) -> Self {
        Self {
            serial,
            pid: launched.pid,
            started_unix_ms: at_unix_ms,
            writer,
            place: launched.place,
            pipes: [Some(launched.out), Some(launched.err)],
            input: launched.input,
            stop: None,
            phase: Phase::Running,
            main: None,
            killed: false,
            cpu_us: 0,
            peak_memory_bytes: 0,
            oom_kills_before: oom_kills,
            last_output_unix_ms: at_unix_ms,
            last_output: Instant::now(),
            announce_at: Some(Instant::now() + ANNOUNCE_AFTER),
        }
    }

    pub(crate) fn serial(&self) -> u32 {
        self.serial
    }

    pub(crate) fn pipe(&self, stream: Stream) -> Option<&OwnedFd> {
        self.pipes[place(stream)].as_ref()
    }

    pub(crate) fn started(&self, begun: &Begun) -> Started {
        let gone = self.main.is_some();
        Started {
            serial: self.serial,
            pid: self.pid,
            start_time_ticks: if gone { 0 } else { fusion_sys::process::start_time(self.pid).unwrap_or(0) },
            at_unix_ms: self.started_unix_ms,
            boot_id: begun.boot_id,
            sandbox: begun.spec.identity.as_ref().map_or("none", |_| "user").to_owned(),
        }
    }

    pub(crate) fn observe(&self, tree: &Tree) -> Observed {
        let usage = tree.usage();
        Observed {
            serial: Some(self.serial),
            last_output_unix_ms: self.last_output_unix_ms,
            cpu_ms: usage.cpu_ms + self.cpu_us / 1000,
            memory_bytes: usage.memory_bytes,
            processes: usage.processes,
            out_bytes: self.writer.bytes(Stream::Out),
            err_bytes: self.writer.bytes(Stream::Err),
            quiet_ms: u64::try_from(self.last_output.elapsed().as_millis()).ok(),
        }
    }

    /// Asks the main process's group to end, and sets the time of the kill. The caller thaws the tree afterwards.
    pub(crate) fn stop(&mut self, why: StopWhy, grace: Duration) {
        // A grace of centuries is none: the time must be one that the clock can reach.
        let kill_at = Instant::now() + grace.min(Duration::from_secs(86_400 * 365));
        let first = self.stop.is_none();
        let stop = self.stop.get_or_insert(Stop { why, kill_at });
        stop.kill_at = stop.kill_at.min(kill_at);
        if first && !grace.is_zero() && self.main.is_none() {
            self.terminate();
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the group's leader is our own child that nobody has waited for"
    )]
    fn terminate(&self) {
        if let Some(group) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // ESRCH: it is ending just now.
            let _ended = kill_process_group(group, Signal::TERM);
        }
    }

    /// Waits for ended children, does what is due, and says whether anything is left.
    pub(crate) fn advance(&mut self, tree: &Tree, now: Instant, unix_ms: u64) -> Progress {
        let look = self.reap(unix_ms);
        if let Phase::Draining { until } = self.phase {
            let drained = self.pipes.iter().all(Option::is_none) || now >= until;
            return if drained { Progress::Over } else { Progress::Alive };
        }
        let childless = matches!(look, Look::Childless) && self.main.is_some();
        match &mut self.phase {
            Phase::Running if childless => self.phase = Phase::Draining { until: now + DRAIN_FOR },
            Phase::Running => {
                let grace_over = self.stop.as_ref().is_some_and(|stop| now >= stop.kill_at);
                if self.main.is_some() || grace_over {
                    self.kill_round(tree, now, ROUND_WAIT_MIN);
                }
            }
            // A cgroup that cannot be read was removed: there is nothing in it.
            Phase::Clearing { .. } if childless && tree.is_empty().unwrap_or(true) => {
                self.phase = Phase::Draining { until: now + DRAIN_FOR };
            }
            Phase::Clearing { next_round, wait } if now >= *next_round => {
                let wait = (*wait * 2).min(ROUND_WAIT_MAX);
                self.kill_round(tree, now, wait);
                // What has left the cgroup is still a descendant.
                tree.kill_descendants();
            }
            Phase::Clearing { .. } | Phase::Draining { .. } => {}
        }
        Progress::Alive
    }

    /// Whether rounds of kills have begun: they thaw what was frozen.
    pub(crate) fn is_clearing(&self) -> bool {
        matches!(self.phase, Phase::Clearing { .. })
    }

    /// When [`Attempt::advance`] has something to do of its own accord.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Running => self.stop.as_ref().map(|stop| stop.kill_at),
            Phase::Clearing { next_round, .. } => Some(*next_round),
            Phase::Draining { until } => Some(*until),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    fn kill_round(&mut self, tree: &Tree, now: Instant, wait: Duration) {
        self.killed |= self.main.is_none();
        if tree.kill_round().is_err() {
            tree.kill_descendants();
        }
        self.phase = Phase::Clearing { next_round: now + wait, wait };
    }

    fn reap(&mut self, unix_ms: u64) -> Look {
        loop {
            let Ok(look) = reap_any() else { return Look::AllAlive };
            let Look::Reaped(reaped) = look else { return look };
            self.cpu_us += reaped.cpu_us;
            self.peak_memory_bytes = self.peak_memory_bytes.max(reaped.peak_memory_bytes);
            if reaped.pid == self.pid && self.main.is_none() {
                self.main = Some((reaped, unix_ms));
            }
        }
    }

    /// Moves what a pipe holds to the log. `buffer` is empty before and after.
    pub(crate) fn read(&mut self, stream: Stream, folder: &OwnedFd, unix_ms: u64, buffer: &mut Vec<u8>) {
        for _ in 0..READS_IN_TURN {
            let Some(pipe) = &self.pipes[place(stream)] else { return };
            match rustix::io::read(pipe, rustix::buffer::spare_capacity(buffer)) {
                Ok(0) => self.pipes[place(stream)] = None,
                Ok(_) => {
                    (self.last_output_unix_ms, self.last_output) = (unix_ms, Instant::now());
                    self.writer.append(folder.as_fd(), stream, buffer, unix_ms);
                    buffer.clear();
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_broken) => self.pipes[place(stream)] = None,
            }
        }
    }

    /// The record of an attempt that is over. What it gave in a file is on disk then.
    pub(crate) fn into_record(mut self, begun: &Begun, unix_ms: u64) -> ExitRecord {
        let kept = self.place.take().map_or(Ok(()), |place| place.close(begun, self.serial));
        let (end, ended_unix_ms) =
            self.main.map_or((End::Exited(0), unix_ms), |(reaped, at)| (reaped.end, at));
        let kind = match end {
            End::Exited(code) => match (code, self.stop.is_some(), kept) {
                (0, false, Err(message)) => ExitKind::OutputInvalid { message },
                (_, _, Ok(()) | Err(_)) => ExitKind::Exited { code },
            },
            End::Signaled { signal, core } => ExitKind::Signaled { signal, core },
        };
        ExitRecord {
            pid: self.pid,
            oom_kills: begun.tree.oom_kills().saturating_sub(self.oom_kills_before),
            stop: self.stop.map(|stop| stop.why),
            killed: self.killed,
            ended_unix_ms,
            cpu_ms: self.cpu_us / 1000,
            peak_memory_bytes: begun.tree.peak_memory_bytes().unwrap_or(self.peak_memory_bytes),
            out_bytes: self.writer.bytes(Stream::Out),
            err_bytes: self.writer.bytes(Stream::Err),
            dropped_bytes: self.writer.dropped_bytes(),
            tail: self.writer.tail().to_vec(),
            ..empty_record(begun, self.serial, kind, self.started_unix_ms)
        }
    }
}

/// A record of an attempt that never ran.
pub(crate) fn empty_record(begun: &Begun, serial: u32, kind: ExitKind, at_unix_ms: u64) -> ExitRecord {
    ExitRecord {
        v: EXIT_RECORD_VERSION,
        serial,
        nonce: begun.spec.nonce,
        boot_id: begun.boot_id,
        pid: 0,
        kind,
        oom_kills: 0,
        stop: None,
        killed: false,
        started_unix_ms: at_unix_ms,
        ended_unix_ms: at_unix_ms,
        cpu_ms: 0,
        peak_memory_bytes: 0,
        out_bytes: 0,
        err_bytes: 0,
        dropped_bytes: 0,
        tail: Vec::new(),
    }
}

fn place(stream: Stream) -> usize {
    match stream {
        Stream::Out => 0,
        Stream::Err => 1,
    }
}
