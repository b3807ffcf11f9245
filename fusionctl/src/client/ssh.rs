//! A daemon on another machine: `ssh` runs `fusionctl system dial-stdio` there, which joins its two ends with
//! the daemon's socket.
//!
//! Who the caller is, is decided there: the daemon sees the user that `ssh` logged in. Not for: keys,
//! known hosts and passwords; `ssh` and its configuration know them.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use crate::error::{Complaint, Exit};

/// The first line that the other side prints once it has the daemon. What a shell's start file prints
/// before it is passed over.
pub(crate) const GREETING: &str = "fusion-dial 1";

/// More before the greeting is no greeting.
const NOISE_BYTES_MAX: usize = 64 << 10;

/// `ssh://[USER@]MACHINE[:PORT][/SOCKET]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    user: Option<String>,
    machine: String,
    port: Option<u16>,
    socket: Option<String>,
    manner: Manner,
}

/// How `ssh` goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// For somebody at a terminal: it may ask for a password, and says what is wrong.
    Talking,
    /// For a shell that completes a word: it asks nothing and says nothing.
    Silent,
}

/// An `ssh` that is not yet joined with the daemon ends when nobody waits for it any more.
struct Login(Option<Child>);

impl Login {
    /// It goes on, until its ends are closed.
    fn joined(mut self) {
        drop(self.0.take());
    }

    fn status(mut self) -> io::Result<ExitStatus> {
        let mut child = self.0.take().ok_or(io::ErrorKind::NotFound)?;
        child.wait()
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Host {
    /// Reads the address.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected ssh://[USER@]MACHINE[:PORT][/SOCKET]".to_owned();
        let rest = text.strip_prefix("ssh://").ok_or_else(expected)?;
        let (address, socket) = match rest.find('/') {
            Some(at) => (&rest[..at], Some(rest[at..].to_owned()).filter(|path| path.len() > 1)),
            None => (rest, None),
        };
        let (user, place) = match address.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, address),
        };
        let (machine, port) = split_port(place).ok_or_else(expected)?;
        // A word that begins with a dash would be an option of ssh.
        let is_word = |word: &str, more: &[u8]| {
            !word.is_empty()
                && !word.starts_with('-')
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        if !is_word(machine, b".-_:%") || user.is_some_and(|user| !is_word(user, b".-_+\\")) {
            return Err(expected());
        }
        if socket.as_deref().is_some_and(|path| path.contains(char::is_control)) {
            return Err(expected());
        }
        let (user, machine) = (user.map(str::to_owned), machine.to_owned());
        Ok(Self { user, machine, port, socket, manner: Manner::Talking })
    }

    /// The same, reached without a question or a word on standard error.
    pub(super) fn silent(self) -> Self {
        Self { manner: Manner::Silent, ..self }
    }

    /// The words behind `ssh`.
    fn words(&self) -> Vec<String> {
        let options: &[&str] = match self.manner {
            Manner::Talking => &["-T", "-o", "ConnectTimeout=30"],
            Manner::Silent => &["-T", "-o", "ConnectTimeout=2", "-o", "BatchMode=yes"],
        };
        let mut words: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
        words.extend(self.login());
        // The other side hands this to a shell.
        let socket = self.socket.as_ref().map_or(String::new(), |path| format!(" --socket {}", quoted(path)));
        words.insert(words.len() - 1, "--".to_owned());
        words.push(format!("fusionctl{socket} system dial-stdio"));
        words
    }

