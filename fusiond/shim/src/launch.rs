//! The start of an attempt: from its spec to a running program. Not here: the order of the steps in the child
//! (`fusion_sys::spawn`).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use fusion_shim::wire::{AttemptSpec, Content, ExitKind, Resource, StdinEnd};
use fusion_sys::process::Credentials;
use fusion_sys::spawn::Launch;
use rustix::fs::Mode;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::files::{self, Place};
use crate::input::Input;
use crate::startup::Begun;

/// A program that runs, and the ends of its pipes.
pub(crate) struct Launched {
    pub(crate) pid: u32,
    pub(crate) out: OwnedFd,
    pub(crate) err: OwnedFd,
    /// The writing end of an input that stays open.
    pub(crate) input: Option<Input>,
    pub(crate) place: Option<Place>,
}

/// What runs for users is the first to go when memory is short.
pub(crate) const OOM_SCORE_ADJ: i16 = 200;

/// Starts the program; an error is the kind of end to record.
pub(crate) fn launch(begun: &Begun, serial: u32, spec: &AttemptSpec) -> Result<Launched, ExitKind> {
    let (out, out_end) = output_pipe(begun).map_err(|error| failed("pipe", &error))?;
    let (err, err_end) = output_pipe(begun).map_err(|error| failed("pipe", &error))?;
    let (stdin, input) = standard_input(begun, spec, serial).map_err(|error| failed("stdin", &error))?;
    let argv = strings("argv", &spec.argv)?;
    let Some(program) = spec.argv.first() else { return Err(invalid("argv")) };
    let identity = begun.spec.identity.as_ref();
    let launch = Launch {
        paths: strings("argv", &candidates(program, path_of(spec)))?,
        argv,
        envp: strings("env", &environment(spec))?,
        cwd: CString::new(spec.cwd.clone()).map_err(|_| invalid("chdir"))?,
        stdio: [stdin.as_ref().unwrap_or(&begun.null).as_fd(), out_end.as_fd(), err_end.as_fd()],
        cgroup: begun.tree.folder(),
        tasks_files: begun.tree.tasks_files(),
        identity: identity.map(|who| Credentials { uid: who.uid, gid: who.gid, groups: who.groups.clone() }),
        rlimits: spec.rlimits.iter().map(|limit| (number(limit.resource), limit.soft, limit.hard)).collect(),
        umask: u32::from(spec.umask),
        no_new_privs: spec.no_new_privs,
        oom_score_adj: Some(OOM_SCORE_ADJ),
    };
    let place = files::make(begun, serial, spec).map_err(|error| failed("files", &error))?;
    match launch.start() {
        Ok(pid) => Ok(Launched { pid, out, err, input, place }),
        Err(error) => {
            if let Some(place) = place {
                place.remove(begun);
            }
            Err(ExitKind::StartFailed {
                stage: error.stage.name().to_owned(),
                errno: error.source.raw_os_error().unwrap_or(0),
                message: describe(&error, program, spec),
            })
        }
    }
}

/// What the program reads from, if not `/dev/null`, and the other end of it, if it stays open.
fn standard_input(
    begun: &Begun,
    spec: &AttemptSpec,
    serial: u32,
) -> io::Result<(Option<OwnedFd>, Option<Input>)> {
    match (spec.stdin_end, &spec.stdin) {
        (StdinEnd::Closed, Content::Empty) => Ok((None, None)),
        (StdinEnd::Closed, Content::Inline(bytes)) => {
            Ok((Some(fusion_sys::file::sealed_memory("stdin", bytes)?), None))
        }
        (StdinEnd::Closed, Content::Laid) => Ok((Some(files::take_laid(begun, serial)?), None)),
        (StdinEnd::Open, first) => {
            let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&write_end, true)?;
            if begun.spec.identity.is_some() {
                rustix::fs::fchmod(&read_end, Mode::from_raw_mode(0o644))?;
            }
            let input = match first {
                Content::Empty => Input::new(write_end, Vec::new()),
                Content::Inline(bytes) => Input::new(write_end, bytes.clone()),
                Content::Laid => Input::behind(write_end, files::take_laid(begun, serial)?),
            };
            Ok((Some(read_end), Some(input)))
        }
    }
}

