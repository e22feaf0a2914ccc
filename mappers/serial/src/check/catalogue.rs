//! The CRC algorithms of 8, 16 and 32 bits by the names of the catalogue of parametrised CRC algorithms
//! (<https://reveng.sourceforge.io/crc-catalogue/all.htm>), and the other names that it lists for the common ones. The table of
//! 256 entries that one takes is made when it is asked for: those of all would weigh 30 KiB in the program.

use std::{fmt, sync::Arc};

use crc::Crc;

/// One algorithm of the catalogue.
#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Bits8(&'static crc::Algorithm<u8>),
    Bits16(&'static crc::Algorithm<u16>),
    Bits32(&'static crc::Algorithm<u32>),
}

use Algorithm::{Bits8, Bits16, Bits32};

/// An algorithm with its table, 1 KiB at most.
#[derive(Clone)]
pub(super) enum Counter {
    Bits8(Arc<Crc<u8>>),
    Bits16(Arc<Crc<u16>>),
    Bits32(Arc<Crc<u32>>),
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        let other = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
        let name = other.map_or(name, |(_, name)| name);
        CATALOGUE.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, algorithm)| *algorithm)
    }
}

impl Counter {
    /// By its name or another one that the catalogue lists; case does not matter.
    pub(super) fn named(name: &str) -> Option<Self> {
        Algorithm::named(name).map(|algorithm| match algorithm {
            Bits8(algorithm) => Self::Bits8(Arc::new(Crc::<u8>::new(algorithm))),
            Bits16(algorithm) => Self::Bits16(Arc::new(Crc::<u16>::new(algorithm))),
            Bits32(algorithm) => Self::Bits32(Arc::new(Crc::<u32>::new(algorithm))),
        })
    }

    /// Bytes of the sum.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Bits8(_) => 1,
            Self::Bits16(_) => 2,
            Self::Bits32(_) => 4,
        }
    }

    pub(super) fn sum(&self, bytes: &[u8]) -> u32 {
        match self {
            Self::Bits8(crc) => crc.checksum(bytes).into(),
            Self::Bits16(crc) => crc.checksum(bytes).into(),
            Self::Bits32(crc) => crc.checksum(bytes),
        }
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bits8(crc) => crc.algorithm.fmt(f),
            Self::Bits16(crc) => crc.algorithm.fmt(f),
            Self::Bits32(crc) => crc.algorithm.fmt(f),
        }
    }
}

/// Every name, with those of the catalogue first.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    CATALOGUE.iter().map(|(name, _)| *name).chain(ALIASES.iter().map(|(alias, _)| *alias))
}

/// Other names, and the one of the catalogue.
const ALIASES: &[(&str, &str)] = &[
    ("CRC-8", "CRC-8/SMBUS"),
    ("CRC-8/AES", "CRC-8/TECH-3250"),
    ("CRC-8/EBU", "CRC-8/TECH-3250"),
    ("CRC-8/ITU", "CRC-8/I-432-1"),
    ("CRC-8/MAXIM", "CRC-8/MAXIM-DOW"),
    ("CRC-16", "CRC-16/ARC"),
    ("CRC-16/AUTOSAR", "CRC-16/IBM-3740"),
    ("CRC-16/BUYPASS", "CRC-16/UMTS"),
    ("CRC-16/CCITT", "CRC-16/KERMIT"),
    ("CRC-16/CCITT-FALSE", "CRC-16/IBM-3740"),
    ("CRC-16/CCITT-TRUE", "CRC-16/KERMIT"),
    ("CRC-16/DARC", "CRC-16/GENIBUS"),
    ("CRC-16/ISO-HDLC", "CRC-16/IBM-SDLC"),
    ("CRC-16/LHA", "CRC-16/ARC"),
    ("CRC-16/MAXIM", "CRC-16/MAXIM-DOW"),
    ("CRC-16/VERIFONE", "CRC-16/UMTS"),
    ("CRC-16/X-25", "CRC-16/IBM-SDLC"),
    ("CRC-A", "CRC-16/ISO-IEC-14443-3-A"),
    ("CRC-B", "CRC-16/IBM-SDLC"),
    ("X-25", "CRC-16/IBM-SDLC"),
    ("KERMIT", "CRC-16/KERMIT"),
    ("MODBUS", "CRC-16/MODBUS"),
    ("XMODEM", "CRC-16/XMODEM"),
    ("CRC-32", "CRC-32/ISO-HDLC"),
    ("CRC-32/CASTAGNOLI", "CRC-32/ISCSI"),
    ("CRC-32/POSIX", "CRC-32/CKSUM"),
    ("CRC-32C", "CRC-32/ISCSI"),
];

