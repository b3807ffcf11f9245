//! What each request makes the shim do. Not here: the loop that brings them.

use std::time::{Duration, Instant};

use fusion_shim::log::Writer;
use fusion_shim::wire::{
    AttemptSpec, ExitKind, ExitRecord, InputRefusedWhy, Limits, Observed, PROTOCOL, RefusedWhy, Reply,
    Request, StartMark, StartRefusedWhy, Welcome,
};

use super::{Engine, Freeze, Shutdown, now_unix_ms};
use crate::attempt::{Attempt, empty_record};
use crate::input::{Answer, Input};
use crate::launch::launch;
use crate::link::Link;
use crate::records;

impl Engine {
    /// Hears a connection that has not said hello; gives it back if it has not said enough yet.
    pub(super) fn greet(&mut self, mut stranger: Link) -> Option<Link> {
        stranger.receive(&mut self.buffer).ok()?;
        match stranger.next().ok()? {
            None => Some(stranger),
            Some(Request::Hello { protocol, epoch, nonce }) => {
                self.welcome(stranger, protocol, epoch, nonce);
                None
            }
            Some(
                Request::Start { .. }
                | Request::Stop { .. }
                | Request::Freeze
                | Request::Thaw
                | Request::Ack { .. }
                | Request::Observe
                | Request::Limit { .. }
                | Request::Input { .. }
                | Request::Shutdown { .. },
            ) => None,
        }
    }

    fn welcome(&mut self, mut stranger: Link, protocol: u16, epoch: u64, nonce: [u8; 16]) {
        if let Some(why) = self.refusal(protocol, epoch, nonce) {
            stranger.send(&Reply::Refused { why });
            // A stranger that does not read is refused all the same.
            let _unread = stranger.flush();
            return;
        }
        self.epoch = epoch;
        stranger.send(&Reply::Welcome(self.describe()));
        if self.shutdown == Shutdown::Stopped {
            stranger.send(&Reply::Stopped { survivors: 0 });
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.announce_at = None;
        }
        self.obey(stranger);
    }

    fn refusal(&self, protocol: u16, epoch: u64, nonce: [u8; 16]) -> Option<RefusedWhy> {
        if protocol != PROTOCOL {
            return Some(RefusedWhy::WrongProtocol { protocol: PROTOCOL });
        }
        if nonce != self.begun.spec.nonce {
            return Some(RefusedWhy::WrongNonce);
        }
        (epoch < self.epoch).then_some(RefusedWhy::LowerEpoch { highest: self.epoch })
    }

    fn describe(&self) -> Welcome {
        Welcome {
            protocol: PROTOCOL,
            pid: u32::try_from(self.pid.as_raw_nonzero().get()).unwrap_or(0),
            start_time_ticks: self.start_time_ticks,
            boot_id: self.begun.boot_id,
            nonce: self.begun.spec.nonce,
            highest_started: self.highest,
            running: self.attempt.as_ref().map(|attempt| attempt.started(&self.begun)),
            exits: self.records.list(),
            frozen: matches!(self.freeze, Freeze::Frozen),
            backend: self.begun.spec.backend.clone(),
            limits: self.begun.spec.limits,
        }
    }

    /// Takes the link and does what it asks for, until it has nothing more to say for now.
    pub(super) fn obey(&mut self, mut link: Link) {
        let received = link.receive(&mut self.buffer);
        // What came before a hang-up still counts.
        loop {
            match link.next() {
                Ok(Some(request)) => {
                    self.link = Some(link);
                    self.act(request);
                    let Some(same) = self.link.take() else { return };
                    link = same;
                }
                Ok(None) if received.is_ok() => break,
                Ok(None) | Err(_) => return self.hang_up(),
            }
        }
        self.link = Some(link);
    }

    fn act(&mut self, request: Request) {
        match request {
            // Said once before; a second one is no protocol of ours.
            Request::Hello { .. } => self.hang_up(),
            Request::Start { serial, spec, ack } => {
                self.acknowledge(&ack);
                self.start(serial, &spec);
            }
            Request::Stop { serial, grace_ms, why } => {
                if self.attempt.as_ref().is_some_and(|attempt| attempt.serial() == serial) {
                    self.stop(why, Duration::from_millis(grace_ms));
                }
            }
            Request::Freeze => self.begin_freeze(),
            Request::Thaw => self.thaw(),
            Request::Ack { serials } => self.acknowledge(&serials),
            Request::Observe => {
                let observed = self.observe();
                self.send(&Reply::Observed(observed));
            }
            Request::Limit { limits } => self.limit(limits),
            Request::Input { serial, writer, offset, bytes, is_last } => {
                self.take_input(serial, writer, offset, bytes, is_last);
            }
            Request::Shutdown { grace_ms } => self.shut_down(Duration::from_millis(grace_ms)),
        }
    }