/// A pipe whose reading end does not block. The program may open its end again by `/dev/stdout`, which asks for the
/// rights of a file that root made.
fn output_pipe(begun: &Begun) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&read_end, true)?;
    if begun.spec.identity.is_some() {
        rustix::fs::fchmod(&write_end, Mode::from_raw_mode(0o622))?;
    }
    Ok((read_end, write_end))
}

/// A name with a slash is a path; another is looked for in the absolute folders of the program's own `PATH`. Relative
/// entries would run what lies in the workspace by chance.
pub(crate) fn candidates(program: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    if program.contains(&b'/') {
        return vec![program.to_vec()];
    }
    if program.is_empty() {
        return Vec::new();
    }
    let folders = path.split(|byte| *byte == b':').filter(|folder| folder.starts_with(b"/"));
    folders.map(|folder| [folder, b"/", program].concat()).collect()
}

fn path_of(spec: &AttemptSpec) -> &[u8] {
    spec.env.iter().find(|(name, _)| name == b"PATH").map_or(&[], |(_, value)| value)
}

fn environment(spec: &AttemptSpec) -> Vec<Vec<u8>> {
    spec.env.iter().map(|(name, value)| [name.as_slice(), b"=", value].concat()).collect()
}

fn strings(stage: &str, bytes: &[Vec<u8>]) -> Result<Vec<CString>, ExitKind> {
    bytes.iter().map(|text| CString::new(text.as_slice()).map_err(|_| invalid(stage))).collect()
}

/// The numbers of setrlimit(2).
fn number(resource: Resource) -> u32 {
    use rustix::process::Resource as Known;
    let known = match resource {
        Resource::Core => Known::Core,
        Resource::CpuSeconds => Known::Cpu,
        Resource::FileBytes => Known::Fsize,
        Resource::OpenFiles => Known::Nofile,
        Resource::Processes => Known::Nproc,
        Resource::AddressSpace => Known::As,
        Resource::Stack => Known::Stack,
        Resource::LockedMemory => Known::Memlock,
    };
    known as u32
}

fn failed(stage: &str, error: &io::Error) -> ExitKind {
    let errno = error.raw_os_error().unwrap_or(0);
    ExitKind::StartFailed {
        stage: stage.to_owned(),
        errno,
        message: format!("cannot prepare {stage}: {error}"),
    }
}

fn invalid(stage: &str) -> ExitKind {
    ExitKind::StartFailed {
        stage: stage.to_owned(),
        errno: rustix::io::Errno::INVAL.raw_os_error(),
        message: format!("{stage} is empty or contains a NUL byte"),
    }
}

/// What is shown of a PATH.
const PATH_CHARS: usize = 200;

/// The step that failed, in words: of a program, what is wrong with it.
fn describe(error: &fusion_sys::spawn::SpawnError, program: &[u8], spec: &AttemptSpec) -> String {
    use fusion_sys::spawn::Stage;
    use rustix::io::Errno;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stage, source) = (&error.stage, &error.source);
    if error.stage == Stage::Chdir {
        return format!("{stage} to {} failed: {source}", text(&spec.cwd));
    }
    if error.stage != Stage::Exec {
        return format!("{stage} failed: {source}");
    }
    let name = text(program);
    let is_path = program.contains(&b'/');
    match Errno::from_io_error(source) {
        Some(Errno::NOENT) if is_path => {
            format!("there is no program {name}, or no interpreter that its first line names")
        }
        Some(Errno::NOENT) => {
            let path = text(path_of(spec));
            let shown: String = path.chars().take(PATH_CHARS).collect();
            let rest = if shown.len() < path.len() { "…" } else { "" };
            format!("there is no program {name} in the agent's PATH ({shown}{rest})")
        }
        Some(Errno::ACCESS) => format!(
            "{name} cannot be executed: it is a folder, or lacks the permission (chmod +x), or lies where this user may not pass"
        ),
        Some(Errno::NOEXEC) => format!(
            "{name} is no program: neither a binary of this machine nor a script with a first line such as #!/bin/sh"
        ),
        _ => format!("{name} cannot be executed: {source}"),
    }
}
