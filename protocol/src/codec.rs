//! Datagrams to messages.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::value::RawValue;

use crate::envelope::Envelope;
use crate::limits::ARRAY_MAX;
use crate::malformed::{sentence, why_not_json};
use crate::{Body, ErrorCode, ErrorReply, Json, Message, ReplyTo, RequestId};

/// One element of a datagram.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// A well-formed message.
    Message(Message),
    /// It has the form of a request but cannot be used: this is its answer.
    Refused(ReplyTo, ErrorReply),
    /// It begins like JSON and is not: this is its answer, of which one source gets a few a second.
    Malformed(ReplyTo, ErrorReply),
}

/// Decodes a datagram: a message or an array of them, each handled as if it had come alone. What is not
/// well-formed and does not begin like JSON either yields nothing (R36).
pub fn decode(datagram: &[u8], from: SocketAddr, sink: &mut impl FnMut(Element)) {
    let length = datagram.len();
    let bytes = trim(datagram);
    let Ok(text) = std::str::from_utf8(bytes) else {
        let text = String::from_utf8_lossy(bytes);
        return decode_odd_bytes(&text, |id| ReplyTo::new(from, id, text.starts_with('['), length), sink);
    };
    if text.starts_with('[') {
        decode_array(text, length, from, sink);
    } else if let Some(element) = decode_one(text, length, from, false) {
        sink(element);
    }
}

/// Without what clients send around JSON by mistake: a byte-order mark, as .NET writes one, and the NUL that ends a
/// string in C.
fn trim(datagram: &[u8]) -> &[u8] {
    let bytes = datagram.strip_prefix(b"\xef\xbb\xbf").unwrap_or(datagram).trim_ascii();
    let end = bytes.iter().rposition(|byte| *byte != 0 && !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
    &bytes[..end]
}

fn decode_odd_bytes(text: &str, reply_to: impl Fn(Option<RequestId>) -> ReplyTo, sink: &mut impl FnMut(Element)) {
    if let Some(id) = request_form(text) {
        sink(refused(reply_to(id), "the datagram is not UTF-8"));
    } else if let Some(why) = why_not_json(text) {
        sink(Element::Malformed(reply_to(None), bad_request(&why)));
    }
}

fn decode_array(text: &str, length: usize, from: SocketAddr, sink: &mut impl FnMut(Element)) {
    match envelopes(text) {
        Some(envelopes) => {
            envelopes.into_iter().filter_map(|(envelope, length)| open(envelope, length, from, true)).for_each(sink);
        }
        None => decode_odd_array(text, length, from, sink),
    }
}

/// What JSON has between its words.
const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The elements of an array in which each has the form of a message, with their lengths. Each is read once; to find out
/// first where each ends takes a third as long again.
fn envelopes(text: &str) -> Option<Vec<(Envelope<'_>, usize)>> {
    let mut envelopes = Vec::new();
    let mut rest = text.trim_matches(WHITE_SPACE).strip_prefix('[')?.trim_start_matches(WHITE_SPACE);
    while rest.starts_with('{') {
        let mut element = serde_json::Deserializer::from_str(rest).into_iter();
        let envelope = element.next()?.ok()?;
        let (_, behind) = rest.split_at(element.byte_offset());
        if envelopes.len() == ARRAY_MAX {
            return None;
        }
        envelopes.push((envelope, rest.len() - behind.len()));
        match behind.trim_start_matches(WHITE_SPACE).split_at_checked(1)? {
            ("]", "") => return Some(envelopes),
            (",", behind) => rest = behind.trim_start_matches(WHITE_SPACE),
            _ => return None,
        }
    }
    None
}

/// An array that is malformed, too long, or has elements that are.
fn decode_odd_array(text: &str, length: usize, from: SocketAddr, sink: &mut impl FnMut(Element)) {
    let to = ReplyTo::new(from, None, true, length);
    let elements: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(elements) => elements,
        Err(_) => {
            if let Some(why) = why_not_json(text) {
                sink(Element::Malformed(to, bad_request(&why)));
            }
            return;
        }
    };
    if elements.len() > ARRAY_MAX {
        return sink(refused(to, &format!("an array holds at most {ARRAY_MAX} messages")));
    }
    for element in elements {
        if let Some(element) = decode_one(element.get(), element.get().len(), from, true) {
            sink(element);
        }
    }
}

