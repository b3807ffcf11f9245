//! `system dial-stdio`: the other end of `--host ssh://…`. Bytes go both ways between stdio and the daemon's
//! socket; the daemon sees whoever runs this.
//!
//! Not for: people, and not for understanding what passes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;

use crate::client::ssh::GREETING;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};

/// As much as a pipe holds.
const BUFFER_BYTES: usize = 64 << 10;

const AFTER: &str = "\
Example:
  fusionctl system dial-stdio";

/// Arguments of `system dial-stdio`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {}

/// Joins both until the daemon hangs up.
pub(crate) async fn run(session: &Session, Args {}: Args) -> Result<Exit, Stop> {
    let stream = session.place.dial().await?;
    join(stream.into_std().and_then(|stream| stream.set_nonblocking(false).map(|()| stream))).map_err(
        |error| {
            Complaint::new(Exit::Failed, "join_failed", "stdio cannot be joined").detail(error.to_string())
        },
    )?;
    Ok(Exit::Done)
}

fn join(stream: io::Result<std::os::unix::net::UnixStream>) -> io::Result<()> {
    let mut from_daemon = stream?;
    // The descriptors themselves: std would keep back what is not a whole line.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    output.write_all(format!("{GREETING}\n").as_bytes())?;
    let mut to_daemon = from_daemon.try_clone()?;
    std::thread::Builder::new().name("to-daemon".to_owned()).spawn(move || {
        // Whatever ends it, the daemon hears that nothing more comes, and hangs up.
        drop(pump(&mut input, &mut to_daemon));
        drop(to_daemon.shutdown(Shutdown::Write));
    })?;
    match pump(&mut from_daemon, &mut output) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Passes on whatever comes until the end. Not `io::copy`: it would splice(2), and a splice that waits for a
/// socket holds the lock of the pipe, so that `sshd` could not read from it.
fn pump(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut bytes = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&bytes[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
