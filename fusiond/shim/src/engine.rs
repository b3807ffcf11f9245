//! The loop: waits for the daemon, for children, for output and for what is due; one thing after the other.
//! Not here: how a program is started (`launch`), how it ends (`attempt`), how bytes become frames (`link`).

mod requests;

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fusion_shim::log::Stream;
use fusion_shim::wire::{Reply, StopWhy};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, getpid};

use crate::attempt::{Attempt, Progress};
use crate::link::Link;
use crate::records::{self, Records};
use crate::startup::{self, Begun};

/// A shim at work.
pub(crate) struct Engine {
    begun: Begun,
    pid: Pid,
    start_time_ticks: u64,
    /// The highest epoch seen.
    epoch: u64,
    /// The highest serial started.
    highest: u32,
    link: Option<Link>,
    /// A connection that has not said hello.
    stranger: Option<Link>,
    attempt: Option<Attempt>,
    records: Records,
    freeze: Freeze,
    shutdown: Shutdown,
    /// For every read; memory that is never touched costs nothing.
    buffer: Vec<u8>,
}

enum Freeze {
    Thawed,
    Freezing { since: Instant, next_look: Instant },
    Frozen,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shutdown {
    No,
    /// The attempt is ending.
    Asked,
    /// Nothing is left but records.
    Stopped,
}

/// What woke the loop.
#[derive(Default)]
struct Woken {
    signals: bool,
    listener: bool,
    link: bool,
    stranger: bool,
    out: bool,
    err: bool,
    input: bool,
}

const BUFFER_BYTES: usize = 64 << 10;

/// What being told to end leaves to the agent.
const END_GRACE: Duration = Duration::from_secs(8);

/// How often an incomplete freeze is looked at.
const FREEZE_LOOK: Duration = Duration::from_millis(2);

impl Engine {
    pub(crate) fn new(begun: Begun) -> Self {
        let pid = getpid();
        let number = u32::try_from(pid.as_raw_nonzero().get()).unwrap_or(0);
        Self {
            begun,
            pid,
            start_time_ticks: fusion_sys::process::start_time(number).unwrap_or(0),
            epoch: 0,
            highest: 0,
            link: None,
            stranger: None,
            attempt: None,
            records: Records::default(),
            freeze: Freeze::Thawed,
            shutdown: Shutdown::No,
            buffer: Vec::with_capacity(BUFFER_BYTES),
        }
    }

    /// Works until a shutdown is complete.
    pub(crate) fn run(mut self) -> ExitCode {
        loop {
            let woken = self.wait();
            if woken.signals {
                self.take_signals();
            }
            self.listen_to_daemon(&woken);
            self.read_output(&woken);
            if woken.input {
                self.feed();
            }
            self.do_what_is_due(&woken);
            self.flush();
            if self.is_done() {
                // The shim's own cgroup cannot go while the shim is in it: the daemon removes that one.
                let _own_is_busy = fusion_shim::cgroup::remove(&self.begun.spec.backend, Duration::ZERO);
                return ExitCode::SUCCESS;
            }
        }
    }

    fn wait(&self) -> Woken {
        let timeout = self.due_at().map(|due| timespec(due.saturating_duration_since(Instant::now())));
        let attempt = self.attempt.as_ref();
        let pipe = |stream| attempt.and_then(|attempt| attempt.pipe(stream));
        let link_flags = match &self.link {
            Some(link) if link.has_unsent() => PollFlags::IN | PollFlags::OUT,
            Some(_) | None => PollFlags::IN,
        };
        let (link, stranger) = (self.link.as_ref().map(AsFd::as_fd), self.stranger.as_ref().map(AsFd::as_fd));
        let sources = [
            (Some(self.begun.listener.as_fd()), PollFlags::IN),
            (link, link_flags),
            (stranger, PollFlags::IN),
            (pipe(Stream::Out).map(AsFd::as_fd), PollFlags::IN),
            (pipe(Stream::Err).map(AsFd::as_fd), PollFlags::IN),
            // Nothing waits for it nearly always: then it wakes nobody.
            (attempt.and_then(|attempt| attempt.input.as_ref()?.waiting()).map(AsFd::as_fd), PollFlags::OUT),
        ];
        let mut polled = vec![PollFd::new(&self.begun.signals, PollFlags::IN)];
        polled.extend(
            sources.iter().filter_map(|(fd, flags)| fd.map(|fd| PollFd::from_borrowed_fd(fd, *flags))),
        );
        if poll(&mut polled, timeout.as_ref()).unwrap_or(0) == 0 {
            return Woken::default();
        }
        let mut events = polled.iter().map(|polled| !polled.revents().is_empty());
        let signals = events.next().unwrap_or(false);
        let [listener, link, stranger, out, err, input] =
            sources.map(|(fd, _)| fd.is_some() && events.next().unwrap_or(false));
        Woken { signals, listener, link, stranger, out, err, input }
    }

    /// The earliest moment with something to do; `None` sleeps until the world speaks.
    fn due_at(&self) -> Option<Instant> {
        let attempt = self.attempt.as_ref();
        let freeze = match self.freeze {
            Freeze::Freezing { next_look, .. } => Some(next_look),
            Freeze::Thawed | Freeze::Frozen => None,
        };
        // Without a daemon there is nobody to tell.
        let announce = attempt.filter(|_| self.link.is_some()).and_then(|attempt| attempt.announce_at);
        let moments = [attempt.and_then(Attempt::due_at), announce, freeze];
        moments.into_iter().flatten().min()
    }

    fn take_signals(&mut self) {
        // SIGCHLD needs no more than the wake-up: it makes this turn look at the attempt.
        while let Ok(Some(signal)) = self.begun.signals.next() {
            if startup::ENDING.contains(&signal) {
                self.shut_down(END_GRACE);
            }
        }
    }

