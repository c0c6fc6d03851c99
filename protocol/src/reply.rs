//! Answers, in the two forms that clients expect.

use std::net::SocketAddr;

use serde::Serialize;

use crate::limits::DOUBLED_REPLY_MAX;
use crate::{RequestId, Transmit};

/// Where an answer goes and which form it takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplyTo {
    /// The source of the request.
    pub addr: SocketAddr,
    /// The `id` of the request. Without one it came from a plain client.
    pub id: Option<RequestId>,
    /// Whether the request came in an array, so that the answer may travel in one.
    pub packed: bool,
}

impl ReplyTo {
    /// Encodes an answer.
    ///
    /// A request with an `id` gets `{"type":"RESPONSE","id":…,"data":{…}}`. A plain client reads its
    /// fields at the top level or under `data`, so it gets both, and the top level alone where both would
    /// be long (R35).
    ///
    /// Panics when `data` does not serialise to a JSON object, which is a mistake in the program.
    pub fn answer(&self, data: &impl Serialize) -> Transmit {
        let data = serde_json::to_string(data).expect("our own replies have a JSON form");
        let fields =
            data.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).expect("the data of a reply is an object");
        let text = match &self.id {
            Some(id) => format!(r#"{{"type":"RESPONSE","id":{},"data":{data}}}"#, id.as_json()),
            None if fields.is_empty() => String::from(r#"{"type":"RESPONSE","data":{}}"#),
            None => {
                let doubled = format!(r#"{{"type":"RESPONSE",{fields},"data":{data}}}"#);
                if doubled.len() <= DOUBLED_REPLY_MAX { doubled } else { format!(r#"{{"type":"RESPONSE",{fields}}}"#) }
            }
        };
        Transmit { to: self.addr, bytes: text.into_bytes(), pack: self.packed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorCode, ErrorReply};

    fn text(id: Option<RequestId>, error: &ErrorReply) -> String {
        let to = ReplyTo { addr: ([127, 0, 0, 1], 9).into(), id, packed: false };
        String::from_utf8(to.answer(error).bytes).unwrap()
    }

    #[test]
    fn a_plain_client_finds_the_fields_in_both_places() {
        let error = ErrorReply::new(ErrorCode::NotFound, "Task not found");
        assert_eq!(
            text(None, &error),
            r#"{"type":"RESPONSE","error":"Task not found","code":"NOT_FOUND","data":{"error":"Task not found","code":"NOT_FOUND"}}"#
        );
    }

    #[test]
    fn a_long_plain_reply_has_its_fields_once() {
        let error = ErrorReply::new(ErrorCode::TaskFailed, "x".repeat(700));
        let reply = text(None, &error);
        assert!(!reply.contains("\"data\"") && reply.starts_with(r#"{"type":"RESPONSE","error":"xxx"#));
    }

    #[test]
    fn an_id_is_echoed_and_the_fields_stand_under_data_only() {
        let error = ErrorReply::new(ErrorCode::NotFound, "Task not found");
        assert_eq!(
            text(Some(RequestId::number(7)), &error),
            r#"{"type":"RESPONSE","id":7,"data":{"error":"Task not found","code":"NOT_FOUND"}}"#
        );
    }
}
