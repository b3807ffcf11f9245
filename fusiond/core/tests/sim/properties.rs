//! Small laws of small values, with shrinking: ids, capabilities, clocks, durations.
//!
//! Not for: the state as a whole (`life`).

use fusion_core::task::{Clock, Timeouts};
use fusion_core::{AgentId, Capabilities, Millis, TaskId, Time};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[a-e]{1,2}", 0..8)
}

proptest! {
    #[test]
    fn an_id_reads_back_from_its_text_and_text_sorts_like_ids(one: u128, other: u128) {
        let (a, b) = (TaskId(one), TaskId(other));
        prop_assert_eq!(TaskId::parse(&a.to_string()), Some(a));
        prop_assert_eq!(AgentId::parse(&a.to_string()), None);
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }

    #[test]
    fn any_part_of_the_tail_and_any_beginning_name_an_id(value: u128, from in 10usize..26, len in 1usize..=16) {
        let id = AgentId(value);
        let text = id.to_string();
        let text = text.strip_prefix(AgentId::PREFIX).expect("every id has it");
        prop_assert!(id.matches(&text[from..(from + len).min(26)]));
        prop_assert!(id.matches(&text[..len]));
        let short = id.short();
        prop_assert!(id.matches(short.strip_prefix(AgentId::PREFIX).expect("the short form too")));
    }

    #[test]
    fn capabilities_are_sets(wanted in names(), offered in names()) {
        let (left, right): (BTreeSet<_>, BTreeSet<_>) = (wanted.iter().cloned().collect(), offered.iter().cloned().collect());
        let wanted: Capabilities = wanted.into_iter().collect();
        let offered: Capabilities = offered.into_iter().collect();
        prop_assert_eq!(wanted.within(&offered), left.is_subset(&right));
        prop_assert_eq!(wanted.missing_from(&offered).is_empty(), wanted.within(&offered));
        prop_assert_eq!(wanted.len(), left.len());
    }

    #[test]
    fn only_time_that_is_not_frozen_counts(run in 1u64..100_000, spans in proptest::collection::vec((0u64..1000, 0u64..10_000), 0..10)) {
        let timeouts = Timeouts { run: Some(Millis(run)), idle: None, queue: None };
        let mut now = Time(5_000);
        let mut clock = Clock::start(timeouts, now);
        let mut ran = 0;
        for (running, frozen) in spans {
            now = now.plus(Millis(running));
            ran += running;
            if ran > run {
                return Ok(());
            }
            clock = clock.stand(now);
            prop_assert_eq!(clock.due(), None);
            now = now.plus(Millis(frozen));
            clock = clock.tick(now);
        }
        prop_assert_eq!(clock.due(), Some(now.plus(Millis(run - ran))));
    }

    #[test]
    fn a_shown_duration_is_never_empty_and_never_longer_than_it_is(value in 0u64..10_000_000_000) {
        let text = Millis(value).to_string();
        let (mut rest, mut shown) = (text.as_str(), 0.0);
        while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic()) {
            let (number, units) = rest.split_at(at);
            let (unit, tail) = units.split_at(units.find(|c: char| c.is_ascii_digit()).unwrap_or(units.len()));
            let factor = match unit { "ms" => 1.0, "s" => 1e3, "m" => 6e4, "h" => 3.6e6, "d" => 8.64e7, _ => 0.0 };
            shown += number.parse::<f64>().expect("a number") * factor;
            rest = tail;
        }
        prop_assert!(!text.is_empty() && rest.is_empty());
        prop_assert!(shown <= value as f64 + 0.5 && shown + 1000.0 > value as f64);
    }
}
