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
            Some(millis) => to.serialize_some(&format!("{millis}ms")),
            None => to.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations_are_read_and_everything_else_is_not() {
        assert_eq!([parse("350ms"), parse("1.5s"), parse("1h30m")], [Some(350), Some(1500), Some(5_400_000)]);
        assert_eq!([parse(""), parse("5"), parse("5 m"), parse("1x"), parse("40000d")], [None; 5]);
    }
}
