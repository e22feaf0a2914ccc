//! Pushes whose codes do not stand beside the values: of meters whose lists their grid operators publish, and of those that
//! say first what stands where.

use std::borrow::Cow;

use super::axdr::{Item, content};
use crate::language::{Content, Datum, Name, Number, Obis};

/// What stands at a place: the code, the power of ten of its number, the unit.
type Place = (usize, &'static str, i16, &'static str);

/// A list: its parts (whole `n`umber, `c`lock, `o`ctets or text), how the first of them begins, and what is read.
type List = (&'static str, &'static [u8], &'static [&'static [Place]]);

/// Power and what comes with it of a Kaifa of Norway (NEK, HAN of KFM_001), from the fourth part on.
const KAIFA: &[Place] = &[
    (0, "1-0:0.2.129", 0, ""),
    (1, "0-0:96.1.0", 0, ""),
    (2, "0-0:96.1.7", 0, ""),
    (3, "1-0:1.7.0", 0, "W"),
    (4, "1-0:2.7.0", 0, "W"),
    (5, "1-0:3.7.0", 0, "var"),
    (6, "1-0:4.7.0", 0, "var"),
    (7, "1-0:31.7.0", -3, "A"),
];
const KAIFA_ONE_PHASE: &[Place] = &[(8, "1-0:32.7.0", -1, "V")];
const KAIFA_THREE_PHASES: &[Place] = &[
    (8, "1-0:51.7.0", -3, "A"),
    (9, "1-0:71.7.0", -3, "A"),
    (10, "1-0:32.7.0", -1, "V"),
    (11, "1-0:52.7.0", -1, "V"),
    (12, "1-0:72.7.0", -1, "V"),
];

static LISTS: &[List] = &[
    // Kaifa of Norway: every ten seconds the power alone, between them what comes with it, and once an hour the counts.
    ("n", b"", &[&[(0, "1-0:1.7.0", 0, "W")]]),
    ("ooonnnnnn", b"KFM_", &[KAIFA, KAIFA_ONE_PHASE]),
    ("ooonnnnnnnnnn", b"KFM_", &[KAIFA, KAIFA_THREE_PHASES]),
    (
        "ooonnnnnncnnnn",
        b"KFM_",
        &[
            KAIFA,
            KAIFA_ONE_PHASE,
            &[
                (9, "0-0:1.0.0", 0, ""),
                (10, "1-0:1.8.0", 0, "Wh"),
                (11, "1-0:2.8.0", 0, "Wh"),
                (12, "1-0:3.8.0", 0, "varh"),
                (13, "1-0:4.8.0", 0, "varh"),
            ],
        ],
    ),
    (
        "ooonnnnnnnnnncnnnn",
        b"KFM_",
        &[
            KAIFA,
            KAIFA_THREE_PHASES,
            &[
                (13, "0-0:1.0.0", 0, ""),
                (14, "1-0:1.8.0", 0, "Wh"),
                (15, "1-0:2.8.0", 0, "Wh"),
                (16, "1-0:3.8.0", 0, "varh"),
                (17, "1-0:4.8.0", 0, "varh"),
            ],
        ],
    ),
    // Iskraemeco AM550 of Vienna (Wiener Netze).
    (
        "cnnnnnnnn",
        b"",
        &[&[
            (0, "0-0:1.0.0", 0, ""),
            (1, "1-0:1.8.0", 0, "Wh"),
            (2, "1-0:2.8.0", 0, "Wh"),
            (3, "1-0:3.8.0", 0, "varh"),
            (4, "1-0:4.8.0", 0, "varh"),
            (5, "1-0:1.7.0", 0, "W"),
            (6, "1-0:2.7.0", 0, "W"),
            (7, "1-0:3.7.0", 0, "var"),
            (8, "1-0:4.7.0", 0, "var"),
        ]],
    ),
    // Iskraemeco AM550 of Carinthia (Kaernten Netz).
    (
        "oooonnnnnnoo",
        &[0, 6, 25, 9, 0, 255],
        &[&[
            (1, "0-0:96.1.0", 0, ""),
            (4, "1-0:1.8.0", 0, "Wh"),
            (5, "1-0:2.8.0", 0, "Wh"),
            (6, "1-0:3.8.0", 0, "varh"),
            (7, "1-0:4.8.0", 0, "varh"),
            (8, "1-0:1.7.0", 0, "W"),
            (9, "1-0:2.7.0", 0, "W"),
        ]],
    ),
];

/// The values of a list that is known; none for any other.
pub fn read(items: &[Item]) -> Option<Vec<Datum>> {
    let (Item::Group(count), parts) = items.split_first()? else { return None };
    let fits = |(shape, first, _): &&List| {
        shape.len() == parts.len()
            && *count == parts.len()
            && shape.bytes().zip(parts).all(|(kind, item)| match item {
                Item::Number(_) => kind == b'n',
                Item::Octets(bytes) => kind == b'o' || (kind == b'c' && bytes.len() == 12),
                Item::Text(_) => kind == b'o',
                Item::Time(_) => kind == b'c',
                _ => false,
            })
            && match &parts[0] {
                Item::Octets(bytes) | Item::Text(bytes) => bytes.starts_with(first),
                _ => true,
            }
    };
    let (.., places) = LISTS.iter().find(fits)?;
    let datum = |&(at, code, exponent, unit): &Place| {
        let code = code.parse().expect("an OBIS code");
        let content = match content(code, parts.get(at)?)? {
            Content::Number(Number { digits, .. }) => Content::Number(Number { digits, exponent }),
            other => other,
        };
        let unit = (!unit.is_empty()).then_some(Cow::Borrowed(unit));
        Some(Datum { name: Name::Obis(code), index: 0, content, unit })
    };
    Some(places.iter().flat_map(|places| places.iter()).filter_map(datum).collect())
}

/// One line of a list that says what stands where: class, code, attribute, index in it.
pub fn defined<'a>(items: &[Item<'a>]) -> Option<&'a [u8]> {
    match items {
        [Item::Group(4), Item::Number(_), Item::Octets(code), Item::Small(_), Item::Number(_), ..]
            if code.len() == 6 =>
        {
            Some(code)
        }
        _ => None,
    }
}

/// The values of a push whose first part is the list of all its parts, itself included; none for any other.
pub fn self_described(items: &[Item]) -> Option<Vec<Datum>> {
    let [Item::Group(count), Item::Group(same), rest @ ..] = items else { return None };
    let (definitions, values) = rest.split_at_checked(count.checked_mul(5)?)?;
    if count != same || values.len() + 1 != *count {
        return None;
    }
    let codes: Option<Vec<&[u8]>> = definitions.chunks(5).map(defined).collect();
    let datum = |(code, value): (&&[u8], &Item)| {
        let code = Obis::from_bytes((*code).try_into().ok()?);
        let content = content(code, value)?;
        Some(Datum { name: Name::Obis(code), index: 0, content, unit: None })
    };
    Some(codes?.iter().skip(1).zip(values).filter_map(datum).collect())
}

#[cfg(test)]
mod tests {
    use super::LISTS;

    #[test]
    fn lists_name_places_that_they_have() {
        for (shape, _, places) in LISTS {
            for (at, code, exponent, _) in places.iter().flat_map(|places| places.iter()) {
                assert!(*at < shape.len() && (shape.as_bytes()[*at] == b'n' || *exponent == 0), "{shape} {code}");
                code.parse::<crate::language::Obis>().unwrap();
            }
        }
    }
}
