//! What in lines of text varies as a number, and how a message of the grammar says so: columns where something parts them,
//! else a regular expression. Pure. The names are guesses: the word before the number, or `value1`.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use serde_json::{Value as Json, json};

use crate::{
    config::{Columns, JsonLine, Message},
    octets::latin_1,
};

/// Messages, and the properties that stand in them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Drafted {
    pub(super) messages: Vec<Message>,
    pub(super) properties: Vec<Json>,
}

/// So many messages and properties are drafted; more would be read by nobody.
const MESSAGES: usize = 6;
const PROPERTIES: usize = 24;
/// Longer rows of digits are numbers of things, such as barcodes.
const DIGITS: usize = 15;

/// Units that stand behind numbers.
const UNITS: [&str; 40] = [
    "kg", "g", "mg", "t", "lb", "oz", "ct", "V", "mV", "A", "mA", "W", "kW", "Wh", "kWh", "Hz", "kHz", "C", "°C", "F",
    "°F", "K", "%", "Pa", "hPa", "kPa", "bar", "mbar", "ppm", "ppb", "lx", "m", "mm", "cm", "s", "ms", "min", "l",
    "m3", "dB",
];

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(String),
    Word(String),
    Blanks,
    Other(char),
}

/// The contents of frames, each between start and end.
pub(super) fn draft(lines: &[Vec<u8>]) -> Drafted {
    let lines: Vec<String> = lines.iter().map(|line| latin_1(line)).collect();
    let mut drafted = Drafted::default();
    if let Some(pointers) = json_numbers(&lines) {
        let message = Message { name: "line".into(), json: Some(JsonLine {}), ..Message::default() };
        drafted.messages.push(message);
        for pointer in pointers.into_iter().take(PROPERTIES) {
            let name = name(pointer.rsplit('/').next().unwrap_or_default());
            drafted.property(&name, None, &json!({ "pointer": pointer }));
        }
        return drafted;
    }
    let comma = decimal_comma(&lines);
    let mut groups: Vec<Vec<&String>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for line in &lines {
        let group = *known.entry(shape(line, comma)).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(line);
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let several = groups.len() > 1;
    for (number, group) in (1..).zip(groups.into_iter().take(MESSAGES)) {
        let title = if several { format!("line{number}") } else { "line".to_owned() };
        match separator(&group, comma) {
            Some(separator) => drafted.columns(&title, &group, separator),
            None => drafted.regex(&title, &group, comma),
        }
    }
    drafted
}

impl Drafted {
    fn property(&mut self, name: &str, unit: Option<&str>, serial: &Json) {
        let alike = |property: &Json| {
            let known = property["name"].as_str().unwrap_or_default();
            known == name || known.strip_prefix(name).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
        };
        let times = self.properties.iter().filter(|property| alike(property)).count();
        if self.properties.len() >= PROPERTIES {
            return;
        }
        let name = if times > 0 { format!("{name}{}", times + 1) } else { name.to_owned() };
        let mut property = json!({ "name": name, "type": "float64", "serial": serial });
        if let Some(unit) = unit {
            property["unit"] = json!(unit);
        }
        self.properties.push(property);
    }

    fn columns(&mut self, title: &str, group: &[&String], separator: char) {
        let rows: Vec<Vec<&str>> = group.iter().map(|line| line.split(separator).collect()).collect();
        let alike = |column: usize| rows.iter().all(|row| row[column] == rows[0][column]);
        let kind = (alike(0) && !is_number(rows[0][0])).then(|| rows[0][0].trim().to_owned());
        let mut names = Vec::new();
        let mut fields = Vec::new();
        for column in 0..rows[0].len() {
            let number = rows.iter().all(|row| row[column].trim().is_empty() || is_number(row[column]))
                && rows.iter().any(|row| is_number(row[column]));
            names.push(match (column, &kind) {
                (0, Some(_)) => "type".to_owned(),
                _ if number => {
                    fields.push(format!("column{column}"));
                    format!("column{column}")
                }
                _ => "-".to_owned(),
            });
        }
        while names.last().is_some_and(|name| name == "-") {
            names.pop();
        }
        let message = Message {
            name: title.to_owned(),
            when: kind.clone().map(|kind| BTreeMap::from([("type".to_owned(), kind)])).unwrap_or_default(),
            columns: Some(Columns {
                separator: Some(if separator == '\t' { "\\t".into() } else { separator.into() }),
                names,
            }),
            ..Message::default()
        };
        self.messages.push(message);
        let prefix = kind.map(|kind| name(&kind)).filter(|kind| kind != "value");
        for field in fields {
            let shown = prefix.as_ref().map_or(field.clone(), |prefix| format!("{prefix}-{field}"));
            self.property(&shown, None, &json!({ "message": title, "field": field }));
        }
    }

    fn regex(&mut self, title: &str, group: &[&String], comma: bool) {
        let rows: Vec<Vec<Token>> = group.iter().map(|line| tokens(line, comma)).collect();
        let alike = |at: usize| rows.iter().all(|row| row[at] == rows[0][at]);
        let varies = (0..rows[0].len()).any(|at| matches!(rows[0][at], Token::Number(_)) && !alike(at));
        let (mut regex, mut fields) = (String::from("^"), Vec::new());
        let (mut word, mut number): (Option<String>, _) = (None, 0);
        for (at, token) in rows[0].iter().enumerate() {
            match token {
                Token::Blanks => regex += " *",
                Token::Other(other) => {
                    regex += &escape(&other.to_string());
                    // A word names what stands right behind it.
                    word = word.filter(|_| matches!(other, '=' | ':'));
                }
                Token::Word(text) if is_unit(&rows[0], at) && alike(at) => {
                    let field = format!("unit{number}");
                    let unit = if text == "%" { "%" } else { "[A-Za-z%\u{b0}]+[0-9]*" };
                    let _ = write!(regex, "(?<{field}>{unit})");
                    if let Some((_, _, unit)) = fields.last_mut() {
                        *unit = Some((field, text.clone()));
                    }
                }
                Token::Word(text) => {
                    regex += &if alike(at) { escape(text) } else { "[A-Za-z_]+".to_owned() };
                    word = alike(at).then(|| text.clone());
                }
                Token::Number(text) if varies && alike(at) => {
                    // It may be part of a name, or a number that never changes.
                    regex += &escape(text);
                }
                Token::Number(_) => {
                    number += 1;
                    let field = format!("value{number}");
                    let _ = write!(regex, "(?<{field}>[-+]? *[0-9]+(?:[.,][0-9]+)?)");
                    fields.push((field, word.take(), None::<(String, String)>));
                }
            }
        }
        regex += "$";
        if fields.is_empty() || regex.len() > 1024 {
            return;
        }
        self.messages.push(Message { name: title.to_owned(), regex: Some(regex), ..Message::default() });
        for (field, word, unit) in fields {
            let mut serial = json!({ "message": title, "field": field });
            if let Some((unit_field, unit)) = &unit {
                serial["expect"] = json!({ unit_field: unit });
            }
            let shown = word.map_or_else(|| "value".to_owned(), |word| name(&word));
            self.property(&shown, unit.as_ref().map(|(_, unit)| unit.as_str()), &serial);
        }
    }
}

/// A number is followed by this word, with at most blanks between them.
fn is_unit(row: &[Token], at: usize) -> bool {
    let Token::Word(word) = &row[at] else { return false };
    let before = row[..at].iter().rev().find(|token| **token != Token::Blanks);
    UNITS.contains(&word.as_str()) && matches!(before, Some(Token::Number(_)))
}

fn is_number(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.len() <= DIGITS + 3 && matches!(&tokens(text, false)[..], [Token::Number(_)])
}

/// A comma is part of numbers where it only ever stands once between digits.
fn decimal_comma(lines: &[String]) -> bool {
    let mut any = false;
    for line in lines {
        for (at, _) in line.match_indices(',') {
            any = true;
            let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
            let (before, after) = (&line[..at], &line[at + 1..]);
            let before_run = before.trim_end_matches(|c: char| c.is_ascii_digit()).chars().next_back();
            let after_run = after.trim_start_matches(|c: char| c.is_ascii_digit()).chars().next();
            let part = |c: Option<char>| matches!(c, Some(',' | '.'));
            if !digit(before.chars().next_back()) || !digit(after.chars().next()) || part(before_run) || part(after_run)
            {
                return false;
            }
        }
    }
    any
}

fn tokens(line: &str, comma: bool) -> Vec<Token> {
    let chars: Vec<char> = line.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    let run = |from: usize, is: &dyn Fn(char) -> bool| from + chars[from..].iter().take_while(|c| is(**c)).count();
    let digit = |c: char| c.is_ascii_digit();
    while at < chars.len() {
        let c = chars[at];
        let end = match c {
            '-' | '+' if !matches!(tokens.last(), Some(Token::Number(_) | Token::Word(_))) => {
                // A sign may stand apart from its number.
                let digits = run(at + 1, &|c| c == ' ');
                if run(digits, &digit) > digits { digits } else { at }
            }
            c if digit(c) => at,
            ' ' => {
                tokens.push(Token::Blanks);
                at = run(at, &|c| c == ' ');
                continue;
            }
            c if c.is_alphabetic() || c == '_' || c == '°' || c == '%' => {
                let to = if c == '%' { at + 1 } else { run(at, &|c| c.is_alphabetic() || c == '_' || c == '°') };
                tokens.push(Token::Word(chars[at..to].iter().collect()));
                at = to;
                continue;
            }
            other => {
                tokens.push(Token::Other(other));
                at += 1;
                continue;
            }
        };
        let digits = run(end, &digit);
        if digits == end {
            tokens.push(Token::Other(c));
            at += 1;
            continue;
        }
        let point = chars.get(digits).is_some_and(|c| *c == '.' || (comma && *c == ','));
        let fraction = if point { run(digits + 1, &digit) } else { digits };
        let to = if fraction > digits + 1 { fraction } else { digits };
        tokens.push(Token::Number(chars[at..to].iter().collect()));
        at = to;
    }
    // Blanks come and go with the width of numbers, and so do signs.
    let padded = |token: &Token| matches!(token, Token::Number(_));
    let mut kept: Vec<Token> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if *token != Token::Blanks || !tokens.get(at + 1).is_some_and(padded) {
            if padded(token) && !matches!(kept.last(), Some(Token::Blanks)) {
                kept.push(Token::Blanks);
            }
            kept.push(token.clone());
        } else {
            kept.push(Token::Blanks);
        }
    }
    if let (Some(Token::Blanks), true) = (kept.first(), line.starts_with(|c: char| c != ' ')) {
        kept.remove(0);
    }
    kept
}

