//! One number out of a JSON text, by its path: whatever else there is, is passed over and not kept.
//!
//! A program may write any JSON; a value of it in memory would be many times as large as its text. Not here: where the
//! text comes from, nor adding up (`figure`).

use std::collections::VecDeque;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::result::Step;

/// The number at the end of these steps, which may stand as a text; `None`: there is none, or the text is not one JSON
/// value. A text may stand for more than a number can be: that is without end, not nothing.
pub(super) fn number(steps: &[Step], text: &[u8]) -> Option<f64> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let found = Seek(steps).deserialize(&mut json).ok()?;
    json.end().ok()?;
    found.filter(|number| *number >= 0.0)
}

/// What is left of the way.
#[derive(Clone, Copy)]
struct Seek<'p>(&'p [Step]);

impl Seek<'_> {
    /// A number here, where the way is over.
    fn here(self, number: Option<f64>) -> Option<f64> {
        number.filter(|_| self.0.is_empty())
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<f64>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Option<f64>, E> {
        Ok(self.here(Some(number as f64)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Option<f64>, E> {
        Ok(self.here(Some(number as f64)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Option<f64>, E> {
        Ok(self.here(Some(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<f64>, E> {
        Ok(self.here(text.trim().parse().ok()))
    }

    fn visit_bool<E>(self, _is: bool) -> Result<Option<f64>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<f64>, E> {
        Ok(None)
    }

    /// Of a name that stands twice, the last counts.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<f64>, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            match self.0.split_first() {
                Some((Step::Key(key), rest)) if *key == name => found = map.next_value_seed(Seek(rest))?,
                Some(_) | None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<f64>, A::Error> {
        let Some((Step::Index(index), rest)) = self.0.split_first() else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        let Ok(back) = usize::try_from(index.unsigned_abs()) else { return Ok(None) };
        if *index < 0 {
            return from_end(list, back, Seek(rest));
        }
        let mut found = None;
        for _before in 0..back {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        if let Some(number) = list.next_element_seed(Seek(rest))? {
            found = number;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

/// Where the end is, is known there alone: the numbers of the last elements are kept.
fn from_end<'de, A: SeqAccess<'de>>(
    mut list: A,
    back: usize,
    seek: Seek<'_>,
) -> Result<Option<f64>, A::Error> {
    let mut last = VecDeque::new();
    while let Some(number) = list.next_element_seed(seek)? {
        last.push_back(number);
        if last.len() > back {
            last.pop_front();
        }
    }
    Ok(if last.len() == back { last.pop_front().flatten() } else { None })
}

#[cfg(test)]
mod tests {
    use super::super::result::Path;
    use super::*;

    fn found(path: &str, text: &str) -> Option<f64> {
        number(Path::parse(path).unwrap().steps(), text.as_bytes())
    }

    #[test]
    fn a_number_is_found_by_its_path_alone() {
        let text =
            r#" {"a": [{"n": 1}, {"n": "2.5"}, 7, [null, true]], "b": {"a": 3}, "n": -4, "a b": 1e2} "#;
        for (path, number) in [
            (".a[0].n", Some(1.0)),
            (".a[1].n", Some(2.5)),
            (".a[2]", Some(7.0)),
            (".a[-2]", Some(7.0)),
            (".a[-4].n", Some(1.0)),
            (".a[-5]", None),
            (".a[9]", None),
            (".a[3][1]", None),
            (".a", None),
            (".b.a", Some(3.0)),
            (".b.a.n", None),
            (".n", None),
            (".[\"a b\"]", Some(100.0)),
            (".none", None),
        ] {
            assert_eq!(found(path, text), number, "{path}");
        }
        assert_eq!(found(".", "7"), Some(7.0));
    }

    /// As a value in memory would have it.
    #[test]
    fn what_is_not_one_value_says_nothing_and_of_a_name_twice_the_last_counts() {
        for text in ["{\"a\": 1", "{\"a\": 1}}", "{\"a\": 1} {\"a\": 2}", "{\"a\": 1, \"b\": [}", "", "no"] {
            assert_eq!(found(".a", text), None, "{text}");
        }
        assert_eq!(found(".a", "{\"a\": 1, \"a\": 2}"), Some(2.0));
        assert_eq!(found(".a", "{\"a\": 1, \"a\": {}}"), None);
    }

    #[test]
    fn more_than_a_number_can_be_is_no_silence() {
        assert_eq!(found(".a", "{\"a\": \"1e999\"}"), Some(f64::INFINITY));
        assert_eq!(found(".a", "{\"a\": \"nan\"}"), None);
        assert_eq!(found(".a", "{\"a\": 123456789012345678901234567890}"), Some(1.234_567_890_123_456_8e29));
    }
}
