//! Answers, in the two forms that clients expect, and not too long for strangers.

use std::cmp::Ordering;
use std::net::{Ipv4Addr, SocketAddr};

use serde::Serialize;

use crate::limits::{AMPLIFICATION_MAX, DOUBLED_REPLY_MAX};
use crate::{ErrorCode, ErrorReply, RequestId, Transmit, is_near};

/// Where an answer goes and which form it takes. Two are equal if they answer the same request, however long
/// its copies were.
#[derive(Clone, Debug)]
pub struct ReplyTo {
    /// The source of the request.
    pub addr: SocketAddr,
    /// The `id` of the request. Without one it came from a plain client.
    pub id: Option<RequestId>,
    /// Whether the request came in an array, so that the answer may travel in one.
    pub packed: bool,
    /// How long the answer may be, where that matters: the source may be forged, and its owner must not be
    /// flooded by us (R37).
    longest: Option<usize>,
}

impl PartialEq for ReplyTo {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ReplyTo {}

impl PartialOrd for ReplyTo {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ReplyTo {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.addr, &self.id, self.packed).cmp(&(other.addr, &other.id, other.packed))
    }
}

impl ReplyTo {
    /// The answer to a request of `length` bytes.
    pub fn new(addr: SocketAddr, id: Option<RequestId>, packed: bool, length: usize) -> Self {
        let longest = (!is_near(addr.ip())).then_some(length * AMPLIFICATION_MAX);
        Self { addr, id, packed, longest }
    }

    /// The one that stands before all others in their order, for looking through a range of them.
    pub fn least() -> Self {
        Self { addr: (Ipv4Addr::UNSPECIFIED, 0).into(), id: None, packed: false, longest: None }
    }

    /// Whether the source may be forged, so that answers had better be short (R37).
    pub fn is_stranger(&self) -> bool {
        self.longest.is_some()
    }

    /// Encodes an answer.
    ///
    /// A request with an `id` gets `{"type":"RESPONSE","id":…,"data":{…}}`. A plain client reads its
    /// fields at the top level or under `data`, so it gets both, and the top level alone where both would
    /// be long (R35). A stranger who gets more than they sent is asked for a longer request; `None`: even that
    /// is too long.
    ///
    /// Panics when `data` does not serialise to a JSON object, which is a mistake in the program.
    pub fn answer(&self, data: &impl Serialize) -> Option<Transmit> {
        let longest = self.longest.unwrap_or(usize::MAX);
        let bytes = match &self.id {
            Some(id) => under_data(id, data),
            None => plain(data, longest.min(DOUBLED_REPLY_MAX)),
        };
        let bytes = if bytes.len() <= longest { bytes } else { self.ask_for_padding(bytes.len(), longest)? };
        Some(Transmit { to: self.addr, bytes, pack: self.packed })
    }

    fn ask_for_padding(&self, length: usize, longest: usize) -> Option<Vec<u8>> {
        let need_bytes = length.div_ceil(AMPLIFICATION_MAX);
        let sentence =
            format!("the answer is long; ask again with spaces or a field 'pad', in {need_bytes} bytes or more");
        [sentence.as_str(), "pad"].into_iter().find_map(|sentence| {
            let error = ErrorReply::new(ErrorCode::PadRequest, sentence);
            let error = ErrorReply { need_bytes: Some(need_bytes), ..error };
            let bytes = match &self.id {
                Some(id) => under_data(id, &error),
                None => plain(&error, 0),
            };
            (bytes.len() <= longest).then_some(bytes)
        })
    }
}

/// The room that nearly every answer has enough of.
const USUAL_LENGTH: usize = 192;

/// An answer to who has sent an `id`.
fn under_data(id: &RequestId, data: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_LENGTH);
    bytes.extend_from_slice(br#"{"type":"RESPONSE","id":"#);
    bytes.extend_from_slice(id.as_json().as_bytes());
    bytes.extend_from_slice(br#","data":"#);
    write(&mut bytes, data);
    bytes.push(b'}');
    bytes
}

/// An answer to a plain client, which has its fields once if twice would be longer than `doubled_max`.
fn plain(data: &impl Serialize, doubled_max: usize) -> Vec<u8> {
    const DATA: &[u8] = br#","data":"#;
    let mut object = Vec::with_capacity(USUAL_LENGTH);
    write(&mut object, data);
    let fields = object.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    let fields = fields.expect("the data of a reply is an object");
    let mut bytes = br#"{"type":"RESPONSE""#.to_vec();
    if !fields.is_empty() {
        bytes.push(b',');
        bytes.extend_from_slice(fields);
    }
    if fields.is_empty() || bytes.len() + DATA.len() + object.len() < doubled_max {
        bytes.extend_from_slice(DATA);
        bytes.extend_from_slice(&object);
    }
    bytes.push(b'}');
    bytes
}

fn write(bytes: &mut Vec<u8>, data: &impl Serialize) {
    serde_json::to_writer(bytes, data).expect("our own replies have a JSON form");
}

/// Makes a request at least `length` bytes long: spaces before its last brace change nothing, alone or in an
/// array.
pub fn pad(request: &mut Transmit, length: usize) {
    let missing = length.saturating_sub(request.bytes.len());
    let end = request.bytes.len().saturating_sub(1);
    request.bytes.splice(end..end, std::iter::repeat_n(b' ', missing));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorCode, ErrorReply};

    fn text(id: Option<RequestId>, error: &ErrorReply) -> String {
        let to = ReplyTo::new(([127, 0, 0, 1], 9).into(), id, false, 20);
        String::from_utf8(to.answer(error).unwrap().bytes).unwrap()
    }

    /// What a stranger gets who has sent so many bytes.
    fn abroad(id: Option<RequestId>, error: &ErrorReply, length: usize) -> Option<serde_json::Value> {
        let to = ReplyTo::new(([203, 0, 113, 9], 9).into(), id, false, length);
        let answer = to.answer(error)?;
        assert!(answer.bytes.len() <= 3 * length, "{} bytes for {length}", answer.bytes.len());
        Some(serde_json::from_slice(&answer.bytes).unwrap())
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

    /// R37: whoever forges a source makes us send no more than three times what they send.
    #[test]
    fn a_stranger_gets_no_more_than_three_times_what_they_sent() {
        let error = ErrorReply::new(ErrorCode::TaskFailed, "x".repeat(700));
        for id in [None, Some(RequestId::number(7))] {
            let mut answered = 0;
            for length in 1..400 {
                let Some(answer) = abroad(id.clone(), &error, length) else { continue };
                let data = if id.is_some() { &answer["data"] } else { &answer };
                let need = data["need_bytes"].as_u64();
                assert_eq!(data["code"] == "PAD_REQUEST", need.is_some());
                let enough = usize::try_from(need.unwrap_or(length as u64)).unwrap();
                assert_eq!(length >= enough, need.is_none(), "{length} bytes, {enough} would do");
                answered += 1;
            }
            assert!(answered > 370, "{answered}");
        }
    }

    #[test]
    fn padding_is_white_space_within_the_message() {
        let mut request = Transmit { to: ([203, 0, 113, 9], 9).into(), bytes: br#"{"a":{}}"#.to_vec(), pack: true };
        pad(&mut request, 12);
        assert_eq!(request.bytes, br#"{"a":{}    }"#);
        pad(&mut request, 3);
        assert_eq!(request.bytes.len(), 12);
    }
}
