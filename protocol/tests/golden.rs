//! The wire as it stands: each file in `wire/` is a message, or the `data` of a reply. Files are added, never
//! edited: what old programs have sent must be understood for ever.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use taskgrid_protocol::codec::{Element, decode};
use taskgrid_protocol::limits::TOKEN_SHOWN_MAX;
use taskgrid_protocol::{ErrorReply, Message, body};

fn from() -> SocketAddr {
    ([127, 0, 0, 1], 9000).into()
}

/// Name and text of the files that are messages, or of those that are replies.
fn files(replies: bool) -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files = paths.into_iter().map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    });
    files.filter(|(name, _)| name.starts_with("reply_") == replies).collect()
}

fn decode_message(text: &str) -> Message {
    let mut elements = Vec::new();
    decode(text.as_bytes(), from(), &mut |element| elements.push(element));
    match elements.pop() {
        Some(Element::Message(message)) if elements.is_empty() => message,
        other => panic!("{text} is not one message: {other:?}"),
    }
}

/// A JSON object with its fields in the order in which they stand.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The JSON with its fields in reverse order, at every level but inside payloads and results, whose bytes
/// are their owners'.
fn reversed(text: &str) -> String {
    if let Ok(Fields(fields)) = serde_json::from_str(text) {
        let turned = fields.iter().rev().map(|(name, value)| {
            let opaque = name == "payload" || name == "result";
            let value = if opaque { value.get().to_owned() } else { reversed(value.get()) };
            format!("{}:{value}", Value::from(name.as_str()))
        });
        return format!("{{{}}}", turned.collect::<Vec<_>>().join(","));
    }
    if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
        return format!("[{}]", items.iter().map(|item| reversed(item.get())).collect::<Vec<_>>().join(","));
    }
    text.to_owned()
}

#[test]
fn every_message_is_decoded_and_encoded_to_the_same() {
    for (name, text) in files(false) {
        let message = decode_message(&text);
        let encoded: Value = serde_json::from_slice(&message.encode()).unwrap();
        assert_eq!(encoded, serde_json::from_str::<Value>(&text).unwrap(), "{name}");
    }
}

#[test]
fn the_order_of_fields_does_not_matter() {
    for (name, text) in files(false) {
        let turned = reversed(&text);
        assert_ne!(turned, text.trim_end(), "{name} was turned");
        let (one, other) = (decode_message(text.trim_end()), decode_message(&turned));
        if name == "response" {
            // What it holds is its asker's business.
            continue;
        }
        assert_eq!(one, other, "{name}");
    }
}

#[test]
fn every_kind_of_message_has_a_file() {
    let kinds: BTreeSet<&str> = files(false).iter().map(|(_, text)| decode_message(text).body.kind()).collect();
    let document = include_str!("../../docs/PROTOCOL.md");
    assert_eq!(kinds.len(), 20, "{kinds:?}");
    for kind in kinds {
        assert!(document.contains(kind), "{kind} does not stand in docs/PROTOCOL.md");
    }
}

/// Reads a reply in both orders of its fields and writes it again.
fn check<T: DeserializeOwned + Serialize>(name: &str, text: &str) {
    let mut expected: Value = serde_json::from_str(text).unwrap();
    if let Some(Value::String(lease)) = expected.pointer_mut("/task/lease") {
        // 0.1.0 sent whole leases. They are still read.
        lease.truncate(TOKEN_SHOWN_MAX);
    }
    for text in [text.to_owned(), reversed(text)] {
        let reply: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(&reply).unwrap(), expected, "{name}");
    }
}

#[test]
fn every_reply_is_read_and_written_to_the_same() {
    for (name, text) in files(true) {
        match name.trim_start_matches("reply_").split('_').next().unwrap() {
            "post" => check::<body::PostReply>(&name, &text),
            "result" => check::<body::ResultReply>(&name, &text),
            "order" => check::<body::OrderReply>(&name, &text),
            "task" => check::<body::TaskReply>(&name, &text),
            "list" => check::<body::ListTasksReply>(&name, &text),
            "workers" => check::<body::ListWorkersReply>(&name, &text),
            "stats" => check::<body::StatsReply>(&name, &text),
            "ping" => check::<body::PingReply>(&name, &text),
            "register" => check::<body::RegisterReply>(&name, &text),
            "lookup" => check::<body::LookupReply>(&name, &text),
            "heartbeat" => check::<body::HeartbeatReply>(&name, &text),
            "stored" => check::<body::Stored>(&name, &text),
            "error" => check::<ErrorReply>(&name, &text),
            other => panic!("no test reads {other}"),
        }
    }
}

/// The payload's own bytes are kept, white space, escapes and order of fields included.
#[test]
fn payloads_keep_their_bytes() {
    let payload = r#"{ "z":1.0,"a" : "\u00e9\/" }"#;
    let text = format!(r#"{{"type":"POST_TASK","data":{{"payload":{payload},"type":"reverse"}}}}"#);
    let body::Body::PostTask(post) = decode_message(&text).body else { panic!("not a POST_TASK") };
    assert_eq!(post.payload.get(), payload);
}

/// Each example in the document is a message that is understood.
#[test]
fn the_examples_of_the_document_are_understood() {
    let document = include_str!("../../docs/PROTOCOL.md");
    let mut examples = 0;
    for block in document.split("```json\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            decode_message(line);
            examples += 1;
        }
    }
    assert!(examples > 20, "{examples} examples were found");
}