/// What lines have in common that are of one kind: the number of columns and the first of them, or the kinds of tokens.
fn shape(line: &str, comma: bool) -> String {
    if let Some(separator) = [';', '\t', ','].into_iter().find(|c| !(*c == ',' && comma) && line.contains(*c)) {
        let columns: Vec<_> = line.split(separator).collect();
        if columns.iter().any(|column| is_number(column)) {
            let first = if is_number(columns[0]) { "#" } else { columns[0].trim() };
            return format!("{separator}{} {first}", columns.len());
        }
    }
    let kind = |token: &Token| match token {
        Token::Number(_) => '#',
        Token::Word(_) => 'w',
        Token::Blanks => ' ',
        Token::Other(other) => *other,
    };
    tokens(line, comma).iter().map(kind).collect()
}

/// What parts the columns of these lines, if that tells more than a regular expression would.
fn separator(group: &[&String], comma: bool) -> Option<char> {
    [';', '\t', ','].into_iter().filter(|c| !(*c == ',' && comma)).find(|separator| {
        let columns = |line: &str| line.split(*separator).count();
        let first = columns(group[0]);
        let any = group[0].split(*separator).any(is_number);
        first > 1 && first <= 128 && any && group.iter().all(|line| columns(line) == first)
    })
}

/// Pointers to the numbers, where every line is JSON.
fn json_numbers(lines: &[String]) -> Option<Vec<String>> {
    fn walk(json: &Json, at: &str, out: &mut Vec<String>) {
        match json {
            Json::Number(_) if !out.iter().any(|known| known == at) => out.push(at.to_owned()),
            Json::Object(object) => object.iter().for_each(|(key, json)| {
                walk(json, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), out);
            }),
            Json::Array(list) => list.iter().enumerate().for_each(|(n, json)| walk(json, &format!("{at}/{n}"), out)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for line in lines {
        let json: Json =
            serde_json::from_str(line.trim()).ok().filter(|json: &Json| json.is_object() || json.is_array())?;
        walk(&json, "", &mut found);
    }
    (!found.is_empty()).then_some(found)
}

/// A word as a property's name.
fn name(word: &str) -> String {
    let plain: String = word.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let mut letters = plain.chars();
    match letters.next() {
        Some(_)
            if plain.chars().all(|c| !c.is_ascii_lowercase()) && !plain.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            plain.to_ascii_lowercase()
        }
        Some(first) if first.is_ascii_alphabetic() => first.to_ascii_lowercase().to_string() + letters.as_str(),
        _ => "value".to_owned(),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        if c.is_control() {
            let _ = write!(escaped, "\\x{:02x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Drafted, draft};

    fn drafted(lines: &[&str]) -> Drafted {
        let bytes = |line: &&str| line.chars().map(|c| u8::try_from(c).unwrap()).collect();
        draft(&lines.iter().map(bytes).collect::<Vec<_>>())
    }

    #[test]
    fn a_scale() {
        let drafted = drafted(&["ST,GS,+   12.34kg", "ST,GS,+  112.30kg", "US,GS,-    0.05kg", "ST,GS,+    9.99kg"]);
        assert_eq!(drafted.messages.len(), 1, "{drafted:?}");
        let regex = drafted.messages[0].regex.as_deref().unwrap();
        assert_eq!(
            regex,
            "^[A-Za-z_]+\\,GS\\, *(?<value1>[-+]? *[0-9]+(?:[.,][0-9]+)?)(?<unit1>[A-Za-z%\u{b0}]+[0-9]*)$"
        );
        let serial = json!({ "message": "line", "field": "value1", "expect": { "unit1": "kg" } });
        assert_eq!(drafted.properties, [json!({ "name": "value", "type": "float64", "unit": "kg", "serial": serial })]);
    }

    #[test]
    fn names_stand_before_numbers() {
        let drafted = drafted(&["T=21.3 H=44", "T=-1.3 H=45"]);
        let names: Vec<_> = drafted.properties.iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["t", "h"]);
        let regex = regex_lite::Regex::new(drafted.messages[0].regex.as_deref().unwrap()).unwrap();
        for line in ["T=21.3 H=44", "T=-1.3 H=45", "T= 0.1 H= 4"] {
            assert!(regex.is_match(line), "{line} {regex}");
        }
        assert!(!regex.is_match("X=21.3 H=44"));
    }

    #[test]
    fn columns_by_their_kind() {
        let drafted = drafted(&["$A,1,2,N", "$B,x,5", "$A,1.5,3,N", "$B,y,6"]);
        let seen: Vec<_> = drafted
            .messages
            .iter()
            .map(|m| (m.when["type"].as_str(), m.columns.as_ref().unwrap().names.join(" ")))
            .collect();
        assert_eq!(seen, [("$A", "type column1 column2".to_owned()), ("$B", "type - column2".to_owned())]);
        assert_eq!(drafted.properties.len(), 3);
        assert_eq!(drafted.properties[0]["name"], "a-column1");
    }

    #[test]
    fn commas_and_json() {
        assert_eq!(drafted(&["12,5 bar", "2,75 bar"]).properties.len(), 1);
        assert_eq!(drafted(&["1.5,2", "2.5,7"]).properties.len(), 2);
        let json = drafted(&[r#"{"a":{"b/c":1},"d":[true,2]}"#, r#"{"a":{"b/c":3},"d":[true,4]}"#]);
        let pointers: Vec<_> = json.properties.iter().map(|p| p["serial"]["pointer"].as_str().unwrap()).collect();
        assert_eq!(pointers, ["/a/b~1c", "/d/1"]);
        assert_eq!(drafted(&["hello", "world"]), Drafted::default());
    }
}
