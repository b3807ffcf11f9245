//! Amounts as people write them: durations, sizes, CPUs, instants, `KEY=VALUE`.
//!
//! For: reading arguments and task files, and writing the same back. Not for: validation of ranges that
//! only the daemon knows.

use std::time::Duration;

use jiff::Timestamp;

const UNITS: [(&str, f64); 6] =
    [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0), ("w", 604_800.0)];

/// The longest duration that is taken, in seconds: a hundred years. Sums with the present time stay
/// within what a timestamp holds.
const DURATION_SECONDS_MAX: f64 = 3_155_760_000.0;

/// Reads `500ms`, `1.5s`, `10m`, `2h`, `1d`, `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write one such as 500ms, 1.5s, 10m, 2h, 1d or 1h30m");
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(wrong)?;
        seconds += number * unit;
        rest = &rest[letters..];
    }
    if text.is_empty() {
        return Err(wrong());
    }
    if seconds > DURATION_SECONDS_MAX {
        return Err(format!("{text:?} is longer than a hundred years"));
    }
    // Rounded to microseconds, so that 1.1s is not 1.100000024s.
    Ok(Duration::from_micros((seconds * 1e6).round() as u64))
}

/// Writes a duration as [`parse_duration`] reads it: `10m`, `1.5s`, `1h30m`, `250ms`.
pub(crate) fn format_duration(duration: Duration) -> String {
    let whole = duration.as_secs();
    let nanos = duration.subsec_nanos();
    if whole == 0 && nanos > 0 && nanos.is_multiple_of(1_000_000) {
        return format!("{}ms", nanos / 1_000_000);
    }
    let mut text = String::new();
    for (amount, unit) in [(whole / 3600, "h"), (whole / 60 % 60, "m")] {
        if amount > 0 {
            text.push_str(&format!("{amount}{unit}"));
        }
    }
    let seconds = whole % 60;
    if nanos > 0 {
        let fraction = format!("{nanos:09}");
        text.push_str(&format!("{seconds}.{}s", fraction.trim_end_matches('0')));
    } else if seconds > 0 || text.is_empty() {
        text.push_str(&format!("{seconds}s"));
    }
    text
}

/// Reads bytes: `512`, `2K`, `2M`, `1.5G`, `1GiB`; every unit is a power of 1024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write one such as 512, 64K, 512M, 2G or 1GiB");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let power = match text[digits..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(wrong()),
    };
    let bytes = number * 1024f64.powi(power);
    // Exact up to here; more memory than that no machine has.
    if bytes > 9_007_199_254_740_992.0 {
        return Err(format!("{text:?} is more than 8 PiB"));
    }
    Ok(bytes.round() as u64)
}

/// Reads bytes a second: a size, with or without `/s`.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    let wrong = |_| format!("{text:?} is not a rate; write one such as 512K, 50M or 50M/s");
    parse_size(text.strip_suffix("/s").unwrap_or(text)).map_err(wrong)
}

/// Writes bytes for people: `512 B`, `1.5 MiB`.
pub(crate) fn format_size(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}

/// Reads CPUs, `1.5` or `2`, as thousandths.
pub(crate) fn parse_cpu(text: &str) -> Result<u32, String> {
    let cpus: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of CPUs such as 1.5"))?;
    let millis = (cpus * 1000.0).round();
    if !(1.0..=1_000_000.0).contains(&millis) {
        return Err(format!("{text:?} is not between 0.001 and 1000 CPUs"));
    }
    Ok(millis as u32)
}

/// Reads an instant: RFC 3339, or a duration from `now`.
pub(crate) fn parse_instant(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wrong = || {
        format!(
            "{text:?} is not a time; write RFC 3339 such as 2030-01-31T08:00:00Z, or a duration from now such as 10m"
        )
    };
    let ahead = parse_duration(text).map_err(|_| wrong())?;
    now.checked_add(ahead).map_err(|_| wrong())
}

/// Reads an instant: RFC 3339, or a duration before `now`.
pub(crate) fn parse_past(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wrong = || {
        format!(
            "{text:?} is not a time; write RFC 3339 such as 2030-01-31T08:00:00Z, or how long ago such as 1h"
        )
    };
    let ago = parse_duration(text).map_err(|_| wrong())?;
    now.checked_sub(ago).map_err(|_| wrong())
}

