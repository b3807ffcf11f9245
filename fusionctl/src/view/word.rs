//! Enums, times and durations of the wire as words.
//!
//! For: both directions, so that a printed state can be given back as an argument. Not for: amounts
//! without a message of their own (`units`).

use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use fusion_proto::v1::{
    AgentState, AttemptState, NodeState, OnLost, QuestionKind, ReplyKind, RestartPolicy, RunState, TaskState,
    WorkspaceState,
};
use jiff::Timestamp;

use crate::table::Tone;
use crate::units::{format_age, format_duration};

/// How many characters of an id's tail tables show; the daemon finds a thing by any unique part of it.
const SHORT_CHARS: usize = 8;

/// An enum of the wire.
pub(crate) trait Word: TryFrom<i32> + Copy {
    /// What every name on the wire begins with, such as `TASK_STATE_`.
    const PREFIX: &'static str;
    /// The name on the wire.
    fn wire_name(self) -> &'static str;
    /// Reads the name on the wire.
    fn of_wire_name(name: &str) -> Option<Self>;
}

macro_rules! words {
    ($($name:ident: $prefix:literal,)*) => {
        $(impl Word for $name {
            const PREFIX: &'static str = $prefix;
            fn wire_name(self) -> &'static str {
                self.as_str_name()
            }
            fn of_wire_name(name: &str) -> Option<Self> {
                Self::from_str_name(name)
            }
        })*
    };
}

words! {
    AgentState: "AGENT_STATE_",
    AttemptState: "ATTEMPT_STATE_",
    NodeState: "NODE_STATE_",
    OnLost: "ON_LOST_",
    QuestionKind: "QUESTION_KIND_",
    ReplyKind: "REPLY_KIND_",
    RestartPolicy: "RESTART_POLICY_",
    RunState: "RUN_STATE_",
    TaskState: "TASK_STATE_",
    WorkspaceState: "WORKSPACE_STATE_",
}

/// The value as a lower-case word; empty when unset. A value newer than this program is its number.
pub(crate) fn word<T: Word>(value: i32) -> String {
    if value == 0 {
        return String::new();
    }
    match T::try_from(value) {
        Ok(known) => known.wire_name().trim_start_matches(T::PREFIX).to_ascii_lowercase(),
        Err(_) => value.to_string(),
    }
}

/// Reads a word as [`word`] writes it; `-` and `_` are the same.
pub(crate) fn parse_word<T: Word + Into<i32>>(text: &str) -> Result<T, String> {
    let name = format!("{}{}", T::PREFIX, text.replace('-', "_").to_ascii_uppercase());
    match T::of_wire_name(&name) {
        Some(value) if value.into() != 0 => Ok(value),
        Some(_) | None => {
            // The numbers of an enum are dense and few.
            let known: Vec<String> = (1..64).filter(|n| T::try_from(*n).is_ok()).map(word::<T>).collect();
            Err(format!("{text:?} is none of {}", known.join(", ")))
        }
    }
}

/// For an argument that takes such a word: the right ones are shown in its help and completed.
pub(crate) fn words<T: Word + Into<i32> + Send + Sync + 'static>() -> impl TypedValueParser<Value = T> {
    let known = (1..64).filter(|n| T::try_from(*n).is_ok()).map(word::<T>);
    let values = known.map(|word| PossibleValue::new(word.clone()).alias(word.replace('_', "-")));
    PossibleValuesParser::new(values)
        .map(|text| parse_word::<T>(&text).expect("every possible value is the word of a value"))
}

/// A time as RFC 3339 in UTC, to the millisecond so that texts sort as the times do; `None` when unset or out of range.
pub(crate) fn time(at: Option<prost_types::Timestamp>) -> Option<String> {
    instant(at).map(|at| format!("{at:.3}"))
}

/// A time as an instant.
pub(crate) fn instant(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.seconds, at.nanos).ok()
}

/// An instant for the wire.
pub(crate) fn wire_time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

/// A duration such as `"10m"`; `None` when unset or negative.
pub(crate) fn duration(value: Option<prost_types::Duration>) -> Option<String> {
    Duration::try_from(value?).ok().map(format_duration)
}

/// A duration for the wire.
pub(crate) fn wire_duration(value: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(value.as_secs()).expect("durations are at most a hundred years"),
        nanos: i32::try_from(value.subsec_nanos()).expect("less than a thousand million"),
    }
}

/// How long ago a printed time was, such as `3m`; empty when unset.
pub(crate) fn age(at: Option<&str>) -> String {
    let at: Option<Timestamp> = at.and_then(|text| text.parse().ok());
    at.map(|at| format_age(at, Timestamp::now())).unwrap_or_default()
}

/// A printed time with its age, such as `2030-01-31T08:00:00Z (3m ago)`.
pub(crate) fn with_age(at: Option<&str>) -> String {
    at.map(|text| format!("{text} ({} ago)", age(at))).unwrap_or_default()
}

/// An id as tables show it: the prefix and the last eight characters.
pub(crate) fn short_id(id: &str) -> String {
    match id.split_once('_') {
        Some((prefix, tail)) if tail.len() > SHORT_CHARS && tail.is_ascii() => {
            format!("{prefix}_{}", &tail[tail.len() - SHORT_CHARS..])
        }
        Some(_) | None => id.to_owned(),
    }
}

/// The tone of a state of an agent, an attempt or a task.
pub(crate) fn tone(state: &str) -> Tone {
    match state {
        "succeeded" | "idle" | "ok" | "exited" => Tone::Good,
        "busy" | "running" | "dispatched" | "starting" => Tone::Busy,
        "waiting" | "waiting_approval" | "waiting_input" | "paused" | "draining" | "backoff" | "lost"
        | "held" | "weak" => Tone::Wary,
        "failed" | "timed_out" | "quarantined" | "signaled" | "start_failed" => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// Whether a value stays out of JSON.
pub(crate) fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Whether a flag stays out of JSON.
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enums_are_lower_case_words_in_both_directions() {
        assert_eq!(word::<TaskState>(TaskState::WaitingApproval.into()), "waiting_approval");
        assert_eq!(word::<RestartPolicy>(RestartPolicy::OnFailure.into()), "on_failure");
        assert_eq!(word::<TaskState>(0), "");
        assert_eq!(word::<TaskState>(99), "99");
        assert_eq!(parse_word::<TaskState>("timed_out"), Ok(TaskState::TimedOut));
        assert_eq!(parse_word::<RestartPolicy>("on-failure"), Ok(RestartPolicy::OnFailure));
        assert_eq!(parse_word::<OnLost>("never").unwrap_err(), "\"never\" is none of review, retry, fail");
        assert!(parse_word::<TaskState>("unspecified").is_err());
    }

    #[test]
    fn short_ids_keep_the_end_of_the_tail() {
        assert_eq!(short_id("tsk_01jd0000000000000000abcdef"), "tsk_00abcdef");
        assert_eq!(short_id("builder"), "builder");
        assert_eq!(short_id("a_b"), "a_b");
    }

    #[test]
    fn times_are_rfc_3339_and_durations_short() {
        let at = prost_types::Timestamp { seconds: 1_900_000_000, nanos: 250_000_000 };
        assert_eq!(time(Some(at)).as_deref(), Some("2030-03-17T17:46:40.250Z"));
        assert_eq!(time(None), None);
        let half = wire_duration(Duration::from_millis(1500));
        assert_eq!(duration(Some(half)).as_deref(), Some("1.5s"));
    }
}