    /// Whom and where, as `ssh` takes it.
    fn login(&self) -> Vec<String> {
        let user = self.user.iter().flat_map(|user| ["-l".to_owned(), user.clone()]);
        let port = self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]);
        user.chain(port).chain([self.machine.clone()]).collect()
    }

    /// Starts `ssh` and returns the way to the daemon once the other side has it.
    pub(super) async fn connect(&self) -> Result<UnixStream, Complaint> {
        let (ours, theirs) =
            std::os::unix::net::UnixStream::pair().map_err(|error| self.not_started(&error))?;
        let login = self.start(theirs).map_err(|error| self.not_started(&error))?;
        ours.set_nonblocking(true).map_err(|error| self.not_started(&error))?;
        let mut stream = UnixStream::from_std(ours).map_err(|error| self.not_started(&error))?;
        match greeted(&mut stream).await {
            Ok(()) => {
                login.joined();
                Ok(stream)
            }
            Err(error) => {
                drop(stream);
                Err(self.not_greeted(login, &error))
            }
        }
    }

    fn start(&self, theirs: std::os::unix::net::UnixStream) -> io::Result<Login> {
        let input = OwnedFd::from(theirs.try_clone()?);
        let mut command = Command::new("ssh");
        command.args(self.words()).stdin(Stdio::from(input)).stdout(Stdio::from(OwnedFd::from(theirs)));
        match self.manner {
            Manner::Talking => {}
            Manner::Silent => {
                command.stderr(Stdio::null());
            }
        }
        command.spawn().map(|child| Login(Some(child)))
    }

    fn not_started(&self, error: &io::Error) -> Complaint {
        Complaint::new(Exit::Unreachable, "ssh_failed", format!("cannot reach {self}"))
            .detail(format!("ssh cannot be started: {error}"))
            .hint("install the OpenSSH client (`ssh`) in a folder of PATH")
    }

    /// What ended before it said anything: `ssh` itself, the shell there, or `fusionctl` there.
    fn not_greeted(&self, login: Login, error: &io::Error) -> Complaint {
        let status = login.status();
        let code = status.as_ref().ok().and_then(ExitStatus::code);
        let detail = match &status {
            Ok(status) => said(*status),
            Err(_) => error.to_string(),
        };
        let machine = &self.machine;
        match code {
            Some(127) => {
                Complaint::new(Exit::Unreachable, "fusionctl_missing", format!("there is no fusionctl on {machine}"))
                    .detail(detail)
                    .hint("install it there, in a folder that is in PATH also without a login shell, such as /usr/local/bin")
            }
            Some(5) => Complaint::new(Exit::NotPermitted, "socket_denied", format!("{self} may not use its daemon"))
                .detail(detail)
                .hint(format!("fusionctl on {machine} says why above")),
            Some(2) => {
                Complaint::new(Exit::Unreachable, "fusionctl_too_old", format!("fusionctl on {machine} cannot join its daemon"))
                    .detail(detail)
                    .hint(format!("compare `fusionctl --version` here and on {machine}"))
            }
            Some(6) => Complaint::new(Exit::Unreachable, "daemon_unreachable", format!("no daemon answers on {machine}"))
                .detail(detail)
                .hint(format!("fusionctl on {machine} says above what it tried; a socket can be named: ssh://…/PATH")),
            Some(_) | None => Complaint::new(Exit::Unreachable, "ssh_failed", format!("cannot reach {self}"))
                .detail(detail)
                .hint(format!("see whether `ssh {} true` works", self.login().join(" "))),
        }
    }
}

/// As `ssh://…`.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.machine.contains(':') {
            write!(f, "[{}]", self.machine)?
        } else {
            f.write_str(&self.machine)?
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.socket.as_deref().unwrap_or_default())
    }
}

/// A machine, or an IPv6 address in brackets, and perhaps a port.
fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (machine, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((machine, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((machine, None)),
        };
    }
    match place.split_once(':') {
        Some((machine, port)) => Some((machine, Some(port.parse().ok().filter(|port| *port > 0)?))),
        None => Some((place, None)),
    }
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Reads up to the end of the greeting and not a byte more.
async fn greeted(stream: &mut UnixStream) -> io::Result<()> {
    let mut line = Vec::new();
    for _ in 0..NOISE_BYTES_MAX {
        match stream.read_u8().await? {
            b'\n' if line == GREETING.as_bytes() => return Ok(()),
            b'\n' => line.clear(),
            byte => line.push(byte),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "what answers there is no fusionctl"))
}

fn said(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ssh exited with {code}"),
        (None, Some(signal)) => format!("ssh was ended by signal {signal}"),
        (None, None) => "ssh ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_the_words_of_ssh() {
        let words = |text: &str| Host::parse(text).unwrap().words()[3..].to_vec();
        assert_eq!(words("ssh://box"), ["--", "box", "fusionctl system dial-stdio"]);
        assert_eq!(
            words("ssh://ada@box:2222/run/it's.sock"),
            [
                "-l",
                "ada",
                "-p",
                "2222",
                "--",
                "box",
                r"fusionctl --socket '/run/it'\''s.sock' system dial-stdio"
            ]
        );
        assert_eq!(words("ssh://[fe80::1%eth0]:22")[3], "fe80::1%eth0");
    }

    #[test]
    fn an_address_prints_as_it_was_given() {
        for text in ["ssh://box", "ssh://ada@box:2222/run/a.sock", "ssh://[::1]:22"] {
            assert_eq!(Host::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_could_be_an_option_of_ssh_is_no_address() {
        for text in [
            "box",
            "tcp://box",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://-lroot@box",
            "ssh://a b",
            "ssh://box:0",
            "ssh://box:x",
            "ssh://[::1",
            "ssh://@box",
            "ssh://box:22:22",
            "ssh://a;b",
        ] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn the_greeting_is_found_behind_the_noise_of_a_shell() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        theirs.try_write(b"Welcome!\nfusion-dial 1\nrest").unwrap();
        greeted(&mut ours).await.unwrap();
        let mut rest = [0; 4];
        ours.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"rest");
        drop(theirs);
        assert_eq!(greeted(&mut ours).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
