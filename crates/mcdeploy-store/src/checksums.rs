//! CRC-64/NVME and CRC-32C: computed in one pass, combined over parts in any order of
//! arrival, and written the way each store wants them.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crc_fast::{CrcAlgorithm, Digest as Crc, checksum_combine};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// CRC-64/NVME, which is also what Azure calls CRC64. Text form: 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crc64Nvme(pub u64);

/// CRC-32C (Castagnoli). Text form: 8 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crc32c(pub u32);

impl Crc64Nvme {
    /// Base64 of the big-endian bytes, as S3 writes it.
    pub fn to_s3(self) -> String {
        STANDARD.encode(self.0.to_be_bytes())
    }

    /// Reads the form of [`Self::to_s3`].
    pub fn from_s3(text: &str) -> Option<Self> {
        let bytes: [u8; 8] = STANDARD.decode(text).ok()?.try_into().ok()?;
        Some(Self(u64::from_be_bytes(bytes)))
    }

    /// The little-endian bytes, as Azure takes them.
    pub fn to_azure(self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    /// Of the bytes followed by `size_bytes` more that have the checksum `next`.
    #[must_use]
    pub fn followed_by(self, next: Self, size_bytes: u64) -> Self {
        let algorithm = CrcAlgorithm::Crc64Nvme;
        Self(checksum_combine(algorithm, self.0, next.0, size_bytes))
    }

    /// Reads 16 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(u64::from_be_bytes(bytes)))
    }
}

impl Crc32c {
    /// Reads base64 of the big-endian bytes, as S3 and GCS write it.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes: [u8; 4] = STANDARD.decode(text).ok()?.try_into().ok()?;
        Some(Self(u32::from_be_bytes(bytes)))
    }

    /// Of the bytes followed by `size_bytes` more that have the checksum `next`.
    #[must_use]
    pub fn followed_by(self, next: Self, size_bytes: u64) -> Self {
        let (this, next) = (u64::from(self.0), u64::from(next.0));
        let algorithm = CrcAlgorithm::Crc32Iscsi;
        Self(truncate(checksum_combine(
            algorithm, this, next, size_bytes,
        )))
    }

    /// Reads 8 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 4];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(u32::from_be_bytes(bytes)))
    }
}

macro_rules! hex_text {
    ($name:ident, $digits:literal, $label:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", $digits, "x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($label, ":{}"), self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::from_hex(&text).ok_or_else(|| {
                    D::Error::custom(format_args!(
                        concat!("{:?} is not ", $digits, " hex digits"),
                        text
                    ))
                })
            }
        }
    };
}

hex_text!(Crc64Nvme, 16, "crc64nvme");
hex_text!(Crc32c, 8, "crc32c");

/// Size and both checksums of a run of bytes: a part, or a whole object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksums {
    /// Length in bytes.
    pub size_bytes: u64,
    /// CRC-64/NVME of the bytes.
    pub crc64nvme: Crc64Nvme,
    /// CRC-32C of the bytes.
    pub crc32c: Crc32c,
}

impl Checksums {
    /// Of no bytes at all.
    pub const EMPTY: Self = Self {
        size_bytes: 0,
        crc64nvme: Crc64Nvme(0),
        crc32c: Crc32c(0),
    };

    /// Of `bytes`, in one pass over them per cache-sized block.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Of these bytes followed by those of `next`, without reading either.
    #[must_use]
    pub fn followed_by(self, next: Self) -> Self {
        Self {
            size_bytes: self.size_bytes + next.size_bytes,
            crc64nvme: self.crc64nvme.followed_by(next.crc64nvme, next.size_bytes),
            crc32c: self.crc32c.followed_by(next.crc32c, next.size_bytes),
        }
    }
}

impl fmt::Display for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            size_bytes,
            crc64nvme,
            crc32c,
        } = self;
        write!(
            f,
            "{size_bytes} bytes crc64nvme:{crc64nvme} crc32c:{crc32c}"
        )
    }
}

/// What a store says of an object's bytes without reading them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredChecksums {
    /// CRC-64/NVME, where the store has one for the whole object.
    pub crc64nvme: Option<Crc64Nvme>,
    /// CRC-32C, where the store has one for the whole object.
    pub crc32c: Option<Crc32c>,
}

impl StoredChecksums {
    /// Whether there is nothing to compare with.
    pub fn is_empty(&self) -> bool {
        let Self { crc64nvme, crc32c } = self;
        crc64nvme.is_none() && crc32c.is_none()
    }

