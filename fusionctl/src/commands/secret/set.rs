//! `secret set`: the value comes from stdin, or from a terminal that does not show it; never from an argument, which
//! every user of the machine could read.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use fusion_proto::v1::SetSecretRequest;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::Named;
use crate::commands::{INTERRUPTED, Session};
use crate::error::{Complaint, Exit, Stop};
use crate::view::secret::Secret;

const AFTER: &str = "\
Examples:
  fusionctl secret set GH_TOKEN < token.txt
  pass show github | fusionctl secret set GH_TOKEN
  fusionctl secret set GH_TOKEN

On a terminal the value is asked for and not shown. One line break at the end is not part of the
value. Give it to an agent with `agent spawn --secret GH_TOKEN`, or to a task with `task submit
--secret GH_TOKEN`.";

/// The longest value and its line break; the daemon refuses more than 16 KiB.
const VALUE_BYTES_MAX: u64 = (16 << 10) + 3;

/// Arguments of `secret set`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    secret: Named,
}

/// Reads the value and sets it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let Named { name, user } = args.secret;
    let value = if io::stdin().is_terminal() { ask(&name).await? } else { Some(read()?) };
    let Some(value) = value else { return Ok(Exit::Program(INTERRUPTED)) };
    let link = session.link().await?;
    let request = SetSecretRequest { name, value, user: user.unwrap_or_default() };
    // Setting the same value twice is one value more to keep, and no harm.
    let answer = link.repeat(async || link.secrets().set_secret(request.clone()).await).await?;
    session.out.made(&Secret::from(answer))?;
    Ok(Exit::Done)
}

fn unreadable(error: &io::Error) -> Stop {
    Complaint::unreadable("stdin", error).into()
}

fn read() -> Result<Vec<u8>, Stop> {
    let mut value = Vec::new();
    io::stdin().lock().take(VALUE_BYTES_MAX).read_to_end(&mut value).map_err(|error| unreadable(&error))?;
    Ok(without_line_break(value))
}

/// Asks on the terminal, which shows again what is typed when this is over; `None`: interrupted.
async fn ask(name: &str) -> Result<Option<Vec<u8>>, Stop> {
    // Heard before anything is hidden: an interrupt of which nobody hears leaves the terminal so.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| unreadable(&error))?;
    let _shown_again = Hidden::begin().map_err(|error| unreadable(&error))?;
    // Where stderr is closed, nobody sees the question and the answer may still come.
    drop(write!(io::stderr(), "Value of {name}: "));
    let line = tokio::task::spawn_blocking(|| {
        let mut value = Vec::new();
        io::stdin().lock().take(VALUE_BYTES_MAX).read_until(b'\n', &mut value).map(|_| value)
    });
    let line = tokio::select! {
        line = line => Some(line.unwrap_or_else(|panic| Err(io::Error::other(panic)))),
        _ = interrupt.recv() => None,
    };
    drop(writeln!(io::stderr()));
    line.transpose().map(|line| line.map(without_line_break)).map_err(|error| unreadable(&error))
}

fn without_line_break(mut value: Vec<u8>) -> Vec<u8> {
    if value.pop_if(|last| *last == b'\n').is_some() {
        value.pop_if(|last| *last == b'\r');
    }
    value
}

/// The terminal of stdin does not show what is typed until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_is_not_part_of_a_value() {
        let value = |text: &str| String::from_utf8(without_line_break(text.as_bytes().to_vec())).unwrap();
        assert_eq!(value("x\n"), "x");
        assert_eq!(value("x\r\n"), "x");
        assert_eq!(value("x\n\n"), "x\n");
        assert_eq!(value("x\r"), "x\r");
        assert_eq!(value(""), "");
    }
}
