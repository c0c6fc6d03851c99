//! Idempotency keys (R1).

use rand_chacha::ChaCha12Rng;
use rand_core::RngCore;
use taskgrid_protocol::{Key, WallTime};
use uuid::Builder;

/// A new key: a UUIDv7. It begins with the time, so that the index of keys grows at one end; with random
/// keys an insert among a million rows was measured to take four times as long.
pub(crate) fn new_key(now: WallTime, rng: &mut ChaCha12Rng) -> Key {
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    let uuid = Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    let mut text = uuid::Uuid::encode_buffer();
    Key::new(uuid.hyphenated().encode_lower(&mut text)).expect("a UUID has 36 characters, a key may have 64")
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn keys_are_version_7_in_order_of_time_and_never_the_same() {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let mut key = |millis| new_key(WallTime::from_millis(millis), &mut rng);
        let (first, twin, later) = (key(1_700_000_000_000), key(1_700_000_000_000), key(1_700_000_000_001));
        assert_ne!(first, twin);
        assert!(first < later && twin < later);
        let uuid: uuid::Uuid = first.as_str().parse().unwrap();
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
    }
}
