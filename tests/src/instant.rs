//! Instants as the API writes them: RFC 3339 in UTC. Not here: time zones, which it never writes.

use std::time::Duration;

/// Time since 1970 of an instant such as `2030-03-17T17:46:40.25Z`.
///
/// # Panics
///
/// When `text` is not of that form.
#[must_use]
#[track_caller]
pub fn instant(text: &str) -> Duration {
    parse(text).unwrap_or_else(|| panic!("{text:?} is not an instant in UTC"))
}

fn parse(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let date: Vec<u64> = date.split('-').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [year, month, day] = date.as_slice() else { return None };
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let time: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = time.as_slice() else { return None };
    let seconds = days(*year, *month, *day) * 86_400 + hour * 3600 + minute * 60 + second;
    let nanos: u32 = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(seconds, nanos))
}

/// Days since 1970-01-01 in the Gregorian calendar; years begin in March, so that the leap day is the last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_to_the_nanosecond() {
        assert_eq!(instant("1970-01-01T00:00:00Z"), Duration::ZERO);
        assert_eq!(instant("2030-03-17T17:46:40.25Z"), Duration::from_millis(1_900_000_000_250));
        assert_eq!(instant("2024-02-29T00:00:00Z").as_secs(), 1_709_164_800);
        assert_eq!(parse("2030-03-17 17:46:40"), None);
    }
}
