//! Data sets in text (IEC 62056-21, 6.5), which meters that are asked and P1 meters share: a code, and its values in
//! parentheses: `1-0:1.8.1(000123.456*kWh)`. Refuses a block that has anything else in it.

use super::{Content, Datum, MOST, Name, Obis, obis};

/// A code and its values, as they stand in the text.
#[derive(Debug, PartialEq)]
struct Set<'a> {
    code: &'a str,
    values: Vec<&'a str>,
}

/// The data of a block of lines. Sets whose code is no OBIS code are passed over.
///
/// # Errors
/// What stands where no data set can: the block is damaged, and nothing of it is read.
pub fn data(block: &str) -> Result<Vec<Datum>, String> {
    let mut data = Vec::new();
    for set in sets(block)? {
        let Some(code) = obis::parse(set.code) else { continue };
        channel(&set, &mut data);
        for (index, text) in set.values.iter().enumerate() {
            let (text, unit) = text.rsplit_once('*').map_or((*text, None), |(text, unit)| (text, Some(unit)));
            push(&mut data, code, index, text, unit);
        }
    }
    match data.len() {
        0..=MOST => Ok(data),
        many => Err(format!("{many} values are more than {MOST}")),
    }
}

/// An M-Bus meter's last value as DSMR 2.2 and 3 send it, in the way of a profile (IEC 62056-21, annex): time, status,
/// period, count, then the code and the unit of what follows on the next line. It is read under that code as well, as
/// later meters send it: the time first, then the value with its unit.
fn channel(set: &Set, data: &mut Vec<Datum>) {
    let [time, _, _, "1", code, unit, value] = set.values[..] else { return };
    if let Some(code) = obis::parse(code) {
        push(data, code, 0, time, None);
        push(data, code, 1, value, Some(unit));
    }
}

fn push(data: &mut Vec<Datum>, code: Obis, index: usize, text: &str, unit: Option<&str>) {
    data.push(Datum {
        name: Name::Obis(code),
        index,
        content: Content::Text(text.trim().to_owned()),
        unit: unit.map(|unit| unit.trim().to_owned().into()),
    });
}

fn sets(block: &str) -> Result<Vec<Set<'_>>, String> {
    let mut sets: Vec<Set> = Vec::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let mut rest = line;
        while !rest.trim().is_empty() {
            let no_set = || format!("no data set: {:?}", line.chars().take(60).collect::<String>());
            let (code, after) = rest.split_once('(').ok_or_else(no_set)?;
            let (value, after) = after.split_once(')').ok_or_else(no_set)?;
            if code.contains([')', '/', '!']) || value.contains(['(', '/', '!']) {
                return Err(no_set());
            }
            match sets.last_mut() {
                Some(set) if code.trim().is_empty() => set.values.push(value),
                None if code.trim().is_empty() => return Err(no_set()),
                _ => sets.push(Set { code: code.trim(), values: vec![value] }),
            }
            rest = after;
        }
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use super::{Content, data};

    fn written(block: &str) -> Vec<String> {
        data(block)
            .unwrap()
            .into_iter()
            .map(|datum| {
                let super::Name::Obis(code) = datum.name else { panic!("an OBIS code") };
                let Content::Text(text) = datum.content else { panic!("a text") };
                format!("{code}[{}] {text} {}", datum.index, datum.unit.unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn sets_have_codes_and_values() {
        assert_eq!(
            written("1-0:1.8.1(000123.456*kWh)\r\n0-1:24.2.1(101209112500W)(12785.123*m3)\r\nF.F(00)0.0.0( 42 )\r\n"),
            [
                "1-0:1.8.1[0] 123.456 kWh".replace("123.456", "000123.456"),
                "0-1:24.2.1[0] 101209112500W ".into(),
                "0-1:24.2.1[1] 12785.123 m3".into(),
                "F.F[0] 00 ".into(),
                "0.0.0[0] 42 ".into()
            ]
        );
    }

    #[test]
    fn a_value_on_the_next_line_belongs_to_the_code_before() {
        let lines = written("0-1:24.3.0(121030140000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00024.123)\r\n");
        assert!(lines.contains(&"0-1:24.2.1[0] 121030140000 ".to_owned()), "{lines:?}");
        assert!(lines.contains(&"0-1:24.2.1[1] 00024.123 m3".to_owned()), "{lines:?}");
        assert!(lines.contains(&"0-1:24.3.0[6] 00024.123 ".to_owned()), "{lines:?}");
    }

    #[test]
    fn a_damaged_block_is_refused_as_a_whole() {
        for block in ["1.8.0(12", "1.8.0", "(12)", "1.8.0(1(2)", "1.8.0)12(", "1.8.0(12)x", "1.8.0(12)\r\n/ABC5(3)"] {
            assert!(data(block).is_err(), "{block}");
        }
        assert!(data(&"1.8.0(1)".repeat(1025)).is_err());
        assert_eq!(data("").unwrap(), []);
    }
}
