//! Names on the wire, each checked once, where it comes in.

use std::fmt;

use rand_core::RngCore;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use smol_str::{SmolStr, ToSmolStr};

use crate::limits::{INSTANCE_MAX, KEY_MAX, LEASE_MAX, REQUEST_ID_MAX, TASK_TYPE_MAX};

/// The number of a task: the `id` column of the table. Given by the store, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub i64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that was refused as a name, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(pub(crate) &'static str);

/// Defines a checked string type. Up to 23 bytes stand in the value itself: leases, numbers and the usual types
/// of tasks are copied without being allocated.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks `text` and makes a name of it.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                $check(text).map(|()| Self(text.into()))
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::new(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

name! {
    /// The type of a task, such as `reverse`: what workers are found by (R36).
    TaskType, check_task_type
}

name! {
    /// An idempotency key: any string of 1 to 64 bytes that names one task for ever (R1).
    Key, check_key
}

name! {
    /// The right to run one attempt, and its identity. Opaque, new for each attempt (R11).
    Lease, check_lease
}

name! {
    /// A worker process, random per start (R18).
    Instance, check_instance
}

fn check_task_type(text: &str) -> Result<(), InvalidName> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first_legal = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first_legal && text.len() <= TASK_TYPE_MAX && text.bytes().all(legal) {
        return Ok(());
    }
    Err(InvalidName("a task type has 1 to 64 letters, digits, '_', '.' or '-', and starts with a letter or digit"))
}

fn check_key(text: &str) -> Result<(), InvalidName> {
    if (1..=KEY_MAX).contains(&text.len()) {
        return Ok(());
    }
    Err(InvalidName("a key has 1 to 64 bytes"))
}

fn check_lease(text: &str) -> Result<(), InvalidName> {
    if (1..=LEASE_MAX).contains(&text.len()) {
        return Ok(());
    }
    Err(InvalidName("a lease has 1 to 32 bytes"))
}

fn check_instance(text: &str) -> Result<(), InvalidName> {
    if (1..=INSTANCE_MAX).contains(&text.len()) {
        return Ok(());
    }
    Err(InvalidName("an instance has 1 to 64 bytes"))
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

const RANDOM_LENGTH: usize = 16;

fn letter(byte: u8) -> char {
    char::from(ALPHABET[usize::from(byte & 31)])
}

/// Sixteen characters of base32 are 80 random bits: more than a stranger can guess (R11).
fn random_letters<R: RngCore>(rng: &mut R) -> impl Iterator<Item = char> + use<R> {
    let mut bytes = [0; RANDOM_LENGTH];
    rng.fill_bytes(&mut bytes);
    bytes.into_iter().map(letter)
}

/// Characters by which a lease says to which process it was issued.
const MARK_LENGTH: usize = 6;

impl Lease {
    /// A lease that was never issued before, for this process or for one without a name.
    ///
    /// It ends in a mark of the process. So a dispatcher that finds it in the table after its restart can tell
    /// whether the process that serves the address now is the one that it was issued to (R18). To everybody
    /// else it is opaque.
    pub fn generate(rng: &mut impl RngCore, process: Option<&Instance>) -> Self {
        Self(random_letters(rng).chain(process.into_iter().flat_map(Instance::mark)).collect())
    }

    /// Whether it was issued to this process; `None`: it does not say.
    pub fn is_for(&self, process: &Instance) -> Option<bool> {
        let mark = self.0.get(RANDOM_LENGTH..).filter(|mark| mark.len() == MARK_LENGTH)?;
        Some(mark.chars().eq(process.mark()))
    }
}

impl Instance {
    /// What no process is called: a message that names it is for whoever holds the attempt already.
    pub fn nobody() -> Self {
        Self("-".into())
    }

    /// The FNV-1a digest of the name, as far as it fits.
    fn mark(&self) -> impl Iterator<Item = char> + use<> {
        let digest = self
            .0
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        // The lower half mixes least.
        let upper = digest >> 32;
        (0..MARK_LENGTH).map(move |place| letter((upper >> (5 * place)).to_le_bytes()[0]))
    }

    /// A name for a process that has just started.
    pub fn generate(rng: &mut impl RngCore) -> Self {
        Self(random_letters(rng).collect())
    }
}

/// What correlates one reply with its request: a string or an integer, echoed in the very bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(SmolStr);

impl RequestId {
    /// The id that is the integer `number`.
    pub fn number(number: u64) -> Self {
        Self(number.to_smolstr())
    }

    /// The integer, if the id is one that [`RequestId::number`] makes.
    pub fn as_number(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The JSON text of the id.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    pub(crate) fn check(raw: &RawValue) -> Result<Self, &'static str> {
        let text = raw.get();
        if text.starts_with('"') {
            if text.len() > REQUEST_ID_MAX + 2 {
                return Err("'id' has at most 64 bytes");
            }
            if serde_json::from_str::<String>(text).is_err() {
                return Err("'id' is not a legal string");
            }
            return Ok(Self(text.into()));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && text.len() <= REQUEST_ID_MAX && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self(text.into()));
        }
        Err("'id' must be a string or an integer of at most 64 bytes")
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Self::check(raw).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn task_types_cannot_name_a_path_or_an_option() {
        for good in ["reverse", "a", "7z", "image.resize-v2_x"] {
            assert!(TaskType::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", "-rf", ".", "..", "../../bin/sh", "a/b", "a b", "a\0", "ä", "_x", &long] {
            assert!(TaskType::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_echoed_as_they_came() {
        for good in ["42", "-7", "\"a\\u00e9\"", "1000000000000000000000000000000"] {
            let id: RequestId = serde_json::from_str(good).unwrap();
            assert_eq!(id.as_json(), good);
        }
        for bad in ["1.5", "1e3", "true", "[]", "{}", "\"\\ud800\""] {
            assert!(serde_json::from_str::<RequestId>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn leases_come_from_the_seed_alone() {
        let mut one = ChaCha8Rng::seed_from_u64(7);
        let mut two = ChaCha8Rng::seed_from_u64(7);
        let first = Lease::generate(&mut one, None);
        assert_eq!(first, Lease::generate(&mut two, None));
        assert_ne!(first, Lease::generate(&mut one, None));
    }

    #[test]
    fn a_lease_tells_to_which_process_it_was_issued() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (one, other) = (Instance::generate(&mut rng), Instance::generate(&mut rng));
        let lease = Lease::generate(&mut rng, Some(&one));
        assert_eq!((lease.is_for(&one), lease.is_for(&other)), (Some(true), Some(false)));
        assert!(lease.as_str().len() <= LEASE_MAX);
        for silent in [Lease::generate(&mut rng, None), Lease::new("x").unwrap()] {
            assert_eq!(silent.is_for(&one), None);
        }
        let marks: std::collections::BTreeSet<String> =
            (0..1_000).map(|_| Instance::generate(&mut rng).mark().collect()).collect();
        assert_eq!(marks.len(), 1_000);
    }
}
