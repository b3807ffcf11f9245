//! Durations as people write them. Not for: which of them make sense where.

/// The longest that is taken: ten years.
pub const MILLIS_MAX: u64 = 315_360_000_000;

/// Milliseconds of `350ms`, `1.5s`, `10m`, `2h`, `7d`, `1h30m`; `None` for anything else or too much.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len());
        total += number
            * match &rest[..letters] {
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 60e3,
                "h" => 3600e3,
                "d" => 86_400e3,
                _ => return None,
            };
        rest = &rest[letters..];
    }
    let fits = !text.is_empty() && total <= MILLIS_MAX as f64;
    fits.then_some(total.round() as u64)
}

/// A duration in the largest units that make it whole, as [`parse`] reads it: `1h30m`.
#[must_use]
pub fn written(millis: u64) -> String {
    const UNITS: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut rest = millis;
    for (unit, size) in UNITS {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    text
}

/// Serde of a duration as text.
pub mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Reads it.
    ///
    /// # Errors
    /// When it is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| super::parse(&text).ok_or_else(|| D::Error::custom("not a duration"))).transpose()
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(millis: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match millis {
            Some(millis) => to.serialize_some(&super::written(*millis)),
            None => to.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MILLIS_MAX, parse, written};

    #[test]
    fn durations_are_read_and_everything_else_is_not() {
        assert_eq!([parse("350ms"), parse("1.5s"), parse("1h30m")], [Some(350), Some(1500), Some(5_400_000)]);
        assert_eq!([parse(""), parse("5"), parse("5 m"), parse("1x"), parse("40000d")], [None; 5]);
    }

    #[test]
    fn what_is_written_is_short_and_reads_back() {
        let short =
            [("20m", 1_200_000), ("1h30m", 5_400_000), ("1s500ms", 1500), ("0s", 0), ("90d", 7_776_000_000)];
        for (text, millis) in short {
            assert_eq!(written(millis), text);
        }
        let small = 0..5000_u64;
        let wide = (0..50_000_u64).map(|n| n * 6_307_199 % MILLIS_MAX);
        for millis in small.chain(wide).chain([MILLIS_MAX, MILLIS_MAX - 1]) {
            assert_eq!(parse(&written(millis)), Some(millis), "{millis}");
        }
    }
}
