//! The keys of a meter that encrypts. They are shown nowhere.

use std::fmt;

/// A key of AES-128.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub(super) [u8; 16]);

impl Key {
    /// The key that 32 hexadecimal digits spell; blanks between them are passed over. None for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits = text.chars().filter(|c| !c.is_ascii_whitespace());
        let mut key = [0; 16];
        for byte in &mut key {
            let (high, low) = (digits.next()?.to_digit(16)?, digits.next()?.to_digit(16)?);
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        digits.next().is_none().then_some(Self(key))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key(..)")
    }
}

/// What a meter's telegrams are opened with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// The key that they are encrypted with (`key` in YAML); none for a meter that does not.
    pub encryption: Option<Key>,
    /// The key that proves them (`authenticationKey`). Without it a telegram proves itself by its content alone.
    pub authentication: Option<Key>,
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn a_key_is_32_digits_and_is_not_shown() {
        let key = Key::parse("000102030405060708090A0B0C0D0E0f").unwrap();
        assert_eq!(key.0[15], 15);
        assert_eq!(format!("{key:?}"), "Key(..)");
        assert_eq!(Key::parse("00010203 04050607 08090A0B 0C0D0E0f").unwrap(), key);
        for text in ["", "00", "000102030405060708090A0B0C0D0E0f00", "g00102030405060708090A0B0C0D0E0f"] {
            assert_eq!(Key::parse(text), None);
        }
    }
}