/// The catalogue's own names.
const CATALOGUE: &[(&str, Algorithm)] = &[
    ("CRC-8/AUTOSAR", Bits8(&crc::CRC_8_AUTOSAR)),
    ("CRC-8/BLUETOOTH", Bits8(&crc::CRC_8_BLUETOOTH)),
    ("CRC-8/CDMA2000", Bits8(&crc::CRC_8_CDMA2000)),
    ("CRC-8/DARC", Bits8(&crc::CRC_8_DARC)),
    ("CRC-8/DVB-S2", Bits8(&crc::CRC_8_DVB_S2)),
    ("CRC-8/GSM-A", Bits8(&crc::CRC_8_GSM_A)),
    ("CRC-8/GSM-B", Bits8(&crc::CRC_8_GSM_B)),
    ("CRC-8/HITAG", Bits8(&crc::CRC_8_HITAG)),
    ("CRC-8/I-432-1", Bits8(&crc::CRC_8_I_432_1)),
    ("CRC-8/I-CODE", Bits8(&crc::CRC_8_I_CODE)),
    ("CRC-8/LTE", Bits8(&crc::CRC_8_LTE)),
    ("CRC-8/MAXIM-DOW", Bits8(&crc::CRC_8_MAXIM_DOW)),
    ("CRC-8/MIFARE-MAD", Bits8(&crc::CRC_8_MIFARE_MAD)),
    ("CRC-8/NRSC-5", Bits8(&crc::CRC_8_NRSC_5)),
    ("CRC-8/OPENSAFETY", Bits8(&crc::CRC_8_OPENSAFETY)),
    ("CRC-8/ROHC", Bits8(&crc::CRC_8_ROHC)),
    ("CRC-8/SAE-J1850", Bits8(&crc::CRC_8_SAE_J1850)),
    ("CRC-8/SMBUS", Bits8(&crc::CRC_8_SMBUS)),
    ("CRC-8/TECH-3250", Bits8(&crc::CRC_8_TECH_3250)),
    ("CRC-8/WCDMA", Bits8(&crc::CRC_8_WCDMA)),
    ("CRC-16/ARC", Bits16(&crc::CRC_16_ARC)),
    ("CRC-16/CDMA2000", Bits16(&crc::CRC_16_CDMA2000)),
    ("CRC-16/CMS", Bits16(&crc::CRC_16_CMS)),
    ("CRC-16/DDS-110", Bits16(&crc::CRC_16_DDS_110)),
    ("CRC-16/DECT-R", Bits16(&crc::CRC_16_DECT_R)),
    ("CRC-16/DECT-X", Bits16(&crc::CRC_16_DECT_X)),
    ("CRC-16/DNP", Bits16(&crc::CRC_16_DNP)),
    ("CRC-16/EN-13757", Bits16(&crc::CRC_16_EN_13757)),
    ("CRC-16/GENIBUS", Bits16(&crc::CRC_16_GENIBUS)),
    ("CRC-16/GSM", Bits16(&crc::CRC_16_GSM)),
    ("CRC-16/IBM-3740", Bits16(&crc::CRC_16_IBM_3740)),
    ("CRC-16/IBM-SDLC", Bits16(&crc::CRC_16_IBM_SDLC)),
    ("CRC-16/ISO-IEC-14443-3-A", Bits16(&crc::CRC_16_ISO_IEC_14443_3_A)),
    ("CRC-16/KERMIT", Bits16(&crc::CRC_16_KERMIT)),
    ("CRC-16/LJ1200", Bits16(&crc::CRC_16_LJ1200)),
    ("CRC-16/M17", Bits16(&crc::CRC_16_M17)),
    ("CRC-16/MAXIM-DOW", Bits16(&crc::CRC_16_MAXIM_DOW)),
    ("CRC-16/MCRF4XX", Bits16(&crc::CRC_16_MCRF4XX)),
    ("CRC-16/MODBUS", Bits16(&crc::CRC_16_MODBUS)),
    ("CRC-16/NRSC-5", Bits16(&crc::CRC_16_NRSC_5)),
    ("CRC-16/OPENSAFETY-A", Bits16(&crc::CRC_16_OPENSAFETY_A)),
    ("CRC-16/OPENSAFETY-B", Bits16(&crc::CRC_16_OPENSAFETY_B)),
    ("CRC-16/PROFIBUS", Bits16(&crc::CRC_16_PROFIBUS)),
    ("CRC-16/RIELLO", Bits16(&crc::CRC_16_RIELLO)),
    ("CRC-16/SPI-FUJITSU", Bits16(&crc::CRC_16_SPI_FUJITSU)),
    ("CRC-16/T10-DIF", Bits16(&crc::CRC_16_T10_DIF)),
    ("CRC-16/TELEDISK", Bits16(&crc::CRC_16_TELEDISK)),
    ("CRC-16/TMS37157", Bits16(&crc::CRC_16_TMS37157)),
    ("CRC-16/UMTS", Bits16(&crc::CRC_16_UMTS)),
    ("CRC-16/USB", Bits16(&crc::CRC_16_USB)),
    ("CRC-16/XMODEM", Bits16(&crc::CRC_16_XMODEM)),
    ("CRC-32/AIXM", Bits32(&crc::CRC_32_AIXM)),
    ("CRC-32/AUTOSAR", Bits32(&crc::CRC_32_AUTOSAR)),
    ("CRC-32/BASE91-D", Bits32(&crc::CRC_32_BASE91_D)),
    ("CRC-32/BZIP2", Bits32(&crc::CRC_32_BZIP2)),
    ("CRC-32/CD-ROM-EDC", Bits32(&crc::CRC_32_CD_ROM_EDC)),
    ("CRC-32/CKSUM", Bits32(&crc::CRC_32_CKSUM)),
    ("CRC-32/ISCSI", Bits32(&crc::CRC_32_ISCSI)),
    ("CRC-32/ISO-HDLC", Bits32(&crc::CRC_32_ISO_HDLC)),
    ("CRC-32/JAMCRC", Bits32(&crc::CRC_32_JAMCRC)),
    ("CRC-32/MEF", Bits32(&crc::CRC_32_MEF)),
    ("CRC-32/MPEG-2", Bits32(&crc::CRC_32_MPEG_2)),
    ("CRC-32/XFER", Bits32(&crc::CRC_32_XFER)),
];

