//! The generator on a clock that the test turns, against a dispatcher that answers when the test says so.

use std::collections::VecDeque;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use taskgrid_protocol::codec::{Element, decode};
use taskgrid_protocol::{Body, Json, RequestId, TaskType};

use super::super::plan::{Keys, Pace};
use super::*;

const MILLI: Duration = Duration::from_millis(1);

fn server() -> SocketAddr {
    ([127, 0, 0, 1], 4000).into()
}

fn plan(in_flight: usize, amount: Amount) -> Plan {
    Plan {
        task_type: TaskType::new("reverse").unwrap(),
        payload_bytes: None,
        keys: Keys::V7,
        pack: false,
        wait: true,
        pace: Pace::Closed,
        in_flight,
        amount,
        warm_up: Duration::ZERO,
        patience: Duration::from_secs(30),
    }
}

struct World {
    generator: Generator,
    now: Timestamp,
    /// Requests that have not been answered.
    asked: VecDeque<(RequestId, String)>,
    posts: usize,
    told: Vec<&'static str>,
    tally: Option<Box<Tally>>,
}

impl World {
    fn new(plan: Plan) -> Self {
        let rng = ChaCha12Rng::seed_from_u64(1);
        let client = Machine::new(machine::Config { server: server().to_string() }, rng.clone());
        let tasks = Tasks::new(&plan, rng);
        let generator = Generator::new(Timestamp::ZERO, WallTime::from_millis(0), plan, tasks, client);
        let (asked, told) = (VecDeque::new(), Vec::new());
        let mut world = Self { generator, now: Timestamp::ZERO, asked, posts: 0, told, tally: None };
        world.settle();
        world
    }

    fn settle(&mut self) {
        while let Some(effect) = self.generator.poll_effect(self.now) {
            match effect {
                Effect::Began => self.told.push("began"),
                Effect::Ended => self.told.push("ended"),
                Effect::Progress { .. } | Effect::LookUp(_) => {}
                Effect::Done(tally) => self.tally = Some(tally),
            }
        }
        while let Some(transmit) = self.generator.poll_transmit() {
            decode(&transmit.bytes, server(), &mut |element| {
                let Element::Message(message) = element else { panic!("{element:?}") };
                let Body::PostTask(post) = message.body else { return };
                self.posts += 1;
                self.asked.push_back((message.beside.id.unwrap(), post.payload.read().unwrap()));
            });
        }
    }

    /// Lets time pass, with every alarm at its time.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.generator.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.generator.handle_timeout(self.now);
            self.settle();
            assert!(self.generator.poll_timeout().is_none_or(|next| next > at), "it would not let the processor rest");
        }
        self.now = end;
        self.generator.handle_event(self.now, Event::Tick);
        self.settle();
    }

    fn say(&mut self, id: &RequestId, data: Value) {
        let message = Message::request(id.clone(), Body::Response(Json::of(&data)));
        self.generator.handle_datagram(self.now, server(), message);
    }

    /// Answers the oldest request, with what is stored and with its result.
    fn answer(&mut self) {
        let (id, payload) = self.asked.pop_front().unwrap();
        let result: String = payload.chars().rev().collect();
        self.say(&id, json!({"message": "Task received, ID = 1", "task_id": 1, "status": "running"}));
        self.settle();
        self.say(&id, json!({"result": result, "status": "done"}));
        self.settle();
    }

    fn tally(&self) -> &Tally {
        self.tally.as_ref().expect("the load is over")
    }
}

fn near(span: Duration, millis: u32) -> bool {
    span.abs_diff(MILLI * millis) * 1_000 <= MILLI * millis
}

#[test]
fn a_closed_loop_has_so_many_under_way_until_all_are_done() {
    let mut world = World::new(plan(4, Amount::Tasks(10)));
    for answered in 0..10 {
        assert_eq!(world.asked.len(), 4.min(10 - answered), "after {answered}");
        world.now = world.now + MILLI;
        world.answer();
    }
    let tally = world.tally();
    assert_eq!((tally.tasks, tally.right, tally.wrong, tally.missing(), tally.resent), (10, 10, 0, 0, 0));
    assert_eq!((tally.acknowledged.count(), tally.result.count(), tally.ended), (10, 10, 10));
    assert_eq!((tally.took, tally.rate()), (MILLI * 10, 1_000.0));
    assert!(near(tally.result.percentile(1.0), 4) && tally.is_perfect());
    assert_eq!(world.told, ["began", "ended"]);
}

