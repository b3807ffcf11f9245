//! Durations, sizes and permission bits as people write them. Not here: which range a setting takes.

use fusion_core::Millis;

/// Reads `350ms`, `1.5s`, `10m`, `2h`, `7d`, and sums such as `1h30m`. A bare `0` is zero.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Millis> {
    let text = text.trim();
    if text == "0" {
        return Some(Millis(0));
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(scaled(number, unit_ms)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(Millis(total))
}

/// A duration so that [`parse_duration`] reads the same back.
#[must_use]
pub fn duration_text(span: Millis) -> String {
    match span.0 {
        0 => "0s".into(),
        // The usual form drops what is below a second in long spans.
        ms if ms >= 60_000 && !ms.is_multiple_of(1000) => format!("{ms}ms"),
        _ => span.to_string(),
    }
}

/// Reads processors such as `1.5`, as thousandths.
#[must_use]
pub fn parse_cpus(text: &str) -> Option<u32> {
    let millis = u32::try_from(scaled(text.trim(), 1000)?).ok()?;
    (10..=1_000_000).contains(&millis).then_some(millis)
}

const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("B", 1),
];

/// Reads `64MiB`, `2G` (both powers of 1024), `512B`; a bare number counts bytes.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    for (unit, bytes) in SIZES {
        if let Some(number) = text.strip_suffix(unit) {
            return scaled(number.trim_end(), bytes);
        }
    }
    scaled(text, 1)
}

/// A size so that [`parse_bytes`] reads the same back.
#[must_use]
pub fn bytes_text(bytes: u64) -> String {
    let unit = SIZES[..4].iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// Reads permission bits: `0o700`, `0700`, `700`.
#[must_use]
pub fn parse_mode(text: &str) -> Option<u32> {
    let digits = text.trim().strip_prefix("0o").unwrap_or(text.trim());
    let valid = (3..=4).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    u32::from_str_radix(digits, 8).ok().filter(|mode| valid && *mode <= 0o7777)
}

/// `number` with at most one point, times `unit`; `None` if it is not a number, does not fit, or leaves a fraction of
/// the smallest unit.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let is_digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let divisor = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = fraction.parse::<u128>().ok()? * u128::from(unit);
    whole.checked_add(u64::try_from(part.is_multiple_of(divisor).then_some(part / divisor)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_written() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("350ms", 350),
            ("1.5s", 1500),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            (" 2h ", 7_200_000),
        ] {
            assert_eq!(parse_duration(text), Some(Millis(ms)), "{text}");
        }
        for text in ["", " ", "5", "s", "-1s", "1 s", "1e3s", "1.s", ".5s", "1.5ms", "1..5s", "10y", "1M"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration("99999999999999999999d"), None);
    }

    #[test]
    fn sizes_read_as_written() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("1K", 1024),
            ("64MiB", 64 << 20),
            ("1.5G", 3 << 29),
            ("2 GiB", 2 << 30),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "1MB", "-1", "1.5B", "1x", "20000000000GiB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for ms in [0, 1, 999, 1000, 1500, 59_999, 60_000, 61_001, 86_400_000, 90_000_000, 123_456_789] {
            assert_eq!(parse_duration(&duration_text(Millis(ms))), Some(Millis(ms)));
        }
        for bytes in [0, 1, 1023, 1024, 1536, 64 << 20, (1 << 40) + 1] {
            assert_eq!(parse_bytes(&bytes_text(bytes)), Some(bytes));
        }
    }

    #[test]
    fn modes_are_octal() {
        for (text, mode) in [("0o700", 0o700), ("0700", 0o700), ("700", 0o700), ("1777", 0o1777)] {
            assert_eq!(parse_mode(text), Some(mode), "{text}");
        }
        for text in ["", "7", "0o8", "rwx", "0x1ff", "77777", "-700"] {
            assert_eq!(parse_mode(text), None, "{text}");
        }
    }
}
