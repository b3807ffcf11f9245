//! What a user sees when something does not work: the words on stderr and the exit code.
//!
//! For: one shape for local and remote errors, the table of exit codes, and the choice among several.
//! Not for: the reasons themselves; the daemon sends them as `google.rpc.ErrorInfo`.

use std::error::Error as _;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use fusion_proto::v1::Refusal;
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::colour;
use crate::output::Format;
use crate::table::printable;

/// The exit codes that scripts may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done as asked.
    Done,
    /// The thing asked for failed, such as a task that was waited for.
    Failed,
    /// Wrong usage, or a local file that cannot be read.
    Usage,
    /// Nothing has that name.
    NotFound,
    /// Refused in the present state.
    Refused,
    /// The caller may not do this.
    NotPermitted,
    /// No daemon answers.
    Unreachable,
    /// It took longer than allowed.
    TimedOut,
    /// A limit or quota is reached.
    LimitReached,
    /// A bug in the daemon or in this program.
    Bug,
    /// What the program of a task that was run ended with.
    Program(u8),
}

impl Exit {
    /// The number that the process exits with.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::NotPermitted => 5,
            Self::Unreachable => 6,
            Self::TimedOut => 7,
            Self::LimitReached => 8,
            Self::Bug => 70,
            Self::Program(code) => code,
        }
    }

    /// The code of one run over several things. Codes that agree stand; else not found wins, then timed
    /// out, then failed.
    pub(crate) fn of_several(exits: impl IntoIterator<Item = Self>) -> Self {
        let mut found = exits.into_iter().filter(|exit| *exit != Self::Done);
        let Some(first) = found.next() else { return Self::Done };
        found.fold(first, |worst, next| {
            let either = |exit| worst == exit || next == exit;
            if worst == next || either(Self::NotFound) {
                if worst == next { worst } else { Self::NotFound }
            } else if either(Self::TimedOut) {
                Self::TimedOut
            } else {
                Self::Failed
            }
        })
    }

    /// Success or failure of a thing that was waited for.
    pub(crate) const fn of_success(succeeded: bool) -> Self {
        if succeeded { Self::Done } else { Self::Failed }
    }

    const fn of_code(code: Code) -> Self {
        match code {
            Code::Ok => Self::Done,
            Code::NotFound => Self::NotFound,
            Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => Self::Refused,
            Code::PermissionDenied | Code::Unauthenticated => Self::NotPermitted,
            Code::Unavailable => Self::Unreachable,
            Code::DeadlineExceeded => Self::TimedOut,
            Code::ResourceExhausted => Self::LimitReached,
            Code::InvalidArgument | Code::OutOfRange => Self::Usage,
            Code::Cancelled => Self::Failed,
            Code::Unimplemented | Code::Internal | Code::Unknown | Code::DataLoss => Self::Bug,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a verb ended before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody reads our output any more (`fusionctl … | head`): not an error.
    OutputClosed,
    /// The terminal that we print to was closed: there is nobody to tell about it.
    TerminalGone,
    /// Something to tell the user.
    Complaint(Box<Complaint>),
}

/// One error, in the words of the interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Complaint {
    /// What the process exits with.
    #[serde(skip)]
    pub(crate) exit: Exit,
    /// Stable reason in snake case.
    pub(crate) code: String,
    /// What went wrong: lower case, no full stop.
    pub(crate) message: String,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// What to do about a file that cannot be read.
const UNREADABLE: &[(io::ErrorKind, &str)] = &[
    (io::ErrorKind::NotFound, "a path begins in the folder you are in, unless with a /"),
    (io::ErrorKind::IsADirectory, "name a file in it"),
    (io::ErrorKind::PermissionDenied, "`ls -l` shows who may read it"),
    (io::ErrorKind::InvalidData, "only UTF-8 text is taken: `iconv -f latin1 -t utf-8 FILE` converts it"),
];

/// What to do about a file that cannot be written.
const UNWRITABLE: &[(io::ErrorKind, &str)] = &[
    (io::ErrorKind::NotFound, "make the folder first"),
    (io::ErrorKind::AlreadyExists, "choose another name, or remove what is there"),
    (io::ErrorKind::PermissionDenied, "choose a folder that you may write to"),
    (io::ErrorKind::StorageFull, "free some space: `df -h` shows where"),
];

impl Complaint {
    /// A complaint without detail and hint.
    pub(crate) fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self { exit, code: code.to_owned(), message: message.into(), detail: None, hint: None }
    }

    /// Wrong usage that clap cannot see.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// A local file that cannot be read.
    pub(crate) fn unreadable(name: &str, error: &io::Error) -> Self {
        let complaint = Self::new(Exit::Usage, "file_unreadable", format!("cannot read {name}"));
        let known = UNREADABLE.iter().find(|(kind, _)| *kind == error.kind());
        let hint = known.map_or("see whether other programs can read it", |(_, hint)| hint);
        complaint.detail(error.to_string()).hint(hint)
    }

    /// A local file that cannot be written.
    pub(crate) fn unwritable(name: &str, error: &io::Error) -> Self {
        let complaint = Self::new(Exit::Failed, "file_unwritable", format!("cannot write {name}"));
        let known = UNWRITABLE.iter().find(|(kind, _)| *kind == error.kind());
        let hint = known.map_or("see whether other programs can write there", |(_, hint)| hint);
        complaint.detail(error.to_string()).hint(hint)
    }

    /// The same with more about it.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same about one of several things.
    pub(crate) fn about(mut self, what: &str) -> Self {
        if !self.message.contains(what) {
            self.message = format!("{what}: {}", self.message);
        }
        self
    }

    /// Why nothing was done to one of several.
    pub(crate) fn of_refusal(refusal: Refusal) -> Self {
        let failure = refusal.failure.unwrap_or_default();
        let complaint = Self::new(Exit::of_code(Code::from(refusal.status)), &failure.code, failure.message);
        if failure.hint.is_empty() { complaint } else { complaint.hint(failure.hint) }
    }

    fn of_status(status: &Status) -> Self {
        if let Some(info) = status.get_details_error_info() {
            let word = |key: &str| info.metadata.get(key).filter(|text| !text.is_empty()).cloned();
            return Self {
                exit: Exit::of_code(status.code()),
                code: info.reason,
                message: status.message().to_owned(),
                detail: word("detail"),
                hint: word("hint"),
            };
        }
        if is_lost(status) {
            return Self::new(Exit::Unreachable, "connection_lost", "the connection to the daemon was lost")
                .detail(innermost(status))
                .hint("start the daemon again and repeat the command; accepted tasks are kept");
        }
        if status.code() == Code::Unimplemented {
            let version = env!("CARGO_PKG_VERSION");
            return Self::new(Exit::Refused, "unimplemented", "this fusiond does not know how to do that")
                .detail(format!("fusionctl is version {version}"))
                .hint("`fusionctl system status` says the daemon's version: use both of one version");
        }
        let exit = Exit::of_code(status.code());
        let words = match status.message() {
            "" => status.code().description().to_lowercase(),
            words => words.to_owned(),
        };
        let complaint = Self::new(exit, &snake_case(status.code()), words);
        match exit {
            Exit::Bug => complaint.hint("compare the versions of fusionctl and fusiond, then report this"),
            Exit::Done
            | Exit::Failed
            | Exit::Usage
            | Exit::NotFound
            | Exit::Refused
            | Exit::NotPermitted
            | Exit::Unreachable
            | Exit::TimedOut
            | Exit::LimitReached
            | Exit::Program(_) => complaint,
        }
    }

    /// Writes it to stderr: the lines for people and, for JSON formats, the object for programs.
    pub(crate) fn report(&self, format: Format) {
        let stderr = io::stderr();
        let colour = colour::wanted(stderr.is_terminal());
        let mut text = self.lines(colour);
        if matches!(format, Format::Json | Format::Jsonl) {
            text.push_str(&serde_json::to_string(self).expect("strings are valid JSON"));
            text.push('\n');
        }
        // With stderr gone there is nobody left to tell.
        drop(stderr.lock().write_all(text.as_bytes()));
    }

    fn lines(&self, colour: bool) -> String {
        let error = if colour { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" };
        // What others wrote must not steer a terminal.
        let mut text = format!("{error} {}\n", printable(&self.message));
        for (name, words) in [("detail", &self.detail), ("hint", &self.hint)] {
            if let Some(words) = words {
                text.push_str(&format!("  {name}: {}\n", printable(words)));
            }
        }
        text
    }
}

impl From<Complaint> for Stop {
    fn from(complaint: Complaint) -> Self {
        Self::Complaint(Box::new(complaint))
    }
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Complaint::of_status(&status).into()
    }
}

