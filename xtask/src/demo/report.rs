//! The table of the demo: tasks, attempts, exits, and where the time went. Not here: what ought to be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use fusion_tests::{Ctl, instant};
use serde_json::Value;

use crate::shell::say;

/// Prints a line for each task, and the sums.
pub(crate) fn print(ctl: &Ctl, tasks: &[Value]) {
    let names = agent_names(ctl);
    let mut text = format!(
        "\n{:<14} {:>3} {:<9} {:<8} {:<22} {:>8} {:>8} {:>8}\n",
        "TASK", "PRI", "STATE", "AGENT", "ATTEMPTS", "QUEUE", "START", "RUN"
    );
    let mut sums = Times::default();
    for task in tasks {
        let times = times_of(task);
        sums.add(&times);
        let key = task["key"].as_str().unwrap_or("-");
        let agent = newest(task).and_then(|attempt| attempt["agent"].as_str());
        let agent = agent.and_then(|id| names.get(id)).map_or("-", String::as_str);
        let line = writeln!(
            text,
            "{key:<14} {:>3} {:<9} {agent:<8} {:<22} {} {} {}",
            task["priority"].as_u64().unwrap_or_default(),
            task["state"].as_str().unwrap_or("-"),
            attempts(task),
            seconds(times.queue),
            seconds(times.start),
            seconds(times.run)
        );
        line.expect("a string can be written to");
    }
    let line =
        writeln!(text, "{:<60} {} {} {}", "sum", seconds(sums.queue), seconds(sums.start), seconds(sums.run));
    line.expect("a string can be written to");
    text.push_str("QUEUE: accepted to leased; START: leased to running; RUN: all attempts. Seconds.\n");
    say(&text);
}

/// Where the time of a task went.
#[derive(Debug, Default)]
struct Times {
    queue: Duration,
    start: Duration,
    run: Duration,
}

impl Times {
    fn add(&mut self, other: &Self) {
        self.queue += other.queue;
        self.start += other.start;
        self.run += other.run;
    }
}

fn times_of(task: &Value) -> Times {
    let mut times = Times::default();
    let mut waiting_since = at(&task["createTime"]);
    for attempt in task["attempts"].as_array().into_iter().flatten() {
        let [dispatched, started, ended] =
            ["dispatchTime", "startTime", "endTime"].map(|name| at(&attempt[name]));
        times.queue += between(waiting_since, dispatched);
        times.start += between(dispatched, started);
        times.run += between(started, ended);
        waiting_since = ended;
    }
    times
}

fn at(value: &Value) -> Option<Duration> {
    value.as_str().map(instant)
}

fn between(begin: Option<Duration>, end: Option<Duration>) -> Duration {
    begin.zip(end).map(|(begin, end)| end.saturating_sub(begin)).unwrap_or_default()
}

/// How each attempt ended, such as `lost, exit 0`.
fn attempts(task: &Value) -> String {
    let words: Vec<String> = task["attempts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|attempt| match (attempt["exitCode"].as_i64(), attempt["signal"].as_i64()) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => attempt["state"].as_str().unwrap_or("?").to_owned(),
        })
        .collect();
    if words.is_empty() {
        task["failure"]["code"].as_str().unwrap_or("-").to_owned()
    } else {
        words.join(", ")
    }
}

fn newest(task: &Value) -> Option<&Value> {
    task["attempts"].as_array().and_then(|attempts| attempts.last())
}

fn agent_names(ctl: &Ctl) -> BTreeMap<String, String> {
    let agents = ctl.json(&["agent", "list", "--all"]);
    let pair = |agent: &Value| Some((agent["id"].as_str()?.to_owned(), agent["name"].as_str()?.to_owned()));
    agents.as_array().into_iter().flatten().filter_map(pair).collect()
}

fn seconds(time: Duration) -> String {
    format!("{:>8.3}", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_apart_into_queue_start_and_run() {
        let task = serde_json::json!({"createTime": "2030-01-01T00:00:00Z", "attempts": [
            {"dispatchTime": "2030-01-01T00:00:01Z", "startTime": "2030-01-01T00:00:01.5Z", "endTime": "2030-01-01T00:00:04Z",
             "exitCode": 1},
            {"dispatchTime": "2030-01-01T00:00:05Z", "startTime": "2030-01-01T00:00:05Z", "endTime": "2030-01-01T00:00:06Z",
             "signal": 9}]});
        let times = times_of(&task);
        assert_eq!([times.queue, times.start, times.run].map(|time| time.as_millis()), [2000, 500, 3500]);
        assert_eq!(attempts(&task), "exit 1, signal 9");
    }
}