/// Reads `KEY=VALUE`; the value may be empty and may hold `=`.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("{text:?} is not of the form KEY=VALUE")),
    }
}

/// How long ago, in one unit: `3s`, `5m`, `2h`, `4d`. What lies ahead is `0s`.
pub(crate) fn format_age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(at.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let millis = |text| parse_duration(text).unwrap().as_millis();
        assert_eq!(millis("500ms"), 500);
        assert_eq!(millis("1.5s"), 1500);
        assert_eq!(millis("10m"), 600_000);
        assert_eq!(millis("2h"), 7_200_000);
        assert_eq!(millis("1d"), 86_400_000);
        assert_eq!(millis("1h30m"), 5_400_000);
        assert_eq!(millis("0s"), 0);
        assert_eq!(parse_duration("1.1s").unwrap(), Duration::from_millis(1100));
        for wrong in ["", "10", "m", "-1s", "1y", "1.2.3s", "10 m", "1s ", "1h30", "∞", "1000000000d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        let pairs = [(0, "0s"), (250, "250ms"), (1500, "1.5s"), (600_000, "10m"), (90_000, "1m30s")];
        for (millis, text) in
            pairs.into_iter().chain([(5_400_000, "1h30m"), (86_400_000, "24h"), (3_600_500, "1h0.5s")])
        {
            let duration = Duration::from_millis(millis);
            assert_eq!(format_duration(duration), text);
            assert_eq!(parse_duration(text).unwrap(), duration);
        }
        assert_eq!(format_duration(Duration::from_micros(1500)), "0.0015s");
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("512", 512),
            ("2K", 2048),
            ("2M", 2 << 20),
            ("2G", 2 << 30),
            ("1GiB", 1 << 30),
            ("1.5g", 3 << 29),
            ("1kb", 1024),
            ("0", 0),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "G", "-1", "1X", "1 G", "1e3", "99999999T"] {
            assert!(parse_size(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(format_size(512), "512 B");
        assert_eq!(format_size(3 << 19), "1.5 MiB");
    }

    #[test]
    fn cpus_are_thousandths() {
        assert_eq!(parse_cpu("1.5"), Ok(1500));
        assert_eq!(parse_cpu("0.25"), Ok(250));
        assert!(parse_cpu("0").is_err() && parse_cpu("two").is_err() && parse_cpu("NaN").is_err());
    }

    #[test]
    fn an_instant_is_a_date_or_a_duration_from_now() {
        let now: Timestamp = "2030-01-31T08:00:00Z".parse().unwrap();
        assert_eq!(parse_instant("10m", now).unwrap().to_string(), "2030-01-31T08:10:00Z");
        assert_eq!(
            parse_instant("2031-01-01T00:00:00+01:00", now).unwrap().to_string(),
            "2030-12-31T23:00:00Z"
        );
        assert!(parse_instant("tomorrow", now).unwrap_err().contains("RFC 3339"));
    }

    #[test]
    fn a_past_instant_is_a_date_or_how_long_ago() {
        let now: Timestamp = "2030-01-31T08:00:00Z".parse().unwrap();
        assert_eq!(parse_past("1h", now).unwrap().to_string(), "2030-01-31T07:00:00Z");
        assert_eq!(parse_past("2029-01-01T00:00:00Z", now).unwrap().to_string(), "2029-01-01T00:00:00Z");
        assert!(parse_past("yesterday", now).unwrap_err().contains("how long ago"));
    }

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        assert_eq!(parse_pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(parse_pair("a").is_err() && parse_pair("=b").is_err());
    }

    #[test]
    fn ages_have_one_unit() {
        let now: Timestamp = "2030-01-31T08:00:00Z".parse().unwrap();
        let age = |ago: &str| format_age(now - parse_duration(ago).unwrap(), now);
        assert_eq!((age("3s"), age("3m"), age("2h"), age("30h"), age("3d")).4, "3d");
        assert_eq!([age("119s"), age("3m30s"), age("2h30m"), age("47h")], ["119s", "3m", "2h", "47h"]);
    }
}
