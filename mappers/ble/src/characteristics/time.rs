//! Dates and times of day of the GATT Specification Supplement (Date Time, Day Date Time, Current Time), as texts in the
//! form of ISO 8601 without a time zone: the device's clock has none. A date that is not known, or is none, gives no text.

use crate::formats::measures::Measures;

use super::table::{ADJUST_REASON, CURRENT_TIME, DAY_OF_WEEK};

/// What a time is written like.
pub(super) const EXAMPLE: &str = "a time such as \"2026-11-24T12:30:05\"";

/// Year, month, day, hours, minutes, seconds.
pub(super) fn date_time([low, high, month, day, hour, minute, second]: [u8; 7]) -> Option<String> {
    let year = u16::from_le_bytes([low, high]);
    let whole = (1582..=9999).contains(&year) && is_date(year, month, day) && hour < 24 && minute < 60 && second < 60;
    whole.then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"))
}

/// The same, then the day of the week (Monday is 1), parts of a second, and why the clock was set.
pub(super) fn current_time(bytes: [u8; 10], out: &mut Measures) {
    let [time @ .., day, _fraction, reason] = bytes;
    out.add_some(CURRENT_TIME, date_time(time));
    out.add_some(DAY_OF_WEEK, (1..=7).contains(&day).then_some(day));
    out.add(ADJUST_REASON, reason);
}

/// A time as [`date_time`] writes it.
pub(super) fn parse(text: &str) -> Option<[u8; 7]> {
    let (date, time) = text.split_once('T')?;
    let mut parts = date.splitn(3, '-').chain(time.splitn(3, ':'));
    let mut next = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|c| c.is_ascii_digit()))?;
        part.parse::<u16>().ok()
    };
    let [low, high] = next(4)?.to_le_bytes();
    let mut bytes = [low, high, 0, 0, 0, 0, 0];
    for byte in &mut bytes[2..] {
        *byte = u8::try_from(next(2)?).ok()?;
    }
    date_time(bytes).map(|_| bytes)
}

/// What is written to set a clock: no fraction, and no reason.
pub(super) fn with_day(time: [u8; 7]) -> [u8; 10] {
    let [low, high, month, day, hour, minute, second] = time;
    let weekday = weekday(u16::from_le_bytes([low, high]), month, day);
    [low, high, month, day, hour, minute, second, weekday, 0, 0]
}

fn is_date(year: u16, month: u8, day: u8) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Monday is 1. The year is taken to begin in March, so that the leap day is its last.
fn weekday(year: u16, month: u8, day: u8) -> u8 {
    const BEFORE: [u16; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let year = if month < 3 { year - 1 } else { year };
    let sum = year + year / 4 - year / 100 + year / 400 + BEFORE[usize::from(month - 1)] + u16::from(day);
    u8::try_from((sum + 6) % 7 + 1).expect("1 to 7")
}

#[cfg(test)]
mod tests {
    use super::{date_time, parse, with_day};

    #[test]
    fn times_read_back() {
        for text in ["2026-11-24T12:30:05", "2024-02-29T00:00:00", "9999-12-31T23:59:59"] {
            assert_eq!(date_time(parse(text).unwrap()).unwrap(), text);
        }
        for text in [
            "2026-02-29T00:00:00",
            "2026-13-01T00:00:00",
            "2026-11-24T24:00:00",
            "2026-11-24 12:30:05",
            "2026-11-24",
            "",
            "26-11-24T12:30:05",
            "2026-11-24T12:30:05Z",
            "2026-00-10T00:00:00",
            "1500-01-01T00:00:00",
            "+026-11-24T12:30:05",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(date_time([0; 7]), None);
    }

    #[test]
    fn days_of_the_week() {
        for (text, day) in [
            ("2026-11-24T12:30:05", 2),
            ("2000-02-29T00:00:00", 2),
            ("1999-12-31T00:00:00", 5),
            ("2024-01-01T00:00:00", 1),
            ("2023-12-31T00:00:00", 7),
        ] {
            assert_eq!(with_day(parse(text).unwrap())[7], day, "{text}");
        }
    }
}
