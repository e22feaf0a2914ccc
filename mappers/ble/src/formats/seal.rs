//! The encryption of small messages: AES-128 in CCM mode (RFC 3610) with a check of four bytes, which BTHome, MiBeacon
//! and the ATC firmware share. They differ in the nonce and in the header.

use aes::{
    Aes128,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use ccm::{
    Ccm, NonceSize, TagSize,
    aead::AeadInOut,
    aead::array::ArraySize,
    consts::{U4, U11, U12, U13},
};

use super::Key;

/// Bytes of the check at the end of a message.
pub const CHECK: usize = 4;

/// The content, if `sealed` with the four bytes of `check` was made with this key. None for any other key, nonce or
/// header, for a content that was changed, and for a nonce of a length that no format has.
pub fn open(key: &Key, nonce: &[u8], header: &[u8], sealed: &[u8], check: [u8; CHECK]) -> Option<Vec<u8>> {
    match nonce.len() {
        11 => open_as::<U11>(key, nonce, header, sealed, check),
        12 => open_as::<U12>(key, nonce, header, sealed, check),
        13 => open_as::<U13>(key, nonce, header, sealed, check),
        _ => None,
    }
}

fn open_as<N: ArraySize + NonceSize>(
    key: &Key,
    nonce: &[u8],
    header: &[u8],
    sealed: &[u8],
    check: [u8; CHECK],
) -> Option<Vec<u8>>
where
    U4: TagSize,
{
    let cipher = Ccm::<Aes128, U4, N>::new(&key.0.into());
    let mut content = sealed.to_vec();
    cipher.decrypt_inout_detached(nonce.try_into().ok()?, header, (&mut content[..]).into(), &check.into()).ok()?;
    Some(content)
}

/// A mark that tells keys apart and not what they are: four bytes of a fixed block, encrypted with the key.
pub(crate) fn mark(key: &Key) -> u32 {
    let mut block = (*b"fieldgate device").into();
    Aes128::new(&key.0.into()).encrypt_block(&mut block);
    u32::from_be_bytes([block[0], block[1], block[2], block[3]])
}

/// The content of a message that has no check at all: whatever the key, something comes out. The stream of CCM with a
/// nonce of 13 bytes (RFC 3610, 2.3): block `i` is the encryption of 1, the nonce, and `i` in two bytes.
pub fn open_unchecked(key: &Key, nonce: [u8; 13], sealed: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new(&key.0.into());
    let mut content = sealed.to_vec();
    for (i, chunk) in (1_u16..).zip(content.chunks_mut(16)) {
        let mut block = [0; 16];
        block[0] = 1;
        block[1..14].copy_from_slice(&nonce);
        block[14..].copy_from_slice(&i.to_be_bytes());
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        chunk.iter_mut().zip(block).for_each(|(byte, stream)| *byte ^= stream);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::{open, open_unchecked};
    use crate::formats::Key;

    /// The worked example of <https://bthome.io/encryption/>.
    #[test]
    fn opens_the_specifications_example() {
        let key = Key::from_hex("231d39c1d7cc1ab1aee224cd096db932").unwrap();
        let nonce = [0x54, 0x48, 0xe6, 0x8f, 0x80, 0xa5, 0xd2, 0xfc, 0x41, 0x33, 0x22, 0x11, 0x00];
        let sealed = [0xe4, 0x45, 0xf3, 0xc9, 0x96, 0x2b];
        let check = [0x6c, 0x7c, 0x45, 0x19];
        let content = vec![0x02, 0xca, 0x09, 0x03, 0xbf, 0x13];
        assert_eq!(open(&key, &nonce, &[], &sealed, check), Some(content.clone()));
        assert_eq!(open_unchecked(&key, nonce, &sealed), content);

        // One bit elsewhere, anywhere, and nothing comes out.
        assert_eq!(open(&key, &nonce, &[0x11], &sealed, check), None);
        for bit in 0..48 {
            let mut other = sealed;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key, &nonce, &[], &other, check), None, "bit {bit}");
        }
        assert_eq!(open(&key, &nonce[..12], &[], &sealed, check), None);
        assert_eq!(open(&key, &nonce[..5], &[], &sealed, check), None);
    }
}