    fn listen_to_daemon(&mut self, woken: &Woken) {
        if woken.listener
            && let Some(stranger) = Link::accept(&self.begun.listener)
        {
            self.stranger = Some(stranger);
        }
        if woken.stranger
            && let Some(stranger) = self.stranger.take()
        {
            self.stranger = self.greet(stranger);
        }
        if woken.link
            && let Some(link) = self.link.take()
        {
            self.obey(link);
        }
    }

    fn read_output(&mut self, woken: &Woken) {
        if !woken.out && !woken.err {
            return;
        }
        let unix_ms = now_unix_ms();
        let Some(attempt) = &mut self.attempt else { return };
        for (stream, readable) in [(Stream::Out, woken.out), (Stream::Err, woken.err)] {
            // A program that ends lets go of one pipe just before the other: one turn serves both.
            let other_closed =
                Stream::ALL.into_iter().any(|other| other != stream && attempt.pipe(other).is_none());
            if readable || other_closed {
                attempt.read(stream, &self.begun.state, unix_ms, &mut self.buffer);
            }
        }
    }

    fn do_what_is_due(&mut self, woken: &Woken) {
        let due = self.due_at().is_some_and(|due| due <= Instant::now());
        if due {
            self.announce();
            self.look_at_freeze();
        }
        if due || woken.signals || self.attempt.as_ref().is_some_and(Attempt::is_draining) {
            self.advance_attempt();
        }
        self.advance_shutdown();
    }

    fn announce(&mut self) {
        let Some(attempt) = &mut self.attempt else { return };
        if self.link.is_some() && attempt.announce_at.is_some_and(|at| at <= Instant::now()) {
            attempt.announce_at = None;
            let started = attempt.started(&self.begun);
            self.send(&Reply::Started(started));
        }
    }

    fn look_at_freeze(&mut self) {
        let Freeze::Freezing { since, next_look } = self.freeze else { return };
        let now = Instant::now();
        if now < next_look {
            return;
        }
        match self.begun.tree.is_frozen() {
            Ok(true) => {
                self.freeze = Freeze::Frozen;
                let ms = u32::try_from(now.duration_since(since).as_millis()).unwrap_or(u32::MAX);
                self.send(&Reply::Frozen { ms });
            }
            Ok(false) | Err(_) => {
                // Without a cgroup there may be new processes; with one, asking again changes nothing.
                let _again = self.begun.tree.freeze();
                self.freeze = Freeze::Freezing { since, next_look: now + FREEZE_LOOK };
            }
        }
    }

    fn advance_attempt(&mut self) {
        let (now, unix_ms) = (Instant::now(), now_unix_ms());
        let Some(attempt) = &mut self.attempt else { return };
        let mut progress = attempt.advance(&self.begun.tree, now, unix_ms);
        if attempt.is_clearing() {
            self.freeze = Freeze::Thawed;
        }
        if progress == Progress::Alive && attempt.is_draining() {
            // Nearly always nobody holds the pipes any more: their end is one read away.
            for stream in Stream::ALL {
                attempt.read(stream, &self.begun.state, unix_ms, &mut self.buffer);
            }
            progress = attempt.advance(&self.begun.tree, now, unix_ms);
        }
        if progress == Progress::Over
            && let Some(attempt) = self.attempt.take()
        {
            self.finish(attempt);
        }
    }

    fn finish(&mut self, attempt: Attempt) {
        if attempt.announce_at.is_some() {
            let started = attempt.started(&self.begun);
            self.send(&Reply::Started(started));
        }
        let record = attempt.into_record(&self.begun, now_unix_ms());
        self.keep(record);
        let _slower_starts = self.begun.tree.renew(&self.begun.spec.limits);
    }

    fn advance_shutdown(&mut self) {
        if self.shutdown == Shutdown::Asked && self.attempt.is_none() {
            self.shutdown = Shutdown::Stopped;
            self.send(&Reply::Stopped { survivors: 0 });
        }
    }

    /// Starts the end: the attempt first, if there is one.
    fn shut_down(&mut self, grace: Duration) {
        if self.shutdown == Shutdown::No {
            self.shutdown = Shutdown::Asked;
            // A full run folder makes the end look like a failure, which is the safer mistake.
            let _taken_for_a_failure = records::mark_stopped(&self.begun.run, &self.begun.spec.nonce);
        }
        self.stop(StopWhy::Shutdown, grace);
    }

    fn stop(&mut self, why: StopWhy, grace: Duration) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.stop(why, grace);
        if !matches!(self.freeze, Freeze::Thawed) {
            // Frozen processes meet the signal when they go on. A refusal leaves them to the kill.
            let _left_to_the_kill = self.begun.tree.thaw();
            self.freeze = Freeze::Thawed;
        }
    }

    fn flush(&mut self) {
        if self.link.as_mut().is_some_and(|link| link.flush().is_err()) {
            self.hang_up();
        }
    }

    /// The daemon is gone: what it has not acknowledged goes to disk. The attempt goes on.
    fn hang_up(&mut self) {
        self.link = None;
        self.records.sync(&self.begun.state);
    }

    fn is_done(&self) -> bool {
        self.shutdown == Shutdown::Stopped
            && (self.link.is_none() || self.records.is_empty())
            && !self.has_unsent()
    }

    fn has_unsent(&self) -> bool {
        self.link.as_ref().is_some_and(Link::has_unsent)
    }

    fn send(&mut self, reply: &Reply) {
        if let Some(link) = &mut self.link {
            link.send(reply);
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

/// The wall clock, for records that people read.
fn now_unix_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
