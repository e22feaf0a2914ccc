//! Private addresses: whether one was made with an identity resolving key. Pure.
//!
//! Core Specification, vol. 6, part B, 1.3.2.2 (resolvable private addresses) and vol. 3, part H, 2.2.2 (`ah`).

use aes::{
    Aes128,
    cipher::{BlockCipherEncrypt, KeyInit},
};

use crate::{advert::Mac, formats::Key};

/// The two uppermost bits of a *random* address that is private and resolvable are 01.
pub fn is_resolvable(mac: Mac) -> bool {
    mac.0[0] >> 6 == 0b01
}

/// This address was made with this key.
pub fn resolves(key: &Key, mac: Mac) -> bool {
    let [p0, p1, p2, hash @ ..] = mac.0;
    is_resolvable(mac) && ah(key, [p0, p1, p2]) == hash
}

/// The 24 lowest bits of the random part, encrypted. Most significant byte first, as everywhere here.
pub fn ah(key: &Key, random: [u8; 3]) -> [u8; 3] {
    let mut block = aes::Block::default();
    block[13..].copy_from_slice(&random);
    Aes128::new(&key.0.into()).encrypt_block(&mut block);
    [block[13], block[14], block[15]]
}

#[cfg(test)]
mod tests {
    use super::{Key, Mac, ah, is_resolvable, resolves};

    /// Core Specification, vol. 3, part H, appendix D.7.
    const IRK: Key =
        Key([0xec, 0x02, 0x34, 0xa3, 0x57, 0xc8, 0xad, 0x05, 0x34, 0x10, 0x10, 0xa6, 0x0a, 0x39, 0x7d, 0x9b]);

    #[test]
    fn the_vector_of_the_specification() {
        assert_eq!(ah(&IRK, [0x70, 0x81, 0x94]), [0x0d, 0xfb, 0xaa]);
    }

    #[test]
    fn addresses() {
        for (mac, resolvable, ours) in [
            ("70:81:94:0D:FB:AA", true, true),
            ("70:81:94:0D:FB:AB", true, false),
            ("71:81:94:0D:FB:AA", true, false),
            ("30:81:94:0D:FB:AA", false, false),
            ("F0:81:94:0D:FB:AA", false, false),
        ] {
            let mac: Mac = mac.parse().unwrap();
            assert_eq!((is_resolvable(mac), resolves(&IRK, mac)), (resolvable, ours), "{mac}");
        }
    }
}
