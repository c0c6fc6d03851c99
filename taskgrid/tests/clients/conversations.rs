//! Conversations as data, and how a client is held to them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::address::free_address;
use crate::dice::Dice;
use crate::grid::{Grid, start_lonely_dispatcher};
use crate::relay::{Relay, SharedLog, Weather};
use crate::rust::Rust;

/// Any will do. Which datagram meets which throw also depends on the machine.
const SEED: u64 = 11;

/// In seconds. On the bad network the usual thirty would run out now and then.
pub(crate) const CLIENTS_PATIENCE: u32 = 150;

/// How many tasks `$many` stands for, and which of them is refused.
const MANY: usize = 200;
const BAD: usize = 100;

/// A client under test. An outcome is an object with one field that says which it is.
pub(crate) trait Talker {
    fn perform(&mut self, op: &Value) -> Value;
}

/// Holds all conversations at the same time, each with a client of its own.
pub(crate) fn hold_all<T: Talker>(weather: Option<Weather>, start: fn(SocketAddr) -> T) {
    let Value::Array(conversations) = serde_json::from_str(include_str!("conversations.json")).unwrap() else {
        panic!("conversations are a list")
    };
    let grid = Grid::start();
    let mut dice = Dice::new(SEED);
    let log = SharedLog::default();
    std::thread::scope(|scope| {
        for conversation in conversations.iter().filter(|one| weather.is_none() || one["calm"] != true) {
            let absent = conversation["absent"] == true;
            let server = if absent { free_address() } else { grid.dispatcher.addr };
            let dice = dice.child();
            let entrance = weather.map_or(server, |weather| Relay::start(server, weather, dice, log.clone()));
            let name = conversation["name"].as_str().unwrap();
            let thread = std::thread::Builder::new().name(name.to_owned());
            let is_good = weather.is_none();
            let hold = move || Conversation::new(server, is_good).hold(conversation, &mut start(entrance));
            thread.spawn_scoped(scope, hold).unwrap();
        }
    });
    let log = log.lock().clone();
    assert!(weather.is_none() || (log.lost > 0 && log.doubled > 0 && log.late > 0), "the weather was good: {log:?}");
}

struct Conversation {
    server: SocketAddr,
    is_good: bool,
    /// What earlier steps brought.
    known: Map<String, Value>,
    dir: tempfile::TempDir,
}

impl Conversation {
    fn new(server: SocketAddr, is_good: bool) -> Self {
        let known = [
            ("long", json!("long ".repeat(8_000))),
            ("too_long", json!("x".repeat(48 * 1024))),
            ("many", (0..MANY).map(|n| json!([if n == BAD { "../sh" } else { "reverse" }, word(n)])).collect()),
        ];
        let known = known.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        Self { server, is_good, known, dir: tempfile::tempdir().unwrap() }
    }

    fn hold(mut self, conversation: &Value, talker: &mut impl Talker) {
        let mut dispatcher = None;
        for step in conversation["steps"].as_array().unwrap() {
            if step["op"] == "start the dispatcher" {
                dispatcher = Some(start_lonely_dispatcher(Path::new(self.dir.path()), self.server));
                continue;
            }
            let outcome = talker.perform(&self.filled_in(step));
            // By the network, or by the client itself where the machine is busy.
            let repeated = step.get("or_when_repeated").filter(|_| !self.is_good);
            let expected = [Some(&step["expect"]), repeated, step.get("or_when_resent")];
            let is_expected =
                expected.into_iter().flatten().any(|expected| matches(&self.filled_in(expected), &outcome));
            assert!(is_expected, "{}: {step} came to {outcome}", conversation["name"]);
            if step["tasks"] == "$many" {
                self.check_many(&outcome);
            }
            if let Some(name) = step["as"].as_str() {
                // The one field says what it is.
                let value = outcome.as_object().unwrap().values().next().unwrap().clone();
                self.known.insert(name.to_owned(), value);
            }
        }
        drop(dispatcher);
    }

    /// Puts what is known in the place of `$name` and `$name.field`.
    fn filled_in(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => text.strip_prefix('$').map_or_else(|| value.clone(), |name| self.look_up(name)),
            Value::Array(values) => values.iter().map(|value| self.filled_in(value)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.filled_in(value))).collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }

    fn look_up(&self, name: &str) -> Value {
        let (name, field) = name.split_once('.').map_or((name, None), |(name, field)| (name, Some(field)));
        let value = &self.known[name];
        field.map_or(value, |field| &value[field]).clone()
    }

    /// The results are fetched on a good network, since there are many.
    fn check_many(&self, outcome: &Value) {
        let outcomes = outcome["ok"].as_array().unwrap();
        assert_eq!(outcomes.len(), MANY);
        assert_eq!(outcomes[BAD], json!({"rejected": "BAD_REQUEST"}));
        let mut direct = Rust::start(self.server);
        for (n, outcome) in outcomes.iter().enumerate().filter(|(n, _)| *n != BAD) {
            let result = direct.perform(&json!({"op": "wait", "task": outcome["ok"]["task_id"]}));
            assert_eq!(result["ok"], word(n).chars().rev().collect::<String>(), "{n}: {outcome}");
        }
        let stored_at_once = outcomes.iter().filter(|outcome| outcome["ok"]["duplicate"] == false).count();
        assert!(stored_at_once > 0 || !self.is_good, "each was called a duplicate");
    }
}

fn word(n: usize) -> String {
    format!("word {n}")
}

/// Whether an outcome is as expected: `"*"` is anything, and objects may have more fields.
fn matches(expected: &Value, outcome: &Value) -> bool {
    match (expected, outcome) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Object(expected), Value::Object(outcome)) => {
            expected.iter().all(|(name, value)| outcome.get(name).is_some_and(|found| matches(value, found)))
        }
        _ => expected == outcome,
    }
}

pub(crate) fn seconds(value: &Value) -> Option<Duration> {
    value.as_f64().map(Duration::from_secs_f64)
}