    /// Of the bytes followed by `size_bytes` more; only what both sides have.
    #[must_use]
    pub fn followed_by(self, next: Self, size_bytes: u64) -> Self {
        let crc64nvme = self.crc64nvme.zip(next.crc64nvme);
        let crc32c = self.crc32c.zip(next.crc32c);
        Self {
            crc64nvme: crc64nvme.map(|(this, next)| this.followed_by(next, size_bytes)),
            crc32c: crc32c.map(|(this, next)| this.followed_by(next, size_bytes)),
        }
    }

    /// Whether every checksum that is there equals the expected one.
    pub fn agree_with(&self, expected: &Checksums) -> bool {
        let Self { crc64nvme, crc32c } = self;
        crc64nvme.is_none_or(|crc| crc == expected.crc64nvme)
            && crc32c.is_none_or(|crc| crc == expected.crc32c)
    }
}

impl From<Checksums> for StoredChecksums {
    fn from(checksums: Checksums) -> Self {
        Self {
            crc64nvme: Some(checksums.crc64nvme),
            crc32c: Some(checksums.crc32c),
        }
    }
}

impl fmt::Display for StoredChecksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.crc64nvme, self.crc32c) {
            (Some(a), Some(b)) => write!(f, "crc64nvme:{a} crc32c:{b}"),
            (Some(a), None) => write!(f, "crc64nvme:{a}"),
            (None, Some(b)) => write!(f, "crc32c:{b}"),
            (None, None) => f.write_str("no checksum"),
        }
    }
}

/// Computes [`Checksums`] over bytes as they come.
#[derive(Debug)]
pub struct Hasher {
    size_bytes: u64,
    crc64nvme: Crc,
    crc32c: Crc,
}

impl Default for Hasher {
    fn default() -> Self {
        Self {
            size_bytes: 0,
            crc64nvme: Crc::new(CrcAlgorithm::Crc64Nvme),
            crc32c: Crc::new(CrcAlgorithm::Crc32Iscsi),
        }
    }
}

impl Hasher {
    /// Takes the next bytes. Both checksums see a block while it is in the cache.
    pub fn update(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(32 * 1024) {
            self.crc64nvme.update(block);
            self.crc32c.update(block);
        }
        self.size_bytes += bytes.len() as u64;
    }

    /// Checksums of everything so far.
    pub fn finish(&self) -> Checksums {
        Checksums {
            size_bytes: self.size_bytes,
            crc64nvme: Crc64Nvme(self.crc64nvme.finalize()),
            crc32c: Crc32c(truncate(self.crc32c.finalize())),
        }
    }
}

/// `crc-fast` gives 32-bit checksums in the lower half of 64 bits.
fn truncate(crc: u64) -> u32 {
    u32::try_from(crc & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn check_values_of_the_catalogue() {
        // Source: https://reveng.sourceforge.io/crc-catalogue/all.htm (2026-11-23).
        let checksums = Checksums::of(b"123456789");
        assert_eq!(checksums.crc64nvme, Crc64Nvme(0xae8b_1486_0a79_9888));
        assert_eq!(checksums.crc32c, Crc32c(0xe306_9283));
        assert_eq!(Checksums::of(b""), Checksums::EMPTY);
    }

    #[test]
    fn each_store_gets_its_own_byte_order() {
        let crc = Crc64Nvme(0x0102_0304_0506_0708);
        assert_eq!(crc.to_s3(), "AQIDBAUGBwg=");
        assert_eq!(Crc64Nvme::from_s3("AQIDBAUGBwg="), Some(crc));
        assert_eq!(crc.to_azure(), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(Crc64Nvme::from_hex(&crc.to_string()), Some(crc));
        assert_eq!(Crc32c::from_hex(&Crc32c(5).to_string()), Some(Crc32c(5)));
    }

    proptest! {
        #[test]
        fn combined_parts_equal_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..4096),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|i| i.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let combined = cuts
                .windows(2)
                .map(|w| Checksums::of(&bytes[w[0]..w[1]]))
                .fold(Checksums::EMPTY, Checksums::followed_by);
            prop_assert_eq!(combined, Checksums::of(&bytes));
        }

        #[test]
        fn a_changed_byte_changes_both_checksums(
            mut bytes in proptest::collection::vec(any::<u8>(), 1..4096),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            let before = Checksums::of(&bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let after = Checksums::of(&bytes);
            prop_assert_ne!(before.crc64nvme, after.crc64nvme);
            prop_assert_ne!(before.crc32c, after.crc32c);
        }
    }
}
