//! What comes in that should not: no crash, no hang, no answer to an answer.

use serde_json::json;

use crate::processes::{Daemon, Grid, ask_bytes, now};

/// What gets silence. A PING behind it shows that the server is there and has answered nothing else.
const SILENT: &[&[u8]] = &[
    b"",
    b"hello",
    b"\x00\xff\xfe",
    b"42",
    b"{}",
    b"{\"type\": 7}",
    b"{\"type\":\"RESPONSE\",\"data\":{}}",
    b"{\"type\":\"GET_STATS\",\"error\":\"no\"}",
    b"{\"type\":\"TASK_ACK\",\"lease\":\"x\",\"data\":{\"task_id\":1,\"state\":\"running\"}}",
    b"[]",
];

/// What is refused by code.
const REFUSED: &[(&[u8], &str)] = &[
    (b"{\"type\":\"POST_TASK\"}", "BAD_REQUEST"),
    (b"{\"type\":\"POST_TASK\",\"data\":[1]}", "BAD_REQUEST"),
    (b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\",\"payload\":\"\\ud800\"}}", "BAD_REQUEST"),
    (b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\",\"payload\":1e999999}}", "BAD_REQUEST"),
    (b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\",\"payload\":\"\xff\"}}", "BAD_REQUEST"),
    (b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"reverse\",\"payload\":1,\"colour\":1}}", "BAD_REQUEST"),
    (b"{\"type\":\"POST_TASK\",\"data\":{\"type\":\"-rf\",\"payload\":1}}", "BAD_REQUEST"),
    (b"{\"type\":\"GET_RESULT\",\"data\":{\"task_id\":1000000000000000000000000000000}}", "BAD_REQUEST"),
    (b"{\"type\":\"POST_TASK\",\"type\":\"GET_STATS\",\"data\":{}}", "BAD_REQUEST"),
    (b"{\"type\":\"NO_SUCH_MESSAGE\",\"data\":{}}", "UNKNOWN_MESSAGE"),
    (b"{\"type\":\"REGISTER_WORKER\",\"data\":{\"type\":\"reverse\",\"address\":\"a:1\"}}", "UNKNOWN_MESSAGE"),
    (b"[{\"type\":", "BAD_REQUEST"),
];

fn is_there(server: &Daemon) {
    let reply = ask_bytes(server.addr, br#"{"type":"PING","id":"p"}"#);
    assert_eq!(reply["id"], "p", "{reply}");
}

#[test]
fn what_has_not_the_form_of_a_request_gets_silence() {
    let grid = Grid::start();
    for server in [&grid.dispatcher, &grid.nameservice, &grid.workers[0]] {
        for datagram in SILENT {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
            socket.send_to(datagram, server.addr).unwrap();
            socket.send_to(br#"{"type":"PING","id":"p"}"#, server.addr).unwrap();
            let mut buffer = [0; 2_048];
            let length = socket.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            assert!(text.contains(r#""id":"p""#), "{} was answered {text}", String::from_utf8_lossy(datagram));
        }
    }
}

#[test]
fn what_has_the_form_of_a_request_is_refused_by_code() {
    let grid = Grid::without_workers();
    for (datagram, code) in REFUSED {
        let reply = ask_bytes(grid.dispatcher.addr, datagram);
        let reply = if reply.is_array() { reply[0].clone() } else { reply };
        assert_eq!(reply["code"], *code, "{}: {reply}", String::from_utf8_lossy(datagram));
        assert!(reply["error"].as_str().unwrap().len() > 10, "{reply}");
    }
    is_there(&grid.dispatcher);
}

/// Python's `json.dumps` writes NaN, C sends the end of a string too, .NET a byte-order mark. The first was met with
/// silence, so that the client of the README waited for ever.
#[test]
fn what_is_nearly_json_is_answered_by_every_server() {
    let grid = Grid::start();
    let post = br#"{"type": "POST_TASK", "data": {"type": "reverse", "payload": NaN}}"#;
    for server in [&grid.dispatcher, &grid.nameservice, &grid.workers[0]] {
        let reply = ask_bytes(server.addr, post);
        assert_eq!(reply["code"], "BAD_REQUEST", "{reply}");
        let sentence = "the datagram is not JSON from byte 61 on: JSON has no NaN, Infinity or None (but null)";
        assert_eq!(reply["error"], sentence);
        for ping in [&b"\xef\xbb\xbf{\"type\":\"PING\",\"id\":\"p\"}"[..], b"{\"type\":\"PING\",\"id\":\"p\"}\0"] {
            assert_eq!(ask_bytes(server.addr, ping)["id"], "p");
        }
    }
}

#[test]
fn a_flood_of_what_is_nearly_json_gets_ten_answers_a_second() {
    let grid = Grid::without_workers();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let begun = now();
    for _ in 0..100 {
        socket.send_to(b"{'type': 'PING'}", grid.dispatcher.addr).unwrap();
    }
    socket.send_to(br#"{"type":"PING","id":"p"}"#, grid.dispatcher.addr).unwrap();
    let mut buffer = [0; 2_048];
    let mut answers = 0;
    loop {
        let length = socket.recv(&mut buffer).unwrap();
        if buffer[..length].windows(8).any(|bytes| bytes == br#""id":"p""#) {
            break;
        }
        answers += 1;
    }
    let seconds = begun.elapsed().as_secs() + 2;
    assert!((1..=10 * seconds).contains(&answers), "{answers} answers in {seconds} s");
}

#[test]
fn depth_and_length_are_bounded() {
    let grid = Grid::without_workers();
    let brackets = "[".repeat(60_000);
    let reply = ask_bytes(grid.dispatcher.addr, brackets.as_bytes());
    assert!(reply.to_string().contains("BAD_REQUEST"), "{reply}");
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let post = format!(r#"{{"type":"POST_TASK","data":{{"type":"reverse","payload":{deep}}}}}"#);
    assert_eq!(ask_bytes(grid.dispatcher.addr, post.as_bytes())["code"], "BAD_REQUEST");
    let long = json!({"type": "POST_TASK", "data": {"type": "reverse", "payload": "x".repeat(50_000)}});
    assert_eq!(grid.ask(&long)["code"], "TOO_LARGE");
    is_there(&grid.dispatcher);
}
