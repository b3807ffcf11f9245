//! The service manager's side of the daemon: it is told of readiness, reload and end, its watchdog is fed, and a socket
//! that it holds is taken over. Elsewhere all of it does nothing (sd_notify(3), sd_listen_fds(3)).
//!
//! Not here: scopes for agents (`runtime`).

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::UnixListener;

use crate::engine::Engine;

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

/// The daemon ends; agents may go on.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    // Where nobody waits for it, the notice goes nowhere.
    drop(sd_notify::notify(states));
}

/// Feeds the watchdog, if one is set, for as long as the engine takes turns: a daemon that hangs is started anew by the
/// service manager, and agents do not notice. The only wake-up of an idle daemon.
pub fn start_watchdog(engine: Engine) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    tokio::spawn(feed(engine, limit / 2));
}

async fn feed(engine: Engine, every: Duration) {
    let mut beat = tokio::time::interval(every);
    loop {
        beat.tick().await;
        if engine.look(|_, _| ()).await.is_err() {
            return;
        }
        tell(&[NotifyState::Watchdog]);
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
