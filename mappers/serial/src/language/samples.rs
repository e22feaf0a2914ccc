//! What meters sent, for tests: the files in `samples`, each with where it is from.

/// The bytes that hexadecimal digits spell, blanks passed over.
pub fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The sample with this name in a file of lines `name digits`.
pub fn named(file: &str, name: &str) -> Vec<u8> {
    let line = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    bytes(line.unwrap_or_else(|| panic!("no sample {name}")))
}

/// All samples of such a file.
pub fn all(file: &str) -> Vec<Vec<u8>> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| bytes(line.split_once(' ').expect("a name and digits").1)).collect()
}

/// What is heard of these bytes, in pieces of this size.
pub fn hear(listener: &mut super::Listener, bytes: &[u8], piece: usize) -> Vec<super::Heard> {
    let mut heard = Vec::new();
    for piece in bytes.chunks(piece) {
        listener.push(piece);
        heard.extend(std::iter::from_fn(|| listener.next()));
    }
    heard
}

/// A telegram as text: a line for each datum.
pub fn written(telegram: &super::Telegram) -> Vec<String> {
    let line = |datum: &super::Datum| {
        let name = match datum.name {
            super::Name::Obis(code) => code.to_string(),
            super::Name::Nmea { field, .. } => field.to_owned(),
        };
        let content = match &datum.content {
            super::Content::Text(text) => text.clone(),
            super::Content::Number(number) => number.to_string(),
            super::Content::Bytes(bytes) => super::readable(bytes),
            super::Content::Bool(value) => value.to_string(),
        };
        let unit = datum.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
        format!("{name}[{}]={content}{unit}", datum.index)
    };
    telegram.data.iter().map(line).collect()
}