impl Stop {
    /// The complaint about one of several things, or the end of the output.
    pub(crate) fn into_complaint(self) -> Result<Complaint, Self> {
        match self {
            Self::OutputClosed | Self::TerminalGone => Err(self),
            Self::Complaint(complaint) => Ok(*complaint),
        }
    }

    /// Adds a detail unless there is one.
    pub(crate) fn with_detail(self, detail: impl FnOnce() -> String) -> Self {
        match self {
            Self::OutputClosed | Self::TerminalGone => self,
            Self::Complaint(mut complaint) => {
                complaint.detail.get_or_insert_with(detail);
                Self::Complaint(complaint)
            }
        }
    }
}

/// A failed write to `file`, stdout or stderr: a closed pipe ends quietly, a full disk does not.
pub(crate) fn output_failed(file: impl AsFd, error: &io::Error) -> Stop {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Stop::OutputClosed;
    }
    if error.raw_os_error() == Some(Errno::IO.raw_os_error()) && is_device(file) {
        return Stop::TerminalGone;
    }
    Complaint::unwritable("stdout", error).into()
}

/// Whether it is a device rather than a file of a disk. A terminal that was closed does not answer as one.
fn is_device(file: impl AsFd) -> bool {
    fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice)
}

/// Whether the answer never came because the connection broke, or the daemon is going down. Only a
/// status made on this side has a source; one that the daemon sent has none.
pub(crate) fn is_lost(status: &Status) -> bool {
    status.source().is_some() || status.code() == Code::Unavailable
}

