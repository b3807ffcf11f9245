//! The shim's words and the core's: one from the other. Not here: what they mean to either.

use fusion_core::agent::AgentLimits;
use fusion_core::task::{Exit, ExitKind, StopWhy};
use fusion_core::{Cost, Millis, Time};
use fusion_shim::wire;

/// What the core keeps of an exit record, with its serial.
pub(super) fn exit(record: wire::ExitRecord) -> (u32, Exit) {
    let exit = Exit {
        kind: exit_kind(record.kind),
        stop: record.stop.map(stop_why),
        oom_kills: record.oom_kills,
        started_at: Time(record.started_unix_ms),
        ended_at: Time(record.ended_unix_ms),
        cpu: Millis(record.cpu_ms),
        peak_memory_bytes: record.peak_memory_bytes,
        out_bytes: record.out_bytes,
        err_bytes: record.err_bytes,
        dropped_bytes: record.dropped_bytes,
        tail: String::from_utf8_lossy(&record.tail).into_owned(),
        cost: Cost::default(),
    };
    (record.serial, exit)
}

fn exit_kind(kind: wire::ExitKind) -> ExitKind {
    match kind {
        wire::ExitKind::Exited { code } => ExitKind::Exited { code },
        wire::ExitKind::Signaled { signal, core: _ } => ExitKind::Signaled { signal },
        wire::ExitKind::StartFailed { stage, errno, message } => {
            ExitKind::StartFailed { stage, errno, message }
        }
        wire::ExitKind::OutputInvalid { message } => ExitKind::OutputInvalid { message },
    }
}

/// Said of a shim of another version.
pub(super) fn stranger(protocol: u16) -> String {
    let own = wire::PROTOCOL;
    format!(
        "a living shim speaks protocol {protocol}, this daemon {own}: it goes on by itself until that version is back, \
         or somebody terminates the agent"
    )
}

/// The end of an attempt whose long prompt could not be laid for it: it never began.
pub(super) fn no_prompt(bytes: u32, error: &std::io::Error) -> Exit {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = Time(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let kind = if error.kind() == std::io::ErrorKind::ArgumentListTooLong {
        let message = format!("a prompt of {bytes} bytes cannot stand in the program's arguments");
        ExitKind::StartFailed { stage: "argv".to_owned(), errno: error.raw_os_error().unwrap_or(0), message }
    } else {
        let message = format!("the stored prompt of the task could not be read back: {error}");
        ExitKind::StartFailed { stage: "input".to_owned(), errno: 0, message }
    };
    Exit {
        kind,
        stop: None,
        oom_kills: 0,
        started_at: now,
        ended_at: now,
        cpu: Millis(0),
        peak_memory_bytes: 0,
        out_bytes: 0,
        err_bytes: 0,
        dropped_bytes: 0,
        tail: String::new(),
        cost: Cost::default(),
    }
}

fn stop_why(why: wire::StopWhy) -> StopWhy {
    match why {
        wire::StopWhy::Cancelled => StopWhy::Cancelled,
        wire::StopWhy::TimedOut => StopWhy::TimedOut,
        wire::StopWhy::IdleTimedOut => StopWhy::IdleTimedOut,
        wire::StopWhy::Restarted => StopWhy::Restarted,
        // To the task it is the same whether the agent or its shim was told to end.
        wire::StopWhy::Terminated | wire::StopWhy::Shutdown => StopWhy::Terminated,
    }
}

/// The shim's word for a reason.
pub(super) fn wire_stop_why(why: StopWhy) -> wire::StopWhy {
    match why {
        StopWhy::Cancelled => wire::StopWhy::Cancelled,
        StopWhy::TimedOut => wire::StopWhy::TimedOut,
        StopWhy::IdleTimedOut => wire::StopWhy::IdleTimedOut,
        StopWhy::Terminated => wire::StopWhy::Terminated,
        StopWhy::Restarted => wire::StopWhy::Restarted,
    }
}

/// Why a shim declined a start, for people.
pub(super) fn refusal(why: wire::StartRefusedWhy, highest: u32) -> String {
    match why {
        wire::StartRefusedWhy::SerialUsed => format!("the shim has started attempt {highest} already"),
        wire::StartRefusedWhy::Busy { serial } => format!("attempt {serial} still runs"),
        wire::StartRefusedWhy::ShuttingDown => "the agent is ending".to_owned(),
        wire::StartRefusedWhy::Frozen => "the agent is paused".to_owned(),
    }
}

/// The limits of a tree as the shim knows them.
pub(super) fn wire_limits(limits: &AgentLimits, disk: Option<wire::Disk>) -> wire::Limits {
    let AgentLimits { memory_bytes, cpu_millis, pids, io_read_bytes, io_write_bytes } = *limits;
    let io = disk.map(|disk| wire::Io { disk, read_bytes: io_read_bytes, write_bytes: io_write_bytes });
    wire::Limits { memory_bytes, cpu_millis, pids, io }
}

/// Why input was not taken, for people.
pub(super) const fn input_refusal(why: wire::InputRefusedWhy) -> &'static str {
    match why {
        wire::InputRefusedWhy::NotRunning => "it does not run any more",
        wire::InputRefusedWhy::Closed => "its standard input is closed",
        wire::InputRefusedWhy::Full => "too much of other writers waits for the program",
        wire::InputRefusedWhy::Gap { .. } => "a part of it is missing",
    }
}
