//! Datagrams to messages.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::value::RawValue;

use crate::envelope::Envelope;
use crate::limits::ARRAY_MAX;
use crate::{Body, ErrorCode, ErrorReply, Json, Message, ReplyTo, RequestId};

/// One element of a datagram.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// A well-formed message.
    Message(Message),
    /// It has the form of a request but cannot be used: this is its answer.
    Refused(ReplyTo, ErrorReply),
}

/// Decodes a datagram: a message or an array of them, each handled as if it had come alone. What is not
/// well-formed and has not the form of a request either yields nothing (R36).
pub fn decode(datagram: &[u8], from: SocketAddr, sink: &mut impl FnMut(Element)) {
    let Ok(text) = std::str::from_utf8(datagram) else {
        let text = String::from_utf8_lossy(datagram);
        if let Some(id) = request_form(&text) {
            let to = ReplyTo::new(from, id, false, datagram.len());
            refuse(to, "the datagram is not UTF-8", sink);
        }
        return;
    };
    if text.trim_ascii_start().starts_with('[') {
        decode_array(text, from, sink);
    } else if let Some(element) = decode_one(text, from, false) {
        sink(element);
    }
}

fn decode_array(text: &str, from: SocketAddr, sink: &mut impl FnMut(Element)) {
    let to = ReplyTo::new(from, None, true, text.len());
    let elements: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(elements) => elements,
        Err(_) => return refuse(to, "the datagram is not a JSON array of messages", sink),
    };
    if elements.len() > ARRAY_MAX {
        return refuse(to, &format!("an array holds at most {ARRAY_MAX} messages"), sink);
    }
    for element in elements {
        if let Some(element) = decode_one(element.get(), from, true) {
            sink(element);
        }
    }
}

fn decode_one(text: &str, from: SocketAddr, packed: bool) -> Option<Element> {
    let envelope: Envelope<'_> = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) => {
            let id = request_form(text)?;
            return Some(refused(ReplyTo::new(from, id, packed, text.len()), &error));
        }
    };
    let beside = envelope.beside();
    if envelope.kind == "RESPONSE" {
        // Only our own requests are awaited, and those carry an `id`, so their answers have `data`.
        let body = Body::Response(Json::check(envelope.data?).ok()?);
        return Some(Element::Message(Message { beside, body, packed, length: text.len() }));
    }
    if envelope.error.is_some() {
        return None;
    }
    let reply_to = ReplyTo::new(from, beside.id.clone(), packed, text.len());
    let data = match envelope.data {
        Some(data) => data,
        None => serde_json::from_str("{}").expect("an empty object is JSON"),
    };
    let element = match Body::decode(&envelope.kind, data) {
        Some(Ok(body)) => Element::Message(Message { beside, body, packed, length: text.len() }),
        Some(Err(error)) => refused(reply_to, &error),
        None => {
            let error = ErrorReply::new(
                ErrorCode::UnknownMessage,
                "no message has this 'type'; docs/PROTOCOL.md lists those there are",
            );
            Element::Refused(reply_to, error)
        }
    };
    Some(element)
}

/// Whether `text` has the form of a request: a JSON object with a string `type` other than RESPONSE, and
/// no `error`. If so, its `id`, where that is legal.
fn request_form(text: &str) -> Option<Option<RequestId>> {
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).ok()?;
    let kind: String = serde_json::from_str(fields.get("type")?.get()).ok()?;
    if kind == "RESPONSE" || fields.contains_key("error") {
        return None;
    }
    Some(fields.get("id").and_then(|id| RequestId::check(id).ok()))
}

fn refuse(reply_to: ReplyTo, why: &str, sink: &mut impl FnMut(Element)) {
    sink(Element::Refused(reply_to, ErrorReply::new(ErrorCode::BadRequest, why)));
}

fn refused(reply_to: ReplyTo, error: &serde_json::Error) -> Element {
    Element::Refused(reply_to, ErrorReply::new(ErrorCode::BadRequest, sentence(&error.to_string())))
}

/// What the parser said, less what it quotes of the sender's values: nobody can make a server repeat their
/// text to somebody else.
fn sentence(error: &str) -> String {
    let error = error.rsplit_once(" at line ").map_or(error, |(what, _)| what);
    let quotes_a_value = error.starts_with("invalid type: ") || error.starts_with("invalid value: ");
    match error.rsplit_once(", expected ") {
        Some((_, expected)) if quotes_a_value => format!("expected {expected}"),
        _ => error.chars().filter(|c| !c.is_control()).take(200).collect(),
    }
}
