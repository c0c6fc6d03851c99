//! Which database a task's number belongs to.

use std::fmt;
use std::str::FromStr;

use rand_core::RngCore;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::InvalidName;

const LENGTH: usize = 16;

/// The identity of a database: 16 lower-case hexadecimal digits, random (R32). Written when the file is made, and a new
/// one when a backup is put in its place, so a task's number and the id of its database name one task for ever.
///
/// The default, all zeros, is that of no file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId([u8; LENGTH]);

impl FileId {
    /// An id that no other database has.
    pub fn generate(rng: &mut impl RngCore) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; LENGTH];
        rng.fill_bytes(&mut digits);
        Self(digits.map(|byte| DIGITS[usize::from(byte & 15)]))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl Default for FileId {
    fn default() -> Self {
        Self([b'0'; LENGTH])
    }
}

impl FromStr for FileId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let digits = <[u8; LENGTH]>::try_from(text.as_bytes()).ok();
        digits
            .filter(|digits| digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
            .map(Self)
            .ok_or(InvalidName("a file id has 16 digits, each 0 to 9 or a to f"))
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for FileId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for FileId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl serde::de::Visitor<'_> for Digits {
            type Value = FileId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FileId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn an_id_is_sixteen_digits_and_nothing_else() {
        let id = FileId::generate(&mut ChaCha8Rng::seed_from_u64(7));
        assert_eq!(id.as_str().parse(), Ok(id));
        assert_eq!(serde_json::from_str::<FileId>(&format!("\"{id}\"")).unwrap(), id);
        for bad in ["", "0", "0123456789abcdeg", "0123456789ABCDEF", "0123456789abcdef0", "0123456789abcdé"] {
            assert!(bad.parse::<FileId>().is_err(), "{bad}");
        }
    }
}
