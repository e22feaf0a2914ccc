//! What is written of devices that were found: a line or a table for people, JSON, YAML to start from. What a device says
//! of itself steers no terminal and leaves no comment.

use std::{borrow::Cow, collections::HashMap, fmt::Write as _};

use fieldgate_crds::{GROUP, VERSION};
use mapper_api::{Found, Json};
use serde_json::json;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: everything that is known.
    Json,
    /// Devices to start from.
    Yaml,
}

/// Columns as wide as what stands in them; the last one as long as it is.
pub fn table(found: &[Found]) -> String {
    let Some(first) = found.first() else { return String::new() };
    let titles: Vec<String> = first.about.iter().map(|(title, _)| title.to_uppercase()).collect();
    let rows = found.iter().map(|one| one.about.iter().map(|(_, text)| plain(text).into_owned()).collect());
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<_> = (0..first.about.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

pub fn line(one: &Found) -> String {
    let known = one.about.iter().filter(|(_, text)| !text.is_empty());
    format!("{}\n", known.map(|(title, text)| format!("{title}={}", plain(text))).collect::<Vec<_>>().join("  "))
}

/// What came out of the air, as it can be printed: anybody within reach chooses it, and could steer the terminal or leave
/// a comment of YAML with it.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if steers(c) { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain.into()
}

/// Control characters, what ends a line, and what turns the direction of writing.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Pretty JSON with every such character escaped: within its texts, for outside of them stands none but the line's end.
pub fn json_text(json: &Json) -> String {
    let mut text = String::new();
    for c in format!("{json:#}").chars() {
        if steers(c) && c != '\n' {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

pub fn everything(one: &Found) -> Json {
    let about: serde_json::Map<_, _> =
        one.about.iter().map(|(title, text)| ((*title).to_owned(), json!(text))).collect();
    json!({ "id": one.id, "about": about, "draft": one.draft })
}

/// A Device for each draft, headed by what is known of it.
///
/// # Errors
/// A draft has no form in YAML.
pub fn yaml(found: &[Found], protocol: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut names: HashMap<String, u32> = HashMap::new();
    for one in found {
        let _ = write!(text, "# {}", line(one));
        let spec = match &one.draft {
            Ok(spec) => spec,
            Err(why) => {
                let _ = writeln!(text, "# no Device can be written for it: {}", plain(why));
                continue;
            }
        };
        let name = name(protocol, &one.id);
        let times = names.entry(name.clone()).and_modify(|times| *times += 1).or_insert(1);
        let name = if *times > 1 { format!("{name}-{times}") } else { name };
        let device = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Device", "metadata": { "name": name }, "spec": spec,
        });
        let device = match serde_saphyr::to_string(&device)? {
            // JSON is YAML, and has an escape for all that must not be printed.
            steering if steering.contains(|c| steers(c) && c != '\n') => json_text(&device) + "\n",
            yaml => yaml,
        };
        text += &device;
        text += "---\n";
    }
    Ok(text.strip_suffix("---\n").map(str::to_owned).unwrap_or(text))
}

/// A name that a resource may have: `ble-a4c138123456`.
pub fn name(protocol: &str, id: &str) -> String {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(48).collect();
    if id.is_empty() { protocol.to_owned() } else { format!("{protocol}-{id}") }
}

#[cfg(test)]
mod tests {
    use mapper_api::{Found, Json};
    use serde_json::json;

    use super::{line, name, table, yaml};

    fn found(id: &str, name: &str, draft: bool) -> Found {
        let spec = json!({ "protocol": { "virtual": {} }, "properties": [] });
        let draft = if draft { Ok(spec) } else { Err("it hides".to_owned()) };
        Found {
            id: id.into(),
            about: vec![("address", id.into()), ("name", name.into()), ("rssi", "-60".into())],
            draft,
        }
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let text = table(&[found("A4:C1", "küche", true), found("1", "", false)]);
        assert_eq!(text, "ADDRESS  NAME   RSSI\nA4:C1    küche  -60\n1               -60\n");
        assert_eq!(table(&[]), "");
        assert_eq!(line(&found("1", "", false)), "address=1  rssi=-60\n");
    }

    #[test]
    fn drafts_become_devices() {
        let text =
            yaml(&[found("A4:C1", "a", true), found("2", "b", false), found("a4c1", "c", true)], "virtual").unwrap();
        let expected = "\
# address=A4:C1  name=a  rssi=-60
apiVersion: fieldgate.dev/v1alpha1
kind: Device
metadata:
  name: virtual-a4c1
spec:
  properties: []
  protocol:
    virtual: {}
---
# address=2  name=b  rssi=-60
# no Device can be written for it: it hides
# address=a4c1  name=c  rssi=-60
apiVersion: fieldgate.dev/v1alpha1
kind: Device
metadata:
  name: virtual-a4c1-2
spec:
  properties: []
  protocol:
    virtual: {}
";
        assert_eq!(text, expected);
        assert_eq!(name("ble", "é"), "ble");
    }

    #[test]
    fn what_comes_out_of_the_air_steers_no_terminal_and_leaves_no_comment() {
        let nasty = "a\n\u{1b}[2Jkind: Pod\u{9b}\u{2028}\u{202e}\u{7f}é";
        let mut one = found("1", nasty, true);
        one.draft = Ok(json!({ "protocol": { "virtual": { "name": nasty } }, "properties": [] }));
        let mut hidden = found("2", nasty, false);
        hidden.draft = Err(nasty.to_owned());
        let found = [hidden, one];
        let json = super::json_text(&found.iter().map(super::everything).collect());
        let yaml = yaml(&found, "virtual").unwrap();
        for text in [table(&found), line(&found[1]), yaml.clone(), json.clone()] {
            assert!(!text.contains(|c| super::steers(c) && c != '\n'), "{text:?}");
        }
        assert_eq!(line(&found[1]).matches('\n').count(), 1);
        assert_eq!(table(&found).lines().count(), 3);
        assert!(line(&found[1]).contains("name=a\\n\\u{1b}[2Jkind: Pod\\u{9b}\\u{2028}\\u{202e}\\u{7f}é"));
        assert!(!yaml.lines().any(|line| line.starts_with("kind: Pod")), "{yaml}");
        // Programs get it as it was.
        let read: Json = serde_json::from_str(&json).unwrap();
        assert_eq!(read[1]["about"]["name"], nasty);
        let document = yaml.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
        let read: Json = serde_saphyr::from_str(&document).unwrap();
        assert_eq!(read["spec"]["protocol"]["virtual"]["name"], nasty);
    }
}
