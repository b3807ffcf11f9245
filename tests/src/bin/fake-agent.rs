//! An agent for stories: it does exactly what its script says, and says what it did.
//!
//! The script is the arguments, one step each, or else standard input, one step a line. Steps:
//!
//! ```text
//!   say TEXT | cry TEXT     a line on standard output | error
//!   env | cwd               the environment, sorted | the working directory
//!   flood BYTES SEED        that many bytes of a foretold stream on standard output
//!   count N                 the numbers 1 to N, one a line, alternating between output and error
//!   ledger FILE             writes START now and END with the exit code at the end
//!   hear                    says the next line of standard input, or that there is none
//!   copy BYTES              copies that many bytes from standard input to standard output
//!   ring FIFO [TEXT]        writes a line into a named pipe: TEXT or its pid
//!   await FIFO              takes one byte from a named pipe, blocking until there is one
//!   stall                   does nothing, for ever
//!   spin MS | nap MS        uses the processor | does nothing, for so many milliseconds
//!   alloc MIB               takes and touches that much memory
//!   ignore-term             from here on SIGTERM has no effect
//!   grandchild FIFO         leaves a process of a new session behind that holds the output and rings its pid
//!   write FILE TEXT         writes a file
//!   exit N | signal N       ends so
//! ```
//!
//! Not here: anything an agent should be like.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::event::{Timespec, poll};
use rustix::process::{PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal, setsid};
use rustix::time::{ClockId, clock_gettime};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match perform() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("fake-agent: {error}");
            ExitCode::from(99)
        }
    }
}

fn perform() -> Outcome<u8> {
    let mut steps: Vec<String> = std::env::args().skip(1).collect();
    if steps.is_empty() {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        steps = text.lines().map(str::to_owned).collect();
    }
    let mut ledger = None;
    for (at, step) in steps.iter().enumerate() {
        let step = step.trim();
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        match verb {
            "exit" => {
                let code: u8 = rest.parse()?;
                end(ledger.as_deref(), code)?;
                return Ok(code);
            }
            "ledger" => {
                note(rest, "START", &std::process::id().to_string())?;
                ledger = Some(rest.to_owned());
            }
            "ignore-term" => return ignore_term(&steps[at + 1..]),
            _ => act(verb, rest)?,
        }
    }
    end(ledger.as_deref(), 0)?;
    Ok(0)
}

fn act(verb: &str, rest: &str) -> Outcome<()> {
    match verb {
        "" => {}
        "say" => writeln!(std::io::stdout(), "{rest}")?,
        "cry" => writeln!(std::io::stderr(), "{rest}")?,
        "env" => environment()?,
        "cwd" => writeln!(std::io::stdout(), "{}", std::env::current_dir()?.display())?,
        "flood" => flood(rest)?,
        "count" => count(rest.parse()?)?,
        "hear" => hear()?,
        "copy" => copy(rest.parse()?)?,
        "ring" => ring(rest)?,
        "await" => std::fs::File::open(rest)?.read_exact(&mut [0])?,
        "stall" => nap(None)?,
        "nap" => nap(Some(rest.parse()?))?,
        "spin" => spin(Duration::from_millis(rest.parse()?)),
        "alloc" => allocate(rest.parse()?)?,
        "grandchild" => grandchild(rest)?,
        "leave" => leave(rest)?,
        "write" => {
            let (path, text) = rest.split_once(' ').ok_or("write takes a file and a text")?;
            std::fs::write(path, text)?;
        }
        "signal" => signal_self(rest.parse()?)?,
        _ => return Err(format!("unknown step {verb:?}").into()),
    }
    Ok(())
}

fn environment() -> Outcome<()> {
    let mut lines: Vec<String> = std::env::vars().map(|(key, value)| format!("{key}={value}\n")).collect();
    lines.sort();
    std::io::stdout().write_all(lines.concat().as_bytes())?;
    Ok(())
}

fn flood(rest: &str) -> Outcome<()> {
    let (length, seed) = rest.split_once(' ').ok_or("flood takes a length and a seed")?;
    std::io::stdout().write_all(&fusion_tests::stream(seed.parse()?, length.parse()?))?;
    Ok(())
}

