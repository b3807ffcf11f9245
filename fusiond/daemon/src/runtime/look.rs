//! A look for the shim of an incarnation: connect, say hello, check that it is the one.
//!
//! Not here: what follows from what is found (`lane`), dead shims (`death`).

use std::time::Duration;

use fusion_core::Nonce;
use fusion_shim::wire::{RefusedWhy, Reply, Welcome};
use fusion_sys::pidfd::PidFd;

use super::Shared;
use super::connection::Connection;
use super::places::Life;

/// What a look has found.
pub(super) enum Look {
    /// The shim, at our service.
    Up(Found),
    /// Somebody who holds the connection and does not answer in time; it may yet.
    Silent(Connection),
    /// A shim that will not serve us, and why: another life's, a newer daemon's.
    Foreign(String),
    /// The shim of a daemon of another version, with the protocol that it speaks.
    Stranger(u16),
    /// Nobody answers at the socket. The lock tells whether the shim is dead.
    Unreachable,
}

/// A shim that serves us.
pub(super) struct Found {
    pub(super) connection: Connection,
    pub(super) welcome: Box<Welcome>,
}

/// How long a shim may take to answer before others get their turn.
pub(super) const LOOK_BUDGET: Duration = Duration::from_secs(2);

/// Looks once.
pub(super) async fn look(shared: &Shared, life: Life, nonce: Nonce) -> Look {
    let run = shared.places.run(life);
    let opening = Connection::open(&run, shared.config.epoch, nonce);
    let mut connection = match tokio::time::timeout(LOOK_BUDGET, opening).await {
        Ok(Ok(connection)) => connection,
        // Refused or absent; or its queue of connections is full, and it takes none.
        Ok(Err(_)) | Err(_) => return Look::Unreachable,
    };
    match tokio::time::timeout(LOOK_BUDGET, connection.next()).await {
        Ok(Ok(reply)) => judge(shared, nonce, connection, reply),
        Ok(Err(_hung_up)) => Look::Unreachable,
        Err(_late) => Look::Silent(connection),
    }
}

/// What the first reply makes of a connection.
pub(super) fn judge(shared: &Shared, nonce: Nonce, connection: Connection, reply: Reply) -> Look {
    match reply {
        Reply::Welcome(welcome) if welcome.nonce != nonce => {
            Look::Foreign("it belongs to another incarnation".to_owned())
        }
        Reply::Welcome(welcome) if welcome.boot_id != shared.boot_id => {
            Look::Foreign("it says that it is from before the reboot".to_owned())
        }
        Reply::Welcome(welcome) => Look::Up(Found { connection, welcome: Box::new(welcome) }),
        Reply::Refused { why } => refusal(why),
        Reply::Started(_)
        | Reply::StartRefused { .. }
        | Reply::Exited(_)
        | Reply::Frozen { .. }
        | Reply::Thawed
        | Reply::Observed(_)
        | Reply::LimitRefused { .. }
        | Reply::InputTaken { .. }
        | Reply::InputRefused { .. }
        | Reply::Stopped { .. } => Look::Foreign("it does not begin with a welcome".to_owned()),
    }
}

fn refusal(why: RefusedWhy) -> Look {
    match why {
        RefusedWhy::LowerEpoch { highest } => {
            Look::Foreign(format!("it has served a daemon of epoch {highest}"))
        }
        RefusedWhy::WrongNonce => Look::Foreign("it belongs to another incarnation".to_owned()),
        RefusedWhy::WrongProtocol { protocol } => Look::Stranger(protocol),
    }
}

/// The shim's process, if it still is the one that the welcome speaks of.
pub(super) fn process_of(welcome: &Welcome) -> Option<PidFd> {
    let process = PidFd::open(welcome.pid).ok()?;
    let start = fusion_sys::process::start_time(welcome.pid).ok()?;
    (start == welcome.start_time_ticks).then_some(process)
}
