//! A date and time in 4, 6, 7 or 8 bytes, to RFC 3339 in UTC and back. Pure. It knows no time zone: a device whose clock
//! shows local time is not understood.

use jiff::{SignedDuration, Timestamp, civil, tz::Offset};

/// The lengths in bytes that a `dateTime` can have.
pub const SIZES: [u16; 4] = [4, 6, 7, 8];

/// The year 0 of the forms that have two digits for it.
const CENTURY: i16 = 2000;

/// RFC 3339 in UTC, of what stands in these bytes:
/// - 4: seconds since 1970, most significant byte first,
/// - 8: milliseconds since 1970, likewise,
/// - 6: year - 2000, month, day, hour, minute, second, each a plain byte,
/// - 7: CP56Time2a (IEC 60870-5-4, 6.8): milliseconds of the minute, low byte first; minute with bit 7 for "invalid"; hour
///   with bit 7 for summer time, which is an hour ahead; day with the weekday above it; month; year - 2000.
///
/// # Errors
/// Why it is no time.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, String> {
    let time = match *bytes {
        [year, month, day, hour, minute, second] => utc(year, month, day, hour, minute, second),
        [low, high, minute, hour, day, month, year] => {
            if minute & 0x80 != 0 {
                return Err("the device marks its time as invalid".into());
            }
            let time = utc(year & 0x7f, month & 0x0f, day & 0x1f, hour & 0x1f, minute & 0x3f, 0);
            let within = u16::from_le_bytes([low, high]);
            let summer = i64::from(hour & 0x80 != 0);
            let shift = SignedDuration::from_millis(within.into()) - SignedDuration::from_hours(summer);
            time.filter(|_| within < 60_000 && year & 0x7f < 100).and_then(|time| time.checked_add(shift).ok())
        }
        _ if bytes.len() == 4 || bytes.len() == 8 => {
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            let number = i64::try_from(number).ok();
            let since = if bytes.len() == 4 { Timestamp::from_second } else { Timestamp::from_millisecond };
            number.and_then(|number| since(number).ok())
        }
        _ => return Err(format!("a dateTime has 4, 6, 7 or 8 bytes, got {}", bytes.len())),
    };
    time.map(write).ok_or_else(|| "is no date and time".into())
}

/// The bytes of a text of RFC 3339, in the form of that size.
///
/// # Errors
/// It is no such text, or has no such form.
pub(crate) fn encode(text: &str, size: usize) -> Result<Vec<u8>, String> {
    let time = parse(text).ok_or_else(|| format!("{text:?} is no date and time"))?;
    let civil = Offset::UTC.to_datetime(time);
    let beyond = |years: &str| format!("{text} has no form of {size} bytes, which hold {years}");
    if matches!(size, 4 | 6) && civil.millisecond() != 0 {
        return Err(format!("{text} has a fraction of a second; {size} bytes hold whole seconds"));
    }
    let year = u8::try_from(civil.year() - CENTURY).map_err(|_| beyond("the years from 2000 on"));
    let part = |part: i8| u8::try_from(part).expect("the parts of a date are not negative");
    let [month, day, hour, minute] = [civil.month(), civil.day(), civil.hour(), civil.minute()].map(part);
    match size {
        4 => {
            let seconds = u32::try_from(time.as_second()).map_err(|_| beyond("the years 1970 to 2106"))?;
            Ok(seconds.to_be_bytes().to_vec())
        }
        6 => Ok(vec![year?, month, day, hour, minute, part(civil.second())]),
        7 => {
            let year = year?;
            if year > 99 {
                return Err(beyond("the years 2000 to 2099"));
            }
            let within = 1000 * u16::from(part(civil.second())) + civil.millisecond().unsigned_abs();
            let [low, high] = within.to_le_bytes();
            let weekday = part(civil.weekday().to_monday_one_offset());
            Ok(vec![low, high, minute, hour, weekday << 5 | day, month, year])
        }
        8 => {
            let millis = u64::try_from(time.as_millisecond()).map_err(|_| beyond("the years from 1970 on"))?;
            Ok(millis.to_be_bytes().to_vec())
        }
        _ => Err(format!("a dateTime has 4, 6, 7 or 8 bytes, not {size}")),
    }
}

/// The one form in which a time is told, whatever its offset and fraction were written like; none if it is no time of
/// RFC 3339 or finer than milliseconds.
pub(crate) fn canonical(text: &str) -> Option<String> {
    parse(text).map(write)
}

fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|time: &Timestamp| time.subsec_nanosecond() % 1_000_000 == 0)
}

fn write(time: Timestamp) -> String {
    if time.subsec_nanosecond() == 0 { format!("{time:.0}") } else { format!("{time:.3}") }
}

fn utc(year: u8, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Option<Timestamp> {
    let part = |part: u8| i8::try_from(part).ok();
    let year = CENTURY + i16::from(year);
    let date = civil::Date::new(year, part(month)?, part(day)?).ok()?;
    let time = civil::Time::new(part(hour)?, part(minute)?, part(second)?, 0).ok()?;
    Offset::UTC.to_timestamp(date.to_datetime(time)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{canonical, decode, encode};

    #[test]
    fn each_form_tells_its_time() {
        for (bytes, text) in [
            (&[0x65, 0x53, 0xf1, 0x00][..], "2023-11-14T22:13:20Z"),
            (&[0, 0, 0, 0], "1970-01-01T00:00:00Z"),
            (&[0xff; 4], "2106-02-07T06:28:15Z"),
            (&[0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b], "2023-11-14T22:13:20.123Z"),
            (&[23, 11, 14, 22, 13, 20], "2023-11-14T22:13:20Z"),
            // 20.123 s; 0x4e is the 14th, a Tuesday (2).
            (&[0x9b, 0x4e, 13, 22, 0x4e, 11, 23], "2023-11-14T22:13:20.123Z"),
            (&[0x20, 0x4e, 13, 22, 14, 11, 23], "2023-11-14T22:13:20Z"),
            // Summer time is an hour ahead, also over midnight.
            (&[0, 0, 30, 0x80, 1, 7, 24], "2024-06-30T23:30:00Z"),
        ] {
            assert_eq!(decode(bytes).as_deref(), Ok(text), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_is_no_time_is_told() {
        for (bytes, told) in [
            (&[23, 13, 1, 0, 0, 0][..], "no date"),
            (&[23, 2, 29, 0, 0, 0], "no date"),
            (&[23, 2, 28, 24, 0, 0], "no date"),
            (&[0xff; 6], "no date"),
            (&[0xff; 8], "no date"),
            (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "no date"),
            (&[0x60, 0xea, 0, 0, 1, 1, 23], "no date"), // 60.000 s
            (&[0, 0, 0, 0, 1, 1, 100], "no date"),
            (&[0, 0, 0x80, 0, 1, 1, 23], "marks its time as invalid"),
            (&[], "4, 6, 7 or 8 bytes, got 0"),
        ] {
            let error = decode(bytes).unwrap_err();
            assert!(error.contains(told), "{bytes:02x?}: {error}");
        }
    }

    #[test]
    fn a_time_without_a_form_is_refused_with_what_the_form_holds() {
        for (text, size, told) in [
            ("2024-01-01T00:00:00.5Z", 4, "whole seconds"),
            ("2107-01-01T00:00:00Z", 4, "1970 to 2106"),
            ("1999-12-31T23:59:59Z", 6, "from 2000 on"),
            ("2100-01-01T00:00:00Z", 7, "2000 to 2099"),
            ("1969-12-31T23:59:59Z", 8, "from 1970 on"),
            ("2024-01-01T00:00:00Z", 5, "4, 6, 7 or 8"),
            ("tomorrow", 8, "no date and time"),
            ("2024-01-01", 8, "no date and time"),
        ] {
            let error = encode(text, size).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn one_time_has_one_text() {
        for (written, told) in [
            ("2024-02-29T12:00:00+02:00", Some("2024-02-29T10:00:00Z")),
            ("2024-02-29T12:00:00.000Z", Some("2024-02-29T12:00:00Z")),
            ("2024-02-29T12:00:00.5Z", Some("2024-02-29T12:00:00.500Z")),
            ("2024-02-29T12:00:00.0005Z", None),
            ("2023-02-29T12:00:00Z", None),
            ("noon", None),
        ] {
            assert_eq!(canonical(written).as_deref(), told, "{written}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in 946_684_800_i64..4_102_444_800, millis in 0..1000_i64) {
            for size in [4, 6, 7, 8] {
                let millis = if matches!(size, 7 | 8) { millis } else { 0 };
                let time = jiff::Timestamp::from_millisecond(1000 * seconds + millis).unwrap().to_string();
                let text = canonical(&time).unwrap();
                prop_assert_eq!(decode(&encode(&text, size).unwrap()), Ok(text));
            }
        }
    }
}