/// Each line is one write, so that the order in which they were written can be seen in the order read.
fn count(last: u32) -> Outcome<()> {
    for number in 1..=last {
        let line = format!("{number}\n");
        if number % 2 == 1 {
            std::io::stdout().write_all(line.as_bytes())?;
        } else {
            std::io::stderr().write_all(line.as_bytes())?;
        }
    }
    Ok(())
}

fn hear() -> Outcome<()> {
    let mut line = String::new();
    let said = match std::io::stdin().read_line(&mut line)? {
        0 => "silence".to_owned(),
        _ => format!("heard: {}", line.trim_end_matches('\n')),
    };
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}

fn copy(bytes: u64) -> Outcome<()> {
    let copied = std::io::copy(&mut std::io::stdin().lock().take(bytes), &mut std::io::stdout().lock())?;
    std::io::stdout().flush()?;
    if copied == bytes { Ok(()) } else { Err(format!("{copied} of {bytes} bytes came").into()) }
}

fn ring(rest: &str) -> Outcome<()> {
    let own = std::process::id().to_string();
    let (path, text) = rest.split_once(' ').unwrap_or((rest, &own));
    OpenOptions::new().append(true).open(path)?.write_all(format!("{text}\n").as_bytes())?;
    Ok(())
}

/// Waiting without a clock tick: poll(2) on nothing.
fn nap(milliseconds: Option<u64>) -> Outcome<()> {
    let time = milliseconds.map(|ms| Timespec::try_from(Duration::from_millis(ms))).transpose()?;
    poll(&mut [], time.as_ref())?;
    Ok(())
}

/// Processor time, not time on the wall: a busy machine makes it longer, not less.
fn spin(time: Duration) {
    let used = || clock_gettime(ClockId::ProcessCPUTime);
    let end = used() + time.try_into().expect("a step takes less than a century");
    while used() < end {
        std::hint::spin_loop();
    }
}

fn allocate(mebibytes: usize) -> Outcome<()> {
    let mut blocks = Vec::new();
    for _ in 0..mebibytes {
        blocks.push(vec![1_u8; 1 << 20]);
    }
    let sum: u64 = blocks.iter().map(|block| u64::from(block[block.len() / 2])).sum();
    writeln!(std::io::stdout(), "{sum} MiB")?;
    Ok(())
}

/// A disposition survives execve(2), and the shell can set it without unsafe code.
fn ignore_term(rest: &[String]) -> Outcome<u8> {
    let own = std::env::current_exe()?;
    let error =
        Command::new("/bin/sh").args(["-c", "trap '' TERM; exec \"$0\" \"$@\""]).arg(own).args(rest).exec();
    Err(error.into())
}

fn grandchild(fifo: &str) -> Outcome<()> {
    let own = std::env::current_exe()?;
    let status = Command::new(own).arg(format!("leave {fifo}")).stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err("the child in between failed".into()) }
}

/// Leaves the session and ends, so that what it started is nobody's child; that one ignores SIGTERM too.
fn leave(fifo: &str) -> Outcome<()> {
    setsid()?;
    let own = std::env::current_exe()?;
    let child = Command::new(own).args(["ignore-term", &format!("ring {fifo}"), "stall"]).spawn()?;
    drop(child);
    Ok(())
}

fn signal_self(number: i32) -> Outcome<()> {
    let signal = Signal::from_named_raw(number).ok_or("no such signal")?;
    pidfd_send_signal(pidfd_open(getpid(), PidfdFlags::empty())?, signal)?;
    nap(Some(1000))
}

fn end(ledger: Option<&str>, code: u8) -> Outcome<()> {
    std::io::stdout().flush()?;
    ledger.map_or(Ok(()), |path| note(path, "END", &code.to_string()))
}

/// One write with O_APPEND: lines of several agents do not mix.
fn note(path: &str, verb: &str, value: &str) -> Outcome<()> {
    let [task, attempt] = ["FUSION_TASK_ID", "FUSION_ATTEMPT"].map(std::env::var);
    let line = format!("{verb} {} {} {value}\n", task?, attempt?);
    OpenOptions::new().append(true).open(path)?.write_all(line.as_bytes())?;
    Ok(())
}
