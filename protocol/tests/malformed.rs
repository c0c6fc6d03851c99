//! What comes in that should not (R36): what is answered, with which code, and what gets silence.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::net::SocketAddr;

use proptest::prelude::*;
use taskgrid_protocol::ErrorCode;
use taskgrid_protocol::codec::{Element, decode};

fn elements(datagram: &[u8]) -> Vec<Element> {
    let from: SocketAddr = ([127, 0, 0, 1], 9000).into();
    let mut elements = Vec::new();
    decode(datagram, from, &mut |element| elements.push(element));
    elements
}

/// The codes of the refusals; `None` for a message that is let through.
fn codes(datagram: &[u8]) -> Vec<Option<ErrorCode>> {
    let code = |element| match element {
        Element::Message(_) => None,
        Element::Refused(_, error) | Element::Malformed(_, error) => Some(error.code),
    };
    elements(datagram).into_iter().map(code).collect()
}

fn post(payload: &str) -> Vec<u8> {
    format!(r#"{{"type":"POST_TASK","id":1,"data":{{"type":"reverse","payload":{payload}}}}}"#).into_bytes()
}

#[test]
fn what_has_not_the_form_of_a_request_gets_silence() {
    let silent: &[&[u8]] = &[
        b"",
        b" ",
        b"hello",
        b"\x00\x01\x02",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"\xef\xbb\xbf",
        b"\0\0",
        b"42",
        b"\"POST_TASK\"",
        b"null",
        b"{}",
        b"{\"data\":{}}",
        b"{\"type\":7,\"data\":{}}",
        b"{\"type\":null}",
        b"{\"type\":\"RESPONSE\"}",
        b"{\"type\":\"RESPONSE\",\"data\":\"\\ud800\"}",
        b"{\"type\":\"RESPONSE\",\"type\":\"RESPONSE\",\"data\":{}}",
        b"{\"type\":\"PING\",\"error\":\"no\"}",
        b"{\"type\":\"PING\",\"error\":null,\"error\":1}",
        b"[]",
        b"[1,\"x\",null,[],[{\"type\":\"PING\"}]]",
        // What is left of answers.
        b"{\"type\":\"RESPONSE\",\"id\":7,\"da",
        b"{\"type\":\"RESPONSE\",\"id\":7,\"data\":{\"result\":\"\xff",
        b"[{\"type\":\"RESPONSE\",\"id\":7},{\"ty",
        // An element of an array is an object, never its fields in their order.
        b"[[\"PING\",{},null,1,null,null,null,null,null]]",
    ];
    for datagram in silent {
        assert_eq!(codes(datagram), [], "{}", String::from_utf8_lossy(datagram));
    }
}

#[test]
fn what_has_the_form_of_a_request_is_refused_by_code() {
    let refused: &[&[u8]] = &[
        b"{\"type\":\"POST_TASK\"}",
        b"{\"type\":\"POST_TASK\",\"data\":7}",
        b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\"}}",
        b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\",\"payload\":1,\"payload\":2}}",
        b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\",\"payload\":1,\"colour\":\"red\"}}",
        b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"../x\",\"payload\":1}}",
        b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\",\"payload\":1,\"priority\":101}}",
        b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\",\"payload\":1,\"max_attempts\":0}}",
        b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\",\"payload\":1,\"delay_s\":-1}}",
        b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\",\"payload\":\"\xff\"}}",
        b"{\"type\":\"GET_RESULT\",\"data\":{\"task_id\":1000000000000000000000000000000}}",
        b"{\"type\":\"GET_RESULT\",\"data\":{\"task_id\":\"42\"}}",
        b"{\"type\":\"PING\",\"id\":1.5}",
        b"{\"type\":\"PING\",\"id\":1,\"id\":1}",
        b"{\"type\":\"PING\",\"type\":\"PING\"}",
        b"{\"type\":\"PING\",\"lease\":\"\"}",
    ];
    for datagram in refused {
        assert_eq!(codes(datagram), [Some(ErrorCode::BadRequest)], "{}", String::from_utf8_lossy(datagram));
    }
    assert_eq!(codes(b"{\"type\":\"MAKE_COFFEE\"}"), [Some(ErrorCode::UnknownMessage)]);
}

#[test]
fn payloads_that_would_fail_later_are_refused_at_the_door() {
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let very_deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    for payload in ["\"\\ud800\"", "1e999999", "-1e999999", "[\"\\udfff\"]", "{\"\\ud800\":1}", &deep, &very_deep] {
        assert_eq!(codes(&post(payload)), [Some(ErrorCode::BadRequest)], "{payload:.40}");
    }
    for payload in ["\"\\ud83d\\ude00\"", "-0", "1e308", "\"\\u0000\"", "{\"a\":1,\"a\":2}"] {
        assert_eq!(codes(&post(payload)), [None], "{payload}");
    }
}

#[test]
fn sixty_thousand_brackets_are_one_error() {
    assert_eq!(codes("[".repeat(60_000).as_bytes()), [Some(ErrorCode::BadRequest)]);
    assert_eq!(codes("{".repeat(60_000).as_bytes()), [Some(ErrorCode::BadRequest)]);
}

/// The sentence for what begins like JSON and is not. It said nothing, and a client waited for ever.
#[test]
fn what_is_nearly_json_is_answered_with_the_place_where_it_breaks() {
    let cases: &[(&[u8], &str)] = &[
        (br#"{"type":"POST_TASK","data":{"type":"a","payload":NaN}}"#, "from byte 49 on: JSON has no NaN"),
        (br#"{"type":"POST_TASK","data":{"type":"a","payload":-Infinity}}"#, "from byte 50 on: JSON has no NaN"),
        (
            br#"{"type":"POST_TASK","data":{"type":"a","payload":None}}"#,
            "from byte 49 on: JSON has no NaN, Infinity or None",
        ),
        (br#"{"type":"POST_TASK","data":{"type":"a","payload":True}}"#, "from byte 49 on: JSON writes true and false"),
        (b"{'type': 'PING'}", "from byte 1 on: JSON has double quotes"),
        (b"{\n \"type\": 'PING'}", "from byte 11 on: JSON has double quotes"),
        (br#"{"type":"PING",}"#, "from byte 15 on: there may be a comma too many"),
        (b"{\"type\":\"PI\0NG\"}", "from byte 11 on: in a string a control character"),
        (br#"{"type":"PING"} {"type":"PING"}"#, "from byte 16 on"),
        (br#"{"type":"PING""#, "it ends after 14 bytes, too early"),
        (b"[", "it ends after 1 bytes, too early"),
        (br#"[{"type":"PING"},]"#, "from byte 17 on: there may be a comma too many"),
        (b"{\"type\":\"PING\",\"data\":\xff}", "from byte 22 on"),
    ];
    for (datagram, expected) in cases {
        let Some(Element::Malformed(to, error)) = elements(datagram).pop() else {
            panic!("no answer to {}", String::from_utf8_lossy(datagram))
        };
        assert_eq!((to.id, error.code), (None, ErrorCode::BadRequest));
        assert!(error.error.contains(expected), "{}: {}", String::from_utf8_lossy(datagram), error.error);
    }
}

#[test]
fn a_byte_order_mark_and_what_ends_a_string_in_c_are_passed_over() {
    for datagram in [
        &b"\xef\xbb\xbf{\"type\":\"PING\"}"[..],
        b"{\"type\":\"PING\"}\0",
        b" {\"type\":\"PING\"}\r\n\0\0\n",
        b"[{\"type\":\"PING\"}]\0",
    ] {
        assert_eq!(codes(datagram), [None], "{}", String::from_utf8_lossy(datagram));
    }
}

/// Where a struct is expected, `serde_json` also takes an array of its fields in their order. That order is no part of
/// the protocol.
#[test]
fn only_an_object_is_taken_for_data_and_what_is_in_it() {
    let arrays = [
        r#"{"type":"PING","data":[]}"#,
        r#"{"type":"LIST_TASKS","data":[null,null,null,null]}"#,
        r#"{"type":"GET_RESULT","data":[7,null]}"#,
        r#"{"type":"CANCEL_TASK","data":[7]}"#,
        r#"{"type":"LOOKUP_WORKER","data":["reverse",null]}"#,
        r#"{"type":"LOOKUP_WORKER","data":{"since":[1,2,false]}}"#,
        r#"{"type":"DEREGISTER_WORKER","data":["10.0.0.7:6000",null]}"#,
        r#"{"type":"RESULT_RETURN","data":[7,"forged",null]}"#,
        r#"{"type":"RESULT_RETURN","data":{"task_id":7,"error":["FAILED","no",false,null]}}"#,
        r#"{"type":"TASK_HEARTBEAT","data":[[],false]}"#,
        r#"{"type":"TASK_HEARTBEAT","data":{"leases":[[7,"abcdefghijklmnopqrstuvwx",false,null]]}}"#,
        r#"{"type":"TASK_HEARTBEAT","data":{"leases":[{"task_id":7,"lease":"abcdefghijklmnopqrstuvwx","progress":[0.5,"x"]}]}}"#,
    ];
    for datagram in arrays {
        assert_eq!(codes(datagram.as_bytes()), [Some(ErrorCode::BadRequest)], "{datagram}");
    }
}

#[test]
fn each_element_of_an_array_is_handled_as_if_alone() {
    let datagram = br#"[{"type":"PING","id":1},{"type":"NOPE","id":2},7,{"type":"PING","id":3}]"#;
    assert_eq!(codes(datagram), [None, Some(ErrorCode::UnknownMessage), None]);
    let full = format!("[{}]", vec![r#"{"type":"PING"}"#; 1_024].join(","));
    assert_eq!(elements(full.as_bytes()).len(), 1_024);
    let more = format!("[{}]", vec![r#"{"type":"PING"}"#; 1_025].join(","));
    assert_eq!(codes(more.as_bytes()), [Some(ErrorCode::BadRequest)]);
}

/// Nobody can make a server repeat their text to somebody else; the name of an unknown option aside.
#[test]
fn refusals_do_not_repeat_values() {
    let datagram = br#"{"type":"GET_RESULT","id":1,"data":{"task_id":"<script>alert(1)</script>"}}"#;
    let Some(Element::Refused(to, error)) = elements(datagram).pop() else { panic!("not refused") };
    assert!(!error.error.contains("script"), "{}", error.error);
    assert_eq!(to.id.unwrap().as_json(), "1");
    let datagram = br#"{"type":"POST_TASK","data":{"type":"reverse","payload":1,"colour":"red"}}"#;
    let Some(Element::Refused(_, error)) = elements(datagram).pop() else { panic!("not refused") };
    assert!(error.error.contains("colour") && !error.error.contains("red\""), "{}", error.error);
    for datagram in [
        r#"{"type":"LIST_TASKS","data":{"status":"<script>alert(1)</script>, expected x"}}"#,
        r#"{"type":"TASK_HEARTBEAT","data":{"<script>":1,"leases":"script"}}"#,
        r#"{"type":"GET_RESULT","data":{"task_id":7,"<script>alert(1)</script>":1}}"#,
        r#"{"type":"GET_RESULT","data":{"task_id":7,"script_script_script_script_script":1}}"#,
        r#"{"type":"RESULT_RETURN","data":{"task_id":7,"error":{"code":["script"]}}}"#,
    ] {
        let Some(Element::Refused(_, error)) = elements(datagram.as_bytes()).pop() else { panic!("{datagram}") };
        assert!(!error.error.contains("script"), "{datagram}: {}", error.error);
    }
}

fn golden() -> impl Strategy<Value = Vec<u8>> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let files: Vec<Vec<u8>> =
        std::fs::read_dir(dir).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    proptest::sample::select(files)
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(datagram in proptest::collection::vec(any::<u8>(), 0..300)) {
        elements(&datagram);
    }

    #[test]
    fn no_change_to_a_message_makes_the_decoder_panic(
        mut datagram in golden(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for (index, byte) in changes {
            let index = index.index(datagram.len());
            datagram[index] = byte;
        }
        elements(&datagram);
    }
}
