//! What clients want of the grid, and what its handlers make of it.

use std::time::Duration;

use taskgrid_protocol::body::{Failure, PostTask, Priority, Span};
use taskgrid_protocol::{Json, Key, TaskType};

use crate::dice::Dice;
use crate::options::{MILLI, Micros, Options, SECOND};

/// The types of task that there are. The first worker serves all of them.
pub const TYPES: [&str; 3] = ["count", "draw", "fold"];

/// A task that somebody wants done.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The submission, without a wait.
    pub task: PostTask,
    /// Its key, which it always has.
    pub key: Key,
    /// Which client wants it.
    pub client: usize,
    /// When.
    pub at: Micros,
}

/// All wishes of a world.
pub fn wishes(options: &Options, dice: &mut Dice) -> Vec<Wish> {
    let mut wishes: Vec<Wish> = Vec::new();
    for number in 0..options.tasks {
        let mut wish = wish(options, dice, number);
        if number > 0 && dice.chance(0.02) {
            // Somebody uses a key again, for another task.
            wish.key = dice.pick(&wishes).key.clone();
            wish.task.key = Some(wish.key.clone());
        }
        wishes.push(wish);
    }
    wishes
}

fn wish(options: &Options, dice: &mut Dice, number: usize) -> Wish {
    let what = match dice.range(0, 100) {
        0..70 => "work",
        70..80 => "flaky",
        80..84 => "bad",
        84..88 => "null",
        88..90 => "hang",
        90..93 => "long",
        93..95 => "large",
        95..98 if options.poison => "kill",
        _ => "work",
    };
    let mut payload = serde_json::json!({ "n": number, "do": what });
    match what {
        "flaky" => payload["fails"] = dice.range(1, 4).into(),
        "large" => payload["pad"] = "x".repeat(dice.index(40_000)).into(),
        _ => {}
    }
    let task_type = TaskType::new(dice.pick::<&str>(&TYPES)).expect("the name is legal");
    let mut task = PostTask::new(task_type, Json::of(&payload));
    let key = Key::new(&format!("wish-{number}")).expect("the key is legal");
    task.key = Some(key.clone());
    if dice.chance(0.1) {
        task.priority = Priority::new(i32::try_from(dice.range(0, 10)).expect("it is below 10") - 5);
    }
    if !options.clock_jumps() && dice.chance(0.1) {
        task.delay_s = Some(Span(Duration::from_micros(dice.range(0, 10 * SECOND))));
    }
    if what == "hang" || dice.chance(0.05) {
        task.timeout_s = Some(Span(Duration::from_secs(dice.range(5, 10))));
        task.max_attempts = Some(2);
    }
    if !options.clock_jumps() && dice.chance(0.03) {
        task.expires_s = Some(Span(Duration::from_secs(dice.range(1, 30))));
    }
    Wish { task, key, client: dice.index(options.clients), at: dice.range(0, options.trouble) }
}

/// What a handler does with a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Ends like this after this time.
    Ends(Micros, Result<Json, Failure>),
    /// Never ends.
    Hangs,
    /// Kills its worker.
    Kills,
}

/// What a handler makes of this payload at this attempt.
pub fn handle(options: &Options, dice: &mut Dice, payload: &Json, attempt: u32) -> Deed {
    let usual = dice.range(options.handler.0, options.handler.1) + MILLI;
    let Some(wanted) = read(payload) else {
        return Deed::Ends(usual, Err(Failure::permanent("BAD_PAYLOAD", "this is no wish")));
    };
    match wanted["do"].as_str() {
        Some("flaky") if u64::from(attempt) <= wanted["fails"].as_u64().unwrap_or(0) => {
            Deed::Ends(usual, Err(Failure::passing("FLAKY", "not this time")))
        }
        Some("bad") => Deed::Ends(usual, Err(Failure::permanent("BAD", "never"))),
        Some("hang") => Deed::Hangs,
        Some("kill") => Deed::Kills,
        Some("long") => Deed::Ends(usual + options.lease * 3 / 2, Ok(expected(payload))),
        _ => Deed::Ends(usual, Ok(expected(payload))),
    }
}

/// The only result that this payload may have.
pub fn expected(payload: &Json) -> Json {
    let wanted = read(payload).unwrap_or_default();
    match wanted["do"].as_str() {
        Some("null") => Json::null(),
        Some("large") => Json::of(&wanted["pad"]),
        _ => Json::of(&serde_json::json!({ "answer": wanted["n"].as_u64().unwrap_or(0) * 7 })),
    }
}

fn read(payload: &Json) -> Option<serde_json::Value> {
    payload.read().ok()
}