fn decode_one(text: &str, length: usize, from: SocketAddr, packed: bool) -> Option<Element> {
    if !text.starts_with('{') {
        return None;
    }
    let error = match serde_json::from_str(text) {
        Ok(envelope) => return open(envelope, length, from, packed),
        Err(error) => error,
    };
    let reply_to = |id| ReplyTo::new(from, id, packed, length);
    match request_form(text) {
        Some(id) => Some(refused(reply_to(id), &sentence(&error))),
        None => why_not_json(text).map(|why| Element::Malformed(reply_to(None), bad_request(&why))),
    }
}

/// What is in an envelope that was `length` bytes long.
fn open(envelope: Envelope<'_>, length: usize, from: SocketAddr, packed: bool) -> Option<Element> {
    let beside = envelope.beside();
    if envelope.kind == "RESPONSE" {
        // Only our own requests are awaited, and those carry an `id`, so their answers have `data`.
        let body = Body::Response(Json::check(envelope.data?).ok()?);
        return Some(Element::Message(Message { beside, body, packed, length }));
    }
    if envelope.error.is_some() {
        return None;
    }
    let reply_to = ReplyTo::new(from, beside.id.clone(), packed, length);
    let data = match envelope.data {
        Some(data) => data,
        None => serde_json::from_str("{}").expect("an empty object is JSON"),
    };
    let element = match Body::decode(&envelope.kind, data) {
        Some(Ok(body)) => Element::Message(Message { beside, body, packed, length }),
        Some(Err(error)) => refused(reply_to, &sentence(&error)),
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

fn refused(reply_to: ReplyTo, why: &str) -> Element {
    Element::Refused(reply_to, bad_request(why))
}

fn bad_request(why: &str) -> ErrorReply {
    ErrorReply::new(ErrorCode::BadRequest, why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FROM: ([u8; 4], u16) = ([203, 0, 113, 9], 4000);

    fn odd(text: &str) -> Vec<Element> {
        let mut elements = Vec::new();
        decode_odd_array(text, text.len(), FROM.into(), &mut |element| elements.push(element));
        elements
    }

    fn usual(text: &str) -> Option<Vec<Element>> {
        let opened = envelopes(text)?.into_iter();
        Some(opened.filter_map(|(envelope, length)| open(envelope, length, FROM.into(), true)).collect())
    }

    const PARTS: [&str; 17] = [
        "\u{c}",
        "[",
        "]",
        ",",
        " ",
        "\n",
        "{",
        "}",
        "{}",
        "7",
        "null",
        "\"x\"",
        "[]",
        r#"{"type":"PING","id":1}"#,
        r#"{ "data" : {"task_id":7}, "type":"GET_RESULT" }"#,
        r#"{"type":"RESPONSE","id":"a","data":{"result":"[,]}"}}"#,
        r#"{"type":"POST_TASK","id":1,"data":{"type":"a","payload":"\ud800"}}"#,
    ];

    proptest! {
        /// What is read in one go is what is read in two.
        #[test]
        fn arrays_of_messages_are_read_alike_in_both_ways(parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..12)) {
            for text in [parts.concat(), format!("[{}]", parts.join(",")), format!(" [ {} ] ", parts.join(" , "))] {
                if let Some(elements) = usual(&text) {
                    prop_assert_eq!(elements, odd(&text), "{}", text);
                }
            }
        }
    }

    #[test]
    fn an_array_of_messages_is_read_in_one_go() {
        let text = r#" [ {"type":"PING","id":1} ,{"type":"NOPE","id":2}] "#;
        assert_eq!(usual(text).unwrap(), odd(text));
        assert_eq!(odd(text).len(), 2);
        for text in
            ["[]", "[7]", r#"[{"type":"PING"},]"#, r#"[{"type":"PING"}]]"#, r#"[{"type":"PING"}{"type":"PING"}]"#]
        {
            assert_eq!(usual(text), None, "{text}");
        }
    }
}
