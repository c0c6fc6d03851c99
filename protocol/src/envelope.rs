//! What stands around `data`.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{Beside, Instance, Lease, RequestId};

/// The first step of decoding: `data` stays raw until `type` says what it is. Not an adjacently tagged
/// enum, since that fails or loses the raw bytes when `data` stands before `type`.
///
/// `derive(Deserialize)` refuses a field that stands twice, and passes over fields it does not know.
#[derive(Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) data: Option<&'a RawValue>,
    pub(crate) error: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "id")]
    id: Option<RequestId>,
    lease: Option<Lease>,
    instance: Option<Instance>,
    attempt: Option<u32>,
    timeout_s: Option<u64>,
    free_slots: Option<u32>,
}

/// Goes through a raw value, as an `Option` over one does not.
fn id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<RequestId>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    if raw.get() == "null" {
        return Ok(None);
    }
    RequestId::check(raw).map(Some).map_err(serde::de::Error::custom)
}

impl Envelope<'_> {
    pub(crate) fn beside(&self) -> Beside {
        Beside {
            id: self.id.clone(),
            lease: self.lease.clone(),
            instance: self.instance.clone(),
            attempt: self.attempt,
            timeout_s: self.timeout_s,
            free_slots: self.free_slots,
        }
    }
}

/// The same for sending.
pub(crate) struct Outgoing<'a, T> {
    pub(crate) kind: &'static str,
    pub(crate) beside: &'a Beside,
    pub(crate) data: &'a T,
}

impl<T: Serialize> Serialize for Outgoing<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Beside { id, lease, instance, attempt, timeout_s, free_slots } = self.beside;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.kind)?;
        entry(&mut map, "id", id.as_ref())?;
        entry(&mut map, "lease", lease.as_ref())?;
        entry(&mut map, "instance", instance.as_ref())?;
        entry(&mut map, "attempt", attempt.as_ref())?;
        entry(&mut map, "timeout_s", timeout_s.as_ref())?;
        entry(&mut map, "free_slots", free_slots.as_ref())?;
        map.serialize_entry("data", self.data)?;
        map.end()
    }
}

fn entry<M: SerializeMap>(map: &mut M, name: &str, value: Option<&impl Serialize>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, value))
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(number) = self.as_number() {
            return serializer.serialize_u64(number);
        }
        let raw: &RawValue = serde_json::from_str(self.as_json()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}