#[cfg(test)]
mod tests {
    use super::{ALIASES, Bits8, Bits16, Bits32, CATALOGUE, Counter};

    #[test]
    fn every_algorithm_gives_the_check_value_of_the_catalogue() {
        for (name, algorithm) in CATALOGUE {
            let expected = match algorithm {
                Bits8(algorithm) => u32::from(algorithm.check),
                Bits16(algorithm) => u32::from(algorithm.check),
                Bits32(algorithm) => algorithm.check,
            };
            assert_eq!(Counter::named(name).unwrap().sum(b"123456789"), expected, "{name}");
            assert!(name.starts_with(&format!("CRC-{}/", 8 * Counter::named(name).unwrap().width())), "{name}");
        }
        // Some of them as the catalogue prints them, apart from what the crate says.
        for (name, expected) in [
            ("CRC-8/MAXIM-DOW", 0xa1),
            ("CRC-16/MODBUS", 0x4b37),
            ("CRC-16/IBM-SDLC", 0x906e),
            ("CRC-16/ARC", 0xbb3d),
            ("crc-16/xmodem", 0x31c3),
            ("CRC-32/ISO-HDLC", 0xcbf4_3926),
            ("CRC-16/CCITT-FALSE", 0x29b1),
        ] {
            assert_eq!(Counter::named(name).unwrap().sum(b"123456789"), expected, "{name}");
        }
    }

    #[test]
    fn every_other_name_means_one_of_the_catalogue() {
        for (alias, name) in ALIASES {
            assert!(CATALOGUE.iter().any(|(known, _)| known == name), "{alias}");
            assert!(!CATALOGUE.iter().any(|(known, _)| known == alias), "{alias}");
        }
        assert!(Counter::named("CRC-16/NOBODY").is_none());
    }
}