/// Without this a grid that stalls for a second answers one task late, and all that should have come meanwhile are
/// told to have been quick (coordinated omission).
#[test]
fn an_open_loop_counts_from_when_a_task_was_due_and_not_from_when_there_was_room() {
    let pace = Pace::Open { rate: 1_000.0 };
    let mut world = World::new(Plan { pace, ..plan(2, Amount::Tasks(5)) });
    world.pass(MILLI * 100);
    assert_eq!(world.posts, 2, "more may not be under way");
    while world.tally.is_none() {
        world.answer();
    }
    // Due after 0, 1, 2, 3 and 4 ms, and all answered after 100.
    let tally = world.tally();
    assert!(near(tally.result.percentile(1.0), 100) && near(tally.result.percentile(0.2), 96), "{:?}", tally.result);
    assert_eq!((tally.held_back, tally.late.count()), (3, 5));
    assert!(near(tally.late.percentile(1.0), 98), "{:?}", tally.late);
}

#[test]
fn an_open_loop_submits_at_its_own_times() {
    let pace = Pace::Open { rate: 100.0 };
    let mut world = World::new(Plan { pace, ..plan(1_000, Amount::For(MILLI * 100)) });
    for posts in 1..=10 {
        assert_eq!(world.posts, posts);
        world.pass(MILLI * 10);
    }
    world.pass(MILLI * 50);
    assert_eq!(world.posts, 10, "the time is over");
    while world.tally.is_none() {
        world.answer();
    }
    assert_eq!((world.tally().tasks, world.tally().unsent, world.tally().held_back), (10, 0, 0));
}

#[test]
fn what_an_open_loop_could_not_send_in_time_is_told() {
    let pace = Pace::Open { rate: 100.0 };
    let mut world = World::new(Plan { pace, ..plan(3, Amount::For(MILLI * 100)) });
    world.pass(MILLI * 100);
    while world.tally.is_none() {
        world.answer();
    }
    assert_eq!((world.tally().tasks, world.tally().unsent), (3, 7));
}

#[test]
fn what_is_submitted_while_it_warms_up_does_not_count() {
    let mut world = World::new(Plan { warm_up: MILLI * 10, ..plan(1, Amount::For(MILLI * 20)) });
    assert!(world.told.is_empty());
    world.pass(MILLI * 4);
    world.answer();
    world.pass(MILLI * 8);
    // Submitted before it counted, and done after.
    world.answer();
    assert_eq!(world.told, ["began"]);
    world.pass(MILLI * 2);
    world.answer();
    world.pass(MILLI * 30);
    assert_eq!(world.told, ["began", "ended"]);
    // After the end of the time it is waited for, and counts as right, but not for the rate.
    world.answer();
    let tally = world.tally();
    assert_eq!((tally.tasks, tally.right, tally.result.count(), tally.ended), (2, 2, 2, 2));
    assert_eq!(tally.took, MILLI * 20);
}

#[test]
fn what_is_sent_again_is_counted() {
    let mut world = World::new(plan(1, Amount::Tasks(1)));
    world.pass(Duration::from_secs(1));
    let again = world.posts - 1;
    assert!(again > 0);
    world.answer();
    assert_eq!(world.tally().resent, again as u64);
}

#[test]
fn a_load_that_nobody_answers_ends_after_one_patience() {
    let mut world = World::new(plan(2, Amount::Tasks(1_000)));
    world.answer();
    world.pass(Duration::from_secs(31));
    let tally = world.tally();
    assert_eq!((tally.right, tally.wrong, tally.missing()), (1, 0, 999));
    assert_eq!(tally.problem.as_deref(), Some("no answer in 30 s"));
}

#[test]
fn a_wrong_result_is_noticed() {
    let mut world = World::new(plan(1, Amount::Tasks(1)));
    let (id, _) = world.asked.pop_front().unwrap();
    world.say(&id, json!({"result": "something else", "status": "done"}));
    world.settle();
    assert_eq!((world.tally().right, world.tally().wrong), (0, 1));
    let problem = world.tally().problem.as_ref().unwrap();
    assert!(problem.contains("TaskGrid 0") && problem.contains("something else"), "{problem}");
}

#[test]
fn a_load_that_does_not_wait_ends_when_all_is_stored() {
    let mut world = World::new(Plan { wait: false, ..plan(8, Amount::Tasks(20)) });
    for number in 0..20 {
        let (id, _) = world.asked.pop_front().unwrap();
        world.say(&id, json!({"message": "Task received", "task_id": number, "status": "pending"}));
        world.settle();
    }
    let tally = world.tally();
    assert_eq!((tally.right, tally.acknowledged.count(), tally.result.count()), (20, 20, 0));
}
