//! The decoder, fed with any bytes.

use std::net::SocketAddr;

use taskgrid_protocol::codec::{self, Element};
use taskgrid_protocol::limits::{ARRAY_MAX, DATAGRAM_MAX};
use taskgrid_protocol::{Body, Message};

use crate::Reached;

pub(crate) fn run(input: &[u8]) -> Reached {
    let datagram = &input[..input.len().min(DATAGRAM_MAX)];
    let elements = decode(datagram);
    let begin = datagram.strip_prefix(b"\xef\xbb\xbf").unwrap_or(datagram).trim_ascii_start();
    let is_array = begin.first() == Some(&b'[');
    assert!(elements.len() <= if is_array { ARRAY_MAX } else { 1 }, "{} elements", elements.len());
    if is_array && serde_json::from_slice::<Vec<serde_json::Value>>(datagram).is_err_and(|error| error.is_eof()) {
        assert!(elements.len() <= 1, "what is cut off is one mistake");
    }
    let mut reached = Reached::new();
    for element in elements {
        match element {
            Element::Message(message) => {
                assert_eq!(message.packed, is_array);
                reached.insert(message.body.kind().to_owned());
                check_round_trip(message);
            }
            Element::Refused(to, error) | Element::Malformed(to, error) => {
                assert_eq!(to.packed, is_array);
                reached.insert(format!("{:?}", error.code));
                let Some(answer) = to.answer(&error) else { continue };
                assert!(answer.bytes.len() <= 1_200, "a refusal is short: {}", answer.bytes.len());
                let answer = decode(&answer.bytes).pop();
                assert!(matches!(answer, Some(Element::Message(Message { body: Body::Response(_), .. }))));
            }
        }
    }
    reached
}

/// What was understood is written and understood again.
fn check_round_trip(mut message: Message) {
    message.packed = false;
    let encoded = message.encode();
    let again = match <[Element; 1]>::try_from(decode(&encoded)) {
        // How long it was is not part of what it says.
        Ok([Element::Message(again)]) => Message { length: message.length, ..again },
        other => panic!("{} became {other:?}", String::from_utf8_lossy(&encoded)),
    };
    if is_exact(&message) {
        assert_eq!(again, message);
    } else {
        assert_eq!(again.body.kind(), message.body.kind());
    }
}

/// Whether nothing of a message has a second form on the wire: a TASK without `result` is one with `null`.
fn is_exact(message: &Message) -> bool {
    !matches!(message.body, Body::Task(_))
}

fn decode(datagram: &[u8]) -> Vec<Element> {
    let from: SocketAddr = ([127, 0, 0, 1], 9000).into();
    let mut elements = Vec::new();
    codec::decode(datagram, from, &mut |element| elements.push(element));
    elements
}
