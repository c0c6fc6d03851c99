//! The one door through which payloads and results come in.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::JSON_DEPTH_MAX;

/// A JSON value that has been checked once, with the very bytes it arrived in.
///
/// Checked are the nesting depth, the escapes (a lone surrogate has no UTF-8 form), and that numbers
/// are finite. `serde_json`'s own [`RawValue`] checks none of these; what it lets through would fail
/// later, at a worker, again and again (R36).
#[derive(Clone, Debug)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The value `null`.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// Checks `raw` and keeps its bytes.
    pub fn check(raw: &RawValue) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        Strict { depth: 0 }.deserialize(&mut deserializer)?;
        Ok(Self(raw.to_owned()))
    }

    /// Parses and checks JSON text.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        Self::check(serde_json::from_str(text)?)
    }

    /// The JSON string that holds `text`.
    pub fn string(text: &str) -> Self {
        Self::of(&text)
    }

    /// The JSON form of a value of ours.
    ///
    /// Panics when the value has none (a map with keys that are not strings), which is a mistake in the
    /// program.
    pub fn of<T: Serialize>(value: &T) -> Self {
        Self(serde_json::value::to_raw_value(value).expect("our own types have a JSON form"))
    }

    /// The text, byte for byte as it arrived.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    pub(crate) fn raw(&self) -> &RawValue {
        &self.0
    }

    /// Reads the value into a Rust type.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.get())
    }

    /// The length of the text in bytes.
    pub fn len(&self) -> usize {
        self.get().len()
    }

    /// Never: the shortest JSON value has one byte.
    pub fn is_empty(&self) -> bool {
        false
    }
}

impl PartialEq for Json {
    /// Compares bytes, not meaning: `1.0` differs from `1`.
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Self::check(raw).map_err(de::Error::custom)
    }
}

/// Reads an object into a struct. `serde_json` by itself also takes an array for the fields in their order, which would
/// make that order a part of the protocol.
pub(crate) fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, serde_json::Error> {
    if !raw.get().starts_with('{') {
        return Err(de::Error::custom("expected a JSON object"));
    }
    serde_json::from_str(raw.get())
}

/// [`object`], for `#[serde(default, deserialize_with = "optional_object")]`.
pub(crate) fn optional_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    raw.map(object).transpose().map_err(de::Error::custom)
}

/// [`object`], for `#[serde(deserialize_with = "objects")]` on a list of them.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raws = Vec::<&RawValue>::deserialize(deserializer)?;
    raws.into_iter().map(object).collect::<Result<_, _>>().map_err(de::Error::custom)
}

/// For `#[serde(default, deserialize_with = "present")]`: a field that is there with `null` is
/// `Some(null)`, since `null` is a result like any other; only a missing one is `None`.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Walks a value without keeping it. `deserialize_any` decodes every string and number on its way, so
/// illegal escapes and numbers beyond a double are found.
struct Strict {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Strict {
    fn deeper<E: de::Error>(&self) -> Result<Self, E> {
        if self.depth == JSON_DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {JSON_DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.deeper::<A::Error>()?;
        while items.next_element_seed(self.deeper::<A::Error>()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = || self.deeper::<A::Error>();
        inner()?;
        while entries.next_key_seed(inner()?)?.is_some() {
            entries.next_value_seed(inner()?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_bytes_of_what_it_accepts() {
        for text in ["1.0", "-0", "1e3", "\"\\u00e9\"", "\"\\ud83d\\ude00\"", "{ \"b\":1, \"a\" :null }", "[]"] {
            assert_eq!(Json::parse(text).unwrap().get(), text);
        }
    }

    #[test]
    fn refuses_what_would_be_poison_later() {
        for text in ["\"\\ud800\"", "1e999999", "[\"\\udc00\\ud800\"]", "{\"\\ud800\":1}", "nul", "", "1 2"] {
            assert!(Json::parse(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn nests_up_to_the_limit_and_no_deeper() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(&nested(JSON_DEPTH_MAX)).is_ok());
        assert!(Json::parse(&nested(JSON_DEPTH_MAX + 1)).is_err());
        assert!(Json::parse(&nested(30_000)).is_err());
    }
}
