//! General-glo-ciphering (DLMS UA Green Book, "Green Book" 9.2.7.2.4.6 of edition 8.3): how P1 meters of Luxembourg and Austria
//! and DLMS meters that push encrypt. AES-128 in GCM mode; nonce: system title and frame counter; check: twelve bytes, over the
//! security byte, the authentication key and the content.

use aes::Aes128;
use aes_gcm::{
    AesGcm,
    aead::consts::U12,
    aead::{AeadInOut, KeyInit},
};
use ctr::cipher::{KeyIvInit, StreamCipher};

use super::{Key, Keys};

/// The first byte of an encrypted telegram.
pub const TAG: u8 = 0xdb;

/// The first bytes of one: its tag, and the length of the system title.
pub const START: [u8; 2] = [TAG, 8];

/// Bytes of a check.
const CHECK: usize = 12;

/// Bits of the security byte: checked, encrypted, with the key for broadcasts, compressed; the rest is the suite, of which 0
/// is AES-GCM with 128 bits.
const CHECKED: u8 = 0x10;
const ENCRYPTED: u8 = 0x20;
const COMPRESSED: u8 = 0x80;
const SUITE: u8 = 0x0f;

/// An encrypted telegram, taken apart.
#[derive(Debug, PartialEq)]
struct Sealed<'a> {
    /// The meter's system title: three letters of its maker, and a number.
    title: [u8; 8],
    /// The frame counter: it only goes up, and no telegram has the same.
    counter: u32,
    security: u8,
    content: &'a [u8],
}

/// Opens the telegrams of one meter, each once.
#[derive(Debug)]
pub struct Opener {
    keys: Keys,
    /// The meter's title, and the last frame counter that it used.
    last: Option<([u8; 8], u32)>,
    /// Telegrams that were refused because they were sent before.
    pub replayed: u64,
}

impl Opener {
    pub fn new(keys: Keys) -> Self {
        Self { keys, last: None, replayed: 0 }
    }

    /// Whether the meter is one that seals.
    pub fn has_key(&self) -> bool {
        self.keys.encryption.is_some()
    }

    /// Whether telegrams are opened without a look at their check: the content, or what is around it, must prove itself.
    pub fn proves_nothing(&self) -> bool {
        self.has_key() && self.keys.authentication.is_none()
    }

    /// What `read` makes of the content; it is told whether the check proved it, and must prove it itself if not.
    ///
    /// # Errors
    /// The keys do not open it, `read` refuses it, or it was sent before: somebody plays it back.
    pub fn open<T>(
        &mut self,
        telegram: &[u8],
        read: impl FnOnce(&[u8], bool) -> Result<T, String>,
    ) -> Result<T, String> {
        let sealed = parse(telegram)?;
        if let Some((title, last)) = self.last
            && title == sealed.title
            && sealed.counter <= last
        {
            self.replayed += 1;
            return Err(format!("frame counter {} after {last}: a telegram that was sent before", sealed.counter));
        }
        let (content, proven) = sealed.open(&self.keys)?;
        let read = read(&content, proven).map_err(|why| {
            if proven {
                why
            } else {
                format!("what comes out is no telegram: `key` is not the meter's, or bytes were changed ({why})")
            }
        })?;
        self.last = Some((sealed.title, sealed.counter));
        Ok(read)
    }
}

/// How long a telegram is that begins with these bytes, from [`TAG`] on; none while more bytes are needed to tell.
///
/// # Errors
/// The bytes are no telegram.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, String> {
    match bytes {
        [TAG, 8, _, ..] | [TAG, 8] | [TAG] | [] => {}
        _ => return Err("no telegram of general-glo-ciphering with a system title of 8 bytes".into()),
    }
    let long = |bytes: &[u8]| bytes.iter().fold(0, |sum, b| sum << 8 | usize::from(*b));
    let (head, content) = match bytes.get(10..) {
        None | Some([] | [0x81 | 0x82] | [0x82, _]) => return Ok(None),
        Some([0x81, length, ..]) => (12, usize::from(*length)),
        Some([0x82, length @ ..]) => (13, long(&length[..2])),
        Some([length @ 0..=0x7f, ..]) => (11, usize::from(*length)),
        Some([other, ..]) => return Err(format!("a length that begins with {other:#04x}")),
    };
    if content < 5 {
        return Err(format!("{content} bytes have no room for a frame counter"));
    }
    Ok(Some(head + content))
}

/// The parts of a telegram that is whole.
///
/// # Errors
/// The bytes are no such telegram, or it is sealed in a way that meters do not use.
fn parse(bytes: &[u8]) -> Result<Sealed<'_>, String> {
    let whole =
        length(bytes)?.filter(|length| *length <= bytes.len()).ok_or("an encrypted telegram that breaks off")?;
    let head = match bytes[10] {
        0x81 => 12,
        0x82 => 13,
        _ => 11,
    };
    let (security, counter) = (bytes[head], &bytes[head + 1..head + 5]);
    if security & ENCRYPTED == 0 || security & COMPRESSED != 0 || security & SUITE > 1 {
        return Err(format!("security control byte {security:#04x}; AES-128 in GCM mode, such as 0x30, is expected"));
    }
    Ok(Sealed {
        title: bytes[2..10].try_into().expect("eight bytes"),
        counter: u32::from_be_bytes(counter.try_into().expect("four bytes")),
        security,
        content: &bytes[head + 5..whole],
    })
}

impl Sealed<'_> {
    /// The content, and whether its check was right; without an authentication key, or without a check, the
    /// content must prove itself.
    ///
    /// # Errors
    /// There is no key, or it is not the one that the meter used.
    fn open(&self, keys: &Keys) -> Result<(Vec<u8>, bool), String> {
        let key = keys.encryption.as_ref().ok_or("the telegram is encrypted; `key` is missing")?;
        let nonce: [u8; 12] = [&self.title[..], &self.counter.to_be_bytes()]
            .concat()
            .try_into()
            .expect("eight bytes and four are twelve");
        if self.security & CHECKED == 0 {
            if keys.authentication.is_some() {
                return Err("the telegram has no check, and `authenticationKey` is given to look at one".into());
            }
            return Ok((stream(key, nonce, self.content), false));
        }
        let (sealed, check) =
            self.content.split_last_chunk::<CHECK>().ok_or("an encrypted telegram without room for its check")?;
        let Some(authentication) = &keys.authentication else {
            return Ok((stream(key, nonce, sealed), false));
        };
        let mut content = sealed.to_vec();
        let header: Vec<u8> = [self.security].into_iter().chain(authentication.0).collect();
        AesGcm::<Aes128, U12, U12>::new(&key.0.into())
            .decrypt_inout_detached(&nonce.into(), &header, (&mut content[..]).into(), &(*check).into())
            .map_err(
                |_| "the check is wrong: `key` or `authenticationKey` is not the meter's, or bytes were changed",
            )?;
        Ok((content, true))
    }
}

/// The content without a look at the check: the stream of GCM begins at the block with number 2 (NIST SP 800-38D, 7.1).
fn stream(key: &Key, nonce: [u8; 12], sealed: &[u8]) -> Vec<u8> {
    let mut block = [0; 16];
    block[..12].copy_from_slice(&nonce);
    block[15] = 2;
    let mut content = sealed.to_vec();
    ctr::Ctr32BE::<Aes128>::new(&key.0.into(), &block.into()).apply_keystream(&mut content);
    content
}
