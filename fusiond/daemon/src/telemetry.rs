//! The daemon's own log: level, form, and what may be in it.
//!
//! Lines name things by id, number and length. Prompts, results, output, and values of the environment are never
//! logged, at any level; libraries, which do not know this rule, are heard from `warn` on. Not here: logs of agents.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{Log, LogFormat, LogLevel};

/// The log is set up already.
#[derive(Debug, thiserror::Error)]
#[error("the log of this process is set up already")]
pub struct AlreadySet;

/// Sends what this process has to say to standard error from now on.
///
/// # Errors
/// [`AlreadySet`] the second time.
pub fn init(log: Log) -> Result<(), AlreadySet> {
    let format = match log.format {
        LogFormat::Auto if is_journal(io::stderr()) => LogFormat::Journald,
        LogFormat::Auto => LogFormat::Text,
        format @ (LogFormat::Text | LogFormat::Json | LogFormat::Journald) => format,
    };
    let colours = match format {
        LogFormat::Text if rustix::termios::isatty(io::stderr()) => Colours::On,
        LogFormat::Auto | LogFormat::Text | LogFormat::Json | LogFormat::Journald => Colours::Off,
    };
    let (filter, handle) = reload::Layer::new(filter(log.level));
    let subscriber = match (format, journal()) {
        (LogFormat::Journald, Ok(journal)) => {
            Box::new(tracing_subscriber::registry().with(filter).with(journal))
        }
        (format, _) => subscriber(format, filter, colours, io::stderr),
    };
    tracing::subscriber::set_global_default(subscriber).map_err(|_| AlreadySet)?;
    LEVEL.set(handle).map_err(|_| AlreadySet)
}

/// Entries of the journal. Fields are named `FUSION_…`; priorities are those of the lines, see [`priority`].
fn journal() -> io::Result<tracing_journald::Layer> {
    let priorities = tracing_journald::PriorityMappings {
        error: tracing_journald::Priority::Error,
        warn: tracing_journald::Priority::Warning,
        info: tracing_journald::Priority::Informational,
        debug: tracing_journald::Priority::Debug,
        trace: tracing_journald::Priority::Debug,
    };
    let layer = tracing_journald::layer()?.with_field_prefix(Some("FUSION".to_owned()));
    Ok(layer.with_priority_mappings(priorities).with_syslog_identifier("fusiond".to_owned()))
}

/// Whether what is written there goes to the journal: systemd names its device and file number (systemd.exec(5)).
pub fn is_journal(out: impl std::os::fd::AsFd) -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(out).is_ok_and(|seen| stream == format!("{}:{}", seen.st_dev, seen.st_ino))
}

/// The door to the level of the log that was set up.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Another level from now on; nothing where no log was set up.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // It fails when the log is gone, and then there is nothing to set.
        drop(handle.reload(filter(level)));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    On,
    Off,
}

fn subscriber<F, W>(
    format: LogFormat,
    filter: F,
    colours: Colours,
    out: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    F: Layer<Registry> + Send + Sync + 'static,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let heard = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(out).with_ansi(colours == Colours::On);
    match format {
        LogFormat::Auto | LogFormat::Text => Box::new(heard.with(lines)),
        LogFormat::Json => Box::new(heard.with(lines.json().flatten_event(true))),
        LogFormat::Journald => {
            Box::new(heard.with(lines.event_format(Prioritised(Format::default().without_time()))))
        }
    }
}

fn filter(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let own_crates = ["fusiond", "fusion_core", "fusion_sys", "fusion_shim"];
    Targets::new().with_default(own.min(LevelFilter::WARN)).with_targets(own_crates.map(|name| (name, own)))
}

/// Lines as sd-daemon(3) has them: each begins with its priority. The time is journald's.
struct Prioritised<T>(Format<tracing_subscriber::fmt::format::Full, T>);

impl<S, N, T> FormatEvent<S, N> for Prioritised<T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    T: tracing_subscriber::fmt::time::FormatTime,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(ctx, Writer::new(&mut text), event)?;
        let priority = priority(*event.metadata().level());
        text.trim_end().lines().try_for_each(|line| writeln!(out, "<{priority}>{}", line.trim_start()))
    }
}

/// The numbers of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Says on standard error what went wrong, where there is no log yet or no more.
pub fn say(text: &str) {
    let priority = is_journal(io::stderr()).then(|| priority(Level::ERROR));
    // Without standard error nobody listens.
    let _closed = io::stderr().write_all(lines(priority, text).as_bytes());
}

/// As sd-daemon(3) has them, where they have a priority.
fn lines(priority: Option<u8>, text: &str) -> String {
    let mark = priority.map_or_else(String::new, |priority| format!("<{priority}>"));
    text.lines().map(|line| format!("{mark}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(level: LogLevel, format: LogFormat) -> String {
        let sink = Sink::default();
        let out = sink.clone();
        let log = subscriber(format, filter(level), Colours::Off, move || out.clone());
        tracing::subscriber::with_default(log, || {
            tracing::error!(target: "fusiond::engine", "two\nlines");
            tracing::info!(target: "fusiond::engine", agents = 3, "ready");
            tracing::debug!(target: "fusiond::engine", "detail");
            tracing::info!(target: "h2::codec", "a library's frame");
            tracing::warn!(target: "h2::codec", "a library's trouble");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn levels_hold_for_own_code_and_libraries_only_warn() {
        let text = said(LogLevel::Trace, LogFormat::Text);
        assert!(text.contains("ready agents=3") && text.contains("detail"), "{text}");
        assert!(text.contains("a library's trouble") && !text.contains("a library's frame"), "{text}");
        let text = said(LogLevel::Error, LogFormat::Text);
        assert!(!text.contains("ready") && !text.contains("a library's trouble"), "{text}");
    }

    #[test]
    fn every_line_for_journald_has_its_priority() {
        let text = said(LogLevel::Info, LogFormat::Journald);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].starts_with("<3>ERROR fusiond::engine: two"), "{text}");
        assert!(lines[1].starts_with("<3>"), "{text}");
        assert_eq!(lines[2], "<6>INFO fusiond::engine: ready agents=3");
    }

    #[test]
    fn json_is_one_object_a_line() {
        for line in said(LogLevel::Info, LogFormat::Json).lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["level"].is_string() && value["timestamp"].is_string(), "{line}");
        }
    }
}