    fn take_input(&mut self, serial: u32, writer: u64, offset: u64, bytes: Vec<u8>, is_last: bool) {
        let running = self.attempt.as_mut().filter(|attempt| attempt.serial() == serial);
        let why = match running.map(|attempt| &mut attempt.input) {
            None => InputRefusedWhy::NotRunning,
            Some(None) => InputRefusedWhy::Closed,
            Some(Some(input)) => match input.offer(writer, offset, bytes, is_last) {
                Answer::Taken(offset) => {
                    self.send(&Reply::InputTaken { serial, writer, offset });
                    return self.feed();
                }
                Answer::Later => return self.feed(),
                Answer::Refused(why) => why,
            },
        };
        self.send(&Reply::InputRefused { serial, writer, why });
    }

    /// Gives the running program what waits for it, as far as its pipe takes it.
    pub(super) fn feed(&mut self) {
        let Some(attempt) = &mut self.attempt else { return };
        let serial = attempt.serial();
        let Some(input) = &mut attempt.input else { return };
        let replies: Vec<Reply> = match input.write() {
            Ok(taken) => {
                if input.is_over() {
                    attempt.input = None;
                }
                let told = taken.into_iter();
                told.map(|(writer, offset)| Reply::InputTaken { serial, writer, offset }).collect()
            }
            Err(_nobody_reads) => {
                let waiting = attempt.input.take().map(Input::into_waiting).unwrap_or_default();
                let why = InputRefusedWhy::Closed;
                waiting.into_iter().map(|writer| Reply::InputRefused { serial, writer, why }).collect()
            }
        };
        replies.iter().for_each(|reply| self.send(reply));
    }

    fn limit(&mut self, limits: Limits) {
        self.begun.spec.limits = limits;
        if let Err(error) = fusion_shim::cgroup::limit(&self.begun.spec.backend, &limits) {
            let source = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"));
            self.send(&Reply::LimitRefused { reason: format!("{error}{source}") });
        }
    }

    fn acknowledge(&mut self, serials: &[u32]) {
        if !serials.is_empty() {
            self.records.acknowledge(&self.begun.run, &self.begun.state, serials);
        }
    }

    fn start(&mut self, serial: u32, spec: &AttemptSpec) {
        if let Some(why) = self.reason_not_to_start(serial) {
            self.send(&Reply::StartRefused { serial, highest: self.highest, why });
            return;
        }
        self.highest = serial;
        let at_unix_ms = now_unix_ms();
        let (nonce, boot_id) = (self.begun.spec.nonce, self.begun.boot_id);
        let oom_kills = self.begun.tree.oom_kills();
        let marked = records::mark(&self.begun.run, &StartMark { serial, nonce, boot_id, at_unix_ms });
        let outcome = match marked {
            Ok(()) => {
                self.begun.tree.reset_peak_memory();
                launch(&self.begun, serial, spec)
            }
            Err(error) => Err(ExitKind::StartFailed {
                stage: "mark".to_owned(),
                errno: error.raw_os_error().unwrap_or(0),
                message: format!("cannot write the start mark in the run folder: {error}"),
            }),
        };
        match outcome {
            Ok(launched) => {
                let writer = Writer::new(serial, self.begun.spec.segment_bytes, spec.log_quota_bytes);
                self.attempt = Some(Attempt::new(serial, launched, at_unix_ms, writer, oom_kills));
            }
            Err(kind) => self.keep(empty_record(&self.begun, serial, kind, at_unix_ms)),
        }
    }

    fn reason_not_to_start(&self, serial: u32) -> Option<StartRefusedWhy> {
        if serial <= self.highest {
            return Some(StartRefusedWhy::SerialUsed);
        }
        if let Some(attempt) = &self.attempt {
            return Some(StartRefusedWhy::Busy { serial: attempt.serial() });
        }
        if self.shutdown != Shutdown::No {
            return Some(StartRefusedWhy::ShuttingDown);
        }
        (!matches!(self.freeze, Freeze::Thawed)).then_some(StartRefusedWhy::Frozen)
    }

    /// Records an end and tells it. Without a listener it goes to disk at once.
    pub(super) fn keep(&mut self, record: ExitRecord) {
        self.records.add(&self.begun.run, record.clone());
        if self.link.is_some() {
            self.send(&Reply::Exited(record));
        } else {
            self.records.sync(&self.begun.state);
        }
    }

    fn begin_freeze(&mut self) {
        match self.freeze {
            Freeze::Frozen => self.send(&Reply::Frozen { ms: 0 }),
            Freeze::Freezing { .. } => {}
            Freeze::Thawed => {
                let now = Instant::now();
                // A refusal is tried again with every look.
                let _tried_again = self.begun.tree.freeze();
                self.freeze = Freeze::Freezing { since: now, next_look: now };
            }
        }
    }

    fn thaw(&mut self) {
        if self.begun.tree.thaw().is_ok() {
            self.freeze = Freeze::Thawed;
            self.send(&Reply::Thawed);
        }
    }

    fn observe(&self) -> Observed {
        self.attempt.as_ref().map_or_else(Observed::default, |attempt| attempt.observe(&self.begun.tree))
    }
}
