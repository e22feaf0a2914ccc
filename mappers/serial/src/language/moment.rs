//! Moments as RFC 3339 writes them, in UTC: `2011-05-28T09:27:51Z`, with the milliseconds where there are some.

/// A date and a time of day as a meter or a receiver says them.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub millis: i64,
}

impl Moment {
    /// The moment in UTC, where the clock that says it is so many minutes ahead. None where there is no such moment.
    pub fn utc(&self, ahead: i64) -> Option<String> {
        let Self { year, month, day, hour, minute, second, millis } = *self;
        let possible = (1970..=2200).contains(&year)
            && (1..=12).contains(&month)
            && (1..=length(year, month)).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..=60).contains(&second)
            && (0..1000).contains(&millis)
            && ahead.abs() <= 24 * 60;
        if !possible {
            return None;
        }
        let (mut year, mut month, mut day) = (year, month, day);
        let minutes = hour * 60 + minute - ahead;
        day += minutes.div_euclid(24 * 60);
        if day < 1 {
            (year, month) = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
            day += length(year, month);
        } else if day > length(year, month) {
            day -= length(year, month);
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        let (hour, minute) = (minutes.rem_euclid(24 * 60) / 60, minutes.rem_euclid(60));
        let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
        Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
    }
}

/// Days of a month.
fn length(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The moment of a P1 meter, `YYMMDDhhmmssX` (P1 Companion Standard 5.0.2, 6.4): X is S in summer and W in winter. The time is
/// taken for Central Europe's; `docs/meters.md` says so, as the meters of Ireland and Lithuania write theirs alike.
pub fn of_p1(text: &str) -> Option<String> {
    let (digits, ahead) = match text.as_bytes().last()? {
        b'S' => (&text[..text.len() - 1], 120),
        b'W' => (&text[..text.len() - 1], 60),
        _ => return None,
    };
    if digits.len() != 12 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let pair = |at: usize| digits[at..at + 2].parse::<i64>().ok();
    Moment {
        year: 2000 + pair(0)?,
        month: pair(2)?,
        day: pair(4)?,
        hour: pair(6)?,
        minute: pair(8)?,
        second: pair(10)?,
        millis: 0,
    }
    .utc(ahead)
}

/// Whether a text is a moment as [`Moment::utc`] writes it.
pub fn is_utc(text: &str) -> bool {
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let bytes = text.as_bytes();
    bytes.len() >= 20
        && bytes.ends_with(b"Z")
        && shape
            .iter()
            .zip(bytes)
            .all(|(shape, byte)| if *shape == b'd' { byte.is_ascii_digit() } else { shape == byte })
}

#[cfg(test)]
mod tests {
    use super::{is_utc, of_p1};

    #[test]
    fn a_p1_moment_is_one_of_central_europe() {
        for (text, moment) in [
            ("101209113020W", Some("2010-12-09T10:30:20Z")),
            ("221006155014S", Some("2022-10-06T13:50:14Z")),
            ("240301003000W", Some("2024-02-29T23:30:00Z")),
            ("260101003000W", Some("2025-12-31T23:30:00Z")),
            ("101209113020", None),
            ("101309113020W", None),
            ("100230113020W", None),
            ("1012091130é0W", None),
            ("", None),
        ] {
            assert_eq!(of_p1(text).as_deref(), moment, "{text}");
            assert!(moment.is_none_or(is_utc));
        }
        assert!(!is_utc("2010-12-09 10:30:20Z") && !is_utc("101209113020W"));
    }
}
