//! The service manager's side of the daemon: it is told of readiness, reload and end, its watchdog is fed, and a socket
//! that it holds is taken over. Elsewhere all of it does nothing (sd_notify(3), sd_listen_fds(3)).
//!
//! Not here: scopes for agents (`runtime`).

use std::io;

use fusion_core::{Millis, Reject};
use sd_notify::NotifyState;
use tokio::net::UnixListener;

use crate::engine::Engine;

/// TimeoutStopSec= of the units.
const STOP_LIMIT: Millis = Millis::from_secs(60);

/// Callers are served from now on.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Settings are read anew; [`ready`] is to follow. As Type=notify-reload wants it, with the time of its begin.
pub fn reloading() {
    let begun = NotifyState::monotonic_usec_now().ok();
    let states: Vec<_> = [Some(NotifyState::Reloading), begun].into_iter().flatten().collect();
    tell(&states);
}

/// The daemon ends; agents may go on. It may take so long beyond what is usual: a manager waits no longer than its
/// TimeoutStopSec= otherwise, and takes a daemon that it had to kill for one that crashed.
pub fn stopping(more: Millis) {
    let extension = format!("EXTEND_TIMEOUT_USEC={}", (more.0 + STOP_LIMIT.0).saturating_mul(1000));
    tell(&[NotifyState::Stopping, NotifyState::Custom(&extension)]);
}

/// Whether a service manager has started this very process (systemd.exec(5), since version 248).
#[must_use]
pub fn is_main_process() -> bool {
    std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|pid| pid == std::process::id().to_string())
}

fn tell(states: &[NotifyState<'_>]) {
    // Where nobody waits for it, the notice goes nowhere.
    drop(sd_notify::notify(states));
}

/// Feeds the watchdog, if one is set, for as long as the engine takes turns or waits for room on the disk: a daemon that
/// hangs is started anew by the service manager, and agents do not notice. The only wake-up of an idle daemon.
pub fn start_watchdog(engine: Engine) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    tokio::spawn(async move {
        let mut beat = tokio::time::interval(limit / 2);
        while take_turn(&engine, beat.tick()).await.is_ok() {
            tell(&[NotifyState::Watchdog]);
        }
    });
}

/// Returns when the engine has taken a turn after the beat, or waits for what a new start would not bring either, and not
/// before: what hangs starves.
async fn take_turn<T>(engine: &Engine, beat: impl Future<Output = T>) -> Result<(), Reject> {
    beat.await;
    tokio::select! {
        biased;
        () = engine.cramped() => Ok(()),
        taken = engine.look(|_, _| ()) => taken,
    }
}

/// The listening socket that the service manager has handed over (socket activation), if it did.
///
/// # Errors
/// More than one was handed over, or it is no listening Unix stream socket: the socket unit is wrong.
pub fn inherited_listener() -> io::Result<Option<UnixListener>> {
    let mut handed = sd_notify::listen_fds()?;
    let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    match (handed.next(), handed.len()) {
        (None, _) => Ok(None),
        (Some(fd), 0) => {
            let listener = fusion_sys::inherited::adopt_listener(fd)?;
            listener.set_nonblocking(true)?;
            UnixListener::from_std(listener).map(Some)
        }
        (Some(_), _) => wrong("the socket unit hands over more than one socket"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Message;
    use crate::store::{Config, Store};
    use fusion_core::{State, Time};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn the_watchdog_starves_while_the_engine_takes_no_turn() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(Config::new(folder.path().join("store"))).unwrap();
        let (engine, mut inbox, cramped) = Engine::unattended(store.reader());
        let mut nobody = Context::from_waker(Waker::noop());

        let mut hungry = pin!(take_turn(&engine, std::future::pending::<()>()));
        assert!(
            hungry.as_mut().poll(&mut nobody).is_pending() && inbox.try_recv().is_err(),
            "before its time"
        );

        let mut fed = pin!(take_turn(&engine, std::future::ready(())));
        for _ in 0..3 {
            assert!(fed.as_mut().poll(&mut nobody).is_pending(), "fed though nobody answers");
        }
        let Ok(Message::Look(look)) = inbox.try_recv() else { panic!("the engine is not asked") };
        assert!(fed.as_mut().poll(&mut nobody).is_pending(), "fed by the question alone");
        look(&State::default(), Time(0));
        assert!(matches!(fed.as_mut().poll(&mut nobody), Poll::Ready(Ok(()))), "hungry after a turn");

        cramped.send_replace(true);
        let mut fed = pin!(take_turn(&engine, std::future::ready(())));
        assert!(
            matches!(fed.as_mut().poll(&mut nobody), Poll::Ready(Ok(()))),
            "hungry while the disk is full"
        );
        cramped.send_replace(false);
        let mut hungry = pin!(take_turn(&engine, std::future::ready(())));
        assert!(hungry.as_mut().poll(&mut nobody).is_pending(), "fed by a disk that was full");
    }
}
