//! The reference of all events, written from the core's own list and the view that shows them; a test holds
//! `docs/reference/events.md` fresh. `cargo xtask docs` writes it anew.
//!
//! Nothing here lists the events: a stored event of only zeros is the first of its kind with empty fields, so
//! every kind is found by its number. Not here: what the events mean beyond the sentences in the core.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fusion_core::EventKind;
use serde_json::Value;

/// Where the sentences stand: one above each kind, in the order of their numbers.
const SOURCE: &str = include_str!("../../../../core/src/event.rs");

const HEAD: &str = "\
# Events

<!-- Written from the core by a test; after a change or a conflict: cargo xtask docs -->

Every change is told by an event, written to disk together with it. `fusionctl event list` reads them, `fusionctl event
tail` follows them without a gap, also over a restart of the daemon.

```json
{\"seq\": 41, \"time\": \"2030-01-31T08:00:00.000Z\", \"type\": \"task.succeeded\", \"actor\": \"user:1000\", \"subject\": \"tsk_…\", \"data\": {}}
```

`seq` counts from 1 without gaps; who may not see an event sees its number left out. `actor` is `user:UID`, `agent:ID`
or `fusiond`. `subject` is the full id of the task or agent, or a word for other things. Fields of `data`
that do not apply are left out.

| type | subject | when | data |
| --- | --- | --- | --- |
";

fn reference() -> String {
    let sentences = sentences();
    let mut out = String::from(HEAD);
    for (number, sentence) in sentences.iter().enumerate() {
        let samples = samples(u8::try_from(number).expect("fewer than 128 kinds"));
        let first = samples.first().unwrap_or_else(|| panic!("event {number} ({sentence}) has no sample"));
        let mut fields = BTreeMap::new();
        for sample in &samples {
            for (name, value) in crate::engine::particulars::of(sample) {
                fields.entry(name).or_insert_with(|| type_name(&value));
            }
        }
        let fields: Vec<String> = fields.iter().map(|(name, kind)| format!("`{name}` {kind}")).collect();
        let data = if fields.is_empty() { "–".to_owned() } else { fields.join(", ") };
        writeln!(out, "| `{}` | {} | {sentence} | {data} |", first.word(), subject(first))
            .expect("a String takes all");
    }
    out
}

/// Events of one kind with fields of only zeros, ones …, and of zeros with one other byte: what of that makes
/// sense. So every shape of every field is met.
fn samples(number: u8) -> Vec<EventKind> {
    const LENGTH: usize = 96;
    let filled = (0..4_u8).map(|fill| vec![fill; LENGTH]);
    let pricked = (0..LENGTH).flat_map(|at| (1..4_u8).map(move |byte| (at, byte))).map(|(at, byte)| {
        let mut bytes = vec![0; LENGTH];
        bytes[at] = byte;
        bytes
    });
    let read = |fields: Vec<u8>| postcard::from_bytes(&[vec![number], fields].concat()).ok();
    filled.chain(pricked).filter_map(read).collect()
}

fn subject(kind: &EventKind) -> String {
    let text = kind.subject().to_string();
    match text.split_once('_') {
        Some(("agt", _)) => "agent".to_owned(),
        Some(("tsk", _)) => "task".to_owned(),
        Some(("sec", _)) => "secret".to_owned(),
        Some(("run", _)) => "run".to_owned(),
        Some(("wfl", _)) => "workflow".to_owned(),
        Some(_) | None if text.starts_with("user:") => "`user:UID`".to_owned(),
        Some(_) | None => format!("`{text}`"),
    }
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// The doc comment of each kind, in order.
fn sentences() -> Vec<String> {
    let (_, body) = SOURCE.split_once("pub enum EventKind {").expect("the core has the kinds of events");
    let (body, _) = body.split_once("\n}").expect("the list of kinds ends");
    let mut found = Vec::new();
    let mut words = Vec::new();
    for line in body.lines().map(str::trim) {
        match line.strip_prefix("///") {
            Some(text) => words.push(text.trim()),
            None if line.starts_with(|c: char| c.is_ascii_uppercase()) && !words.is_empty() => {
                found.push(words.join(" ").replace('|', "\\|").replace('`', ""));
                words.clear();
            }
            None => {}
        }
    }
    found
}

#[test]
fn the_reference_of_events_is_fresh() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/events.md");
    let fresh = reference();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &fresh).expect("the reference can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == fresh, "docs/reference/events.md differs from the core: run cargo xtask docs");
}

#[test]
fn every_kind_of_event_is_in_the_reference() {
    let kinds = sentences().len();
    let unknown = u8::try_from(kinds).expect("fewer than 128 kinds");
    assert!(samples(unknown).is_empty(), "a kind without a sentence stands behind the last one");
    assert!(kinds > 30);
}

#[test]
fn definitions_may_wait_for_every_kind_of_event() {
    let kinds = 0..u8::try_from(sentences().len()).expect("fewer than 128 kinds");
    let mut words: Vec<&str> = kinds.filter_map(|kind| samples(kind).first().map(EventKind::word)).collect();
    words.sort_unstable();
    assert_eq!(words, fusion_workflow::events::WORDS);
}
