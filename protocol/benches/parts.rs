//! What a message costs to read and to write: `cargo bench -p taskgrid-protocol --bench parts`.

mod count;

use std::net::SocketAddr;
use std::process::ExitCode;

use count::{Case, counting};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use taskgrid_protocol::body::{PostReply, ResultReply, Stored};
use taskgrid_protocol::codec::{Element, decode};
use taskgrid_protocol::{Message, ReplyTo, RequestId};

const ROUNDS: u64 = 1_000;

fn main() -> ExitCode {
    let post = json!({"type": "POST_TASK", "id": 4_503_599_627_370_497_u64, "data": {
        "type": "reverse", "payload": "The quick brown fox jumps over the lazy dog",
        "key": "0197f0c2-7d5e-7000-8000-000000000042", "wait_s": 60}});
    let task = json!({"type": "TASK", "lease": "8dv37bpz6d0n6kkw123456", "instance": "k3v9k3v9k3v9k3v9", "attempt": 1,
        "timeout_s": 3600, "data": {"id": 42, "type": "reverse", "payload": "The quick brown fox jumps over the lazy dog",
        "result": null, "status": "running", "timestamp_created": 1_764_000_000.123, "timestamp_completed": null,
        "assigned_worker": "127.0.0.1:6000"}});
    let result = json!({"type": "RESULT_RETURN", "id": 4_503_599_627_370_498_u64, "lease": "8dv37bpz6d0n6kkw123456",
        "free_slots": 7, "data": {"task_id": 42, "result": "god yzal eht revo spmuj xof nworb kciuq ehT"}});
    let hundred = Value::from(vec![post.clone(); 100]);
    let cases = [
        reading("read POST_TASK", &post, 1),
        reading("read POST_TASK, 100 in an array", &hundred, 100),
        reading("read TASK", &task, 1),
        reading("read RESULT_RETURN", &result, 1),
        writing("write TASK", &task),
        writing("write RESULT_RETURN", &result),
        answering::<PostReply>(
            "answer POST_TASK",
            &json!({"message": "Task received, ID = 42", "task_id": 42, "status": "running"}),
        ),
        answering::<ResultReply>("answer GET_RESULT", &json!({"result": "god yzal eht revo spmuj", "status": "done"})),
        answering::<Stored>("answer RESULT_RETURN", &json!({"message": "Result stored"})),
    ];
    count::main("protocol", &cases)
}

fn from() -> SocketAddr {
    ([127, 0, 0, 1], 9000).into()
}

fn reading(name: &str, message: &Value, messages: u64) -> Case {
    let datagram = message.to_string();
    Case::new(name, move || {
        for _ in 0..ROUNDS {
            let mut read = 0;
            counting(|| decode(datagram.as_bytes(), from(), &mut |element| read += u64::from(is_message(&element))));
            assert_eq!(read, messages);
        }
        ROUNDS * messages
    })
}

fn is_message(element: &Element) -> bool {
    matches!(element, Element::Message(_))
}

fn writing(name: &str, message: &Value) -> Case {
    let mut messages: Vec<Message> = Vec::new();
    decode(message.to_string().as_bytes(), from(), &mut |element| {
        let Element::Message(message) = element else { panic!("{element:?}") };
        messages.push(message);
    });
    let message = messages.remove(0);
    Case::new(name, move || {
        for _ in 0..ROUNDS {
            drop(counting(|| message.encode()));
        }
        ROUNDS
    })
}

fn answering<T: Serialize + DeserializeOwned + 'static>(name: &str, data: &Value) -> Case {
    let data: T = serde_json::from_str(&data.to_string()).expect("it is a reply");
    let to = ReplyTo::new(from(), Some(RequestId::number(4_503_599_627_370_497)), true, 200);
    Case::new(name, move || {
        for _ in 0..ROUNDS {
            drop(counting(|| to.answer(&data)));
        }
        ROUNDS
    })
}