fn innermost(status: &Status) -> String {
    let mut error: &dyn std::error::Error = status;
    while let Some(source) = error.source() {
        error = source;
    }
    match error.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => error.to_string(),
    }
}

fn snake_case(code: Code) -> String {
    let mut text = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn of_several_not_found_wins_then_timed_out_then_failed() {
        use Exit::{Done, Failed, LimitReached, NotFound, Refused, TimedOut};
        assert_eq!(Exit::of_several([]), Done);
        assert_eq!(Exit::of_several([Done, Done]), Done);
        assert_eq!(Exit::of_several([Done, Refused]), Refused);
        assert_eq!(Exit::of_several([Refused, Done, Refused]), Refused);
        assert_eq!(Exit::of_several([Refused, LimitReached]), Failed);
        assert_eq!(Exit::of_several([Failed, TimedOut]), TimedOut);
        assert_eq!(Exit::of_several([TimedOut, NotFound, Failed]), NotFound);
        assert_eq!(Exit::of_several([Refused, Failed, NotFound]), NotFound);
    }

    #[test]
    fn every_wire_code_has_its_exit_code() {
        let pairs = [
            (Code::NotFound, 3),
            (Code::FailedPrecondition, 4),
            (Code::Aborted, 4),
            (Code::AlreadyExists, 4),
            (Code::PermissionDenied, 5),
            (Code::Unauthenticated, 5),
            (Code::Unavailable, 6),
            (Code::DeadlineExceeded, 7),
            (Code::ResourceExhausted, 8),
            (Code::InvalidArgument, 2),
            (Code::Unimplemented, 70),
            (Code::Internal, 70),
            (Code::Unknown, 70),
        ];
        for (code, exit) in pairs {
            assert_eq!(Exit::of_code(code).code(), exit, "{code:?}");
        }
    }

    #[test]
    fn reason_detail_and_hint_come_from_the_error_info() {
        let metadata = HashMap::from([
            ("detail".to_owned(), "names look like fast-1".to_owned()),
            ("hint".to_owned(), "`fusionctl agent list` shows yours".to_owned()),
        ]);
        let details = ErrorDetails::with_error_info("agent_not_found", "fusion", metadata);
        let status = Status::with_error_details(Code::NotFound, "no agent is called \"x\"", details);
        let complaint = Complaint::of_status(&status);
        assert_eq!(complaint.exit, Exit::NotFound);
        assert_eq!(
            serde_json::to_string(&complaint).unwrap(),
            r#"{"code":"agent_not_found","message":"no agent is called \"x\"","detail":"names look like fast-1","hint":"`fusionctl agent list` shows yours"}"#
        );
        assert_eq!(
            complaint.lines(false),
            "error: no agent is called \"x\"\n  detail: names look like fast-1\n  hint: `fusionctl agent list` shows yours\n"
        );
    }

    #[test]
    fn an_error_without_error_info_is_named_after_its_wire_code() {
        let complaint = Complaint::of_status(&Status::failed_precondition("it is paused"));
        assert_eq!((complaint.exit, complaint.code.as_str()), (Exit::Refused, "failed_precondition"));
        assert_eq!(complaint.lines(false), "error: it is paused\n");
    }

    #[test]
    fn a_daemon_that_does_not_know_a_call_is_another_version() {
        let complaint = Complaint::of_status(&Status::unimplemented(""));
        assert_eq!((complaint.exit, complaint.code.as_str()), (Exit::Refused, "unimplemented"));
        assert!(complaint.hint.unwrap().contains("one version"));
    }

    #[test]
    fn a_closed_pipe_is_not_an_error() {
        assert!(matches!(output_failed(io::stdout(), &io::ErrorKind::BrokenPipe.into()), Stop::OutputClosed));
        assert!(matches!(
            output_failed(io::stdout(), &io::ErrorKind::StorageFull.into()),
            Stop::Complaint(_)
        ));
        let broken = || io::Error::from(Errno::IO);
        let disk = std::fs::File::open("/proc/self/exe").unwrap();
        assert!(matches!(output_failed(disk, &broken()), Stop::Complaint(_)), "whatever stderr is");
        let device = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(output_failed(device, &broken()), Stop::TerminalGone));
    }
}
