//! The tasks themselves: each with a payload of its own, whose result is known beforehand.

use std::fmt::Write;

use rand_chacha::ChaCha12Rng;
use rand_core::RngCore;
use taskgrid_protocol::body::PostTask;
use taskgrid_protocol::{Json, Key, TaskType, WallTime};

use super::plan::{Keys, Plan};
use crate::api::new_key;

/// What payloads are filled up with.
const FILLING: &str = " The quick brown fox jumps over the lazy dog.";

#[derive(Debug)]
pub(super) struct Tasks {
    task_type: TaskType,
    /// The length of a payload without its quotes.
    length: Option<usize>,
    keys: Keys,
    rng: ChaCha12Rng,
    /// The payload, and then what is expected of it. Kept, so that they cost no allocation a task.
    payload: String,
    expected: String,
}

impl Tasks {
    pub(super) fn new(plan: &Plan, rng: ChaCha12Rng) -> Self {
        Self {
            task_type: plan.task_type.clone(),
            length: plan.payload_bytes.map(|bytes| bytes.saturating_sub(2)),
            keys: plan.keys,
            rng,
            payload: String::new(),
            expected: String::new(),
        }
    }

    /// The task of this number. A UUIDv7 begins with `wall`.
    pub(super) fn task(&mut self, number: u64, wall: WallTime) -> PostTask {
        self.write_payload(number);
        let key = match self.keys {
            Keys::V7 => Some(new_key(wall, &mut self.rng)),
            Keys::V4 => Some(random_key(&mut self.rng)),
            Keys::Off => None,
        };
        PostTask { key, ..PostTask::new(self.task_type.clone(), Json::string(&self.payload)) }
    }

    /// Whether this is what the type makes of the task's payload, as far as we know it.
    pub(super) fn is_right(&mut self, number: u64, result: &Json) -> bool {
        self.write_payload(number);
        let Self { payload, expected, .. } = self;
        expected.clear();
        expected.push('"');
        match self.task_type.as_str() {
            "reverse" => expected.extend(payload.chars().rev()),
            "upper" => expected.extend(payload.chars().map(|c| c.to_ascii_uppercase())),
            _ => return true,
        }
        expected.push('"');
        // A string has other forms in JSON, too.
        let is_same = |text: String| text == expected[1..expected.len() - 1];
        result.get() == expected || result.read::<String>().is_ok_and(is_same)
    }

    /// What was asked for, for people.
    pub(super) fn payload(&mut self, number: u64) -> &str {
        self.write_payload(number);
        &self.payload
    }

    /// ASCII that JSON has no escapes for. Where there is not enough room, the number counts most.
    fn write_payload(&mut self, number: u64) {
        let text = &mut self.payload;
        text.clear();
        write!(text, "TaskGrid {number}").expect("a String takes everything");
        let Some(length) = self.length else { return };
        if text.len() > length {
            text.drain(..text.len() - length);
        }
        while text.len() < length {
            let missing = length - text.len();
            text.push_str(&FILLING[..missing.min(FILLING.len())]);
        }
    }
}

fn random_key(rng: &mut ChaCha12Rng) -> Key {
    let mut random = [0; 16];
    rng.fill_bytes(&mut random);
    let mut text = uuid::Uuid::encode_buffer();
    let uuid = uuid::Builder::from_random_bytes(random).into_uuid();
    Key::new(uuid.hyphenated().encode_lower(&mut text)).expect("a UUID has 36 characters, a key may have 64")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use rand_core::SeedableRng;

    use super::super::plan::{Amount, Pace};
    use super::*;

    fn tasks(task_type: &str, payload_bytes: Option<usize>, keys: Keys) -> Tasks {
        let plan = Plan {
            task_type: TaskType::new(task_type).unwrap(),
            payload_bytes,
            keys,
            pack: false,
            wait: true,
            pace: Pace::Closed,
            in_flight: 1,
            amount: Amount::Tasks(1),
            warm_up: Duration::ZERO,
            patience: Duration::from_secs(30),
        };
        Tasks::new(&plan, ChaCha12Rng::seed_from_u64(1))
    }

    #[test]
    fn a_result_is_right_when_it_is_that_of_its_own_task() {
        let mut reverse = tasks("reverse", None, Keys::V7);
        assert!(reverse.is_right(7, &Json::string("7 dirGksaT")));
        assert!(reverse.is_right(7, &Json::parse(r#""7 \u0064irGksaT""#).unwrap()), "the same in other words");
        assert!(!reverse.is_right(7, &Json::string("8 dirGksaT")));
        assert!(!reverse.is_right(7, &Json::null()));
        assert!(tasks("upper", None, Keys::V7).is_right(7, &Json::string("TASKGRID 7")));
        assert!(tasks("report", None, Keys::V7).is_right(7, &Json::null()));
    }

    #[test]
    fn a_payload_has_the_length_that_was_asked_for_and_is_reversed_whole() {
        for bytes in [2, 3, 11, 12, 13, 14, 60, 1_000, 49_152] {
            let mut reverse = tasks("reverse", Some(bytes), Keys::V7);
            let payload = reverse.task(42, WallTime::from_millis(0)).payload;
            assert_eq!(payload.len(), bytes, "{}", payload.get());
            let text: String = payload.read().unwrap();
            let reversed: String = text.chars().rev().collect();
            assert!(reverse.is_right(42, &Json::string(&reversed)), "{reversed}");
            if bytes > 2 {
                assert!(!reverse.is_right(43, &Json::string(&reversed)), "{reversed}");
            }
        }
    }

    #[test]
    fn keys_are_of_the_kind_that_was_asked_for() {
        let version = |keys| {
            let mut tasks = tasks("reverse", None, keys);
            let mut key = || tasks.task(1, WallTime::from_millis(1_700_000_000_000)).key;
            let made = BTreeSet::from([key(), key()]);
            assert_eq!(made.len(), if keys == Keys::Off { 1 } else { 2 }, "never the same");
            let key = made.into_iter().next().flatten()?;
            Some(key.as_str().parse::<uuid::Uuid>().unwrap().get_version_num())
        };
        assert_eq!((version(Keys::V7), version(Keys::V4), version(Keys::Off)), (Some(7), Some(4), None));
    }
}
