//! The load as a state machine around that of the client: no clock, no socket. One value holds all tasks under way, so
//! that a task costs neither a future nor a channel: the generator shares its machine with the grid that it measures.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use taskgrid_protocol::{Message, Node, Timestamp, Transmit, WallTime};

use super::plan::{Amount, Plan};
use super::tally::Tally;
use super::tasks::Tasks;
use crate::machine::{self, Answer, Call, CallId, End, Machine, Outcome, Progress, Request, Silence};

/// How often it is told how far the load is.
const TELL_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) enum Event {
    /// A look-up has ended.
    Resolved { name: String, addr: Option<SocketAddr> },
    /// Look at the clock.
    Tick,
}

#[derive(Debug)]
pub(super) enum Effect {
    LookUp(String),
    /// From here on it counts.
    Began,
    /// So many tasks have ended since then, and so much time has passed.
    Progress {
        tasks: u64,
        time: Duration,
    },
    /// From here on it counts no longer.
    Ended,
    /// All tasks have ended.
    Done(Box<Tally>),
}

#[derive(Debug)]
pub(super) struct Generator {
    plan: Plan,
    tasks: Tasks,
    client: Machine,
    stage: Stage,
    started: Timestamp,
    /// The wall clock at the start.
    wall: WallTime,
    /// The number of the next task, counted from 0.
    next: u64,
    /// The number of the first one that counts; before that is known, of none.
    first: u64,
    /// When each task under way was due; not more than [`Plan::in_flight`].
    under_way: BTreeMap<u64, Timestamp>,
    /// When a task was last due while too many were under way.
    full_at: Option<Timestamp>,
    /// Nobody answers, so nothing more is submitted: each task would take the whole patience.
    lost: bool,
    sent: u64,
    told_at: Timestamp,
    tally: Box<Tally>,
    effects: VecDeque<Effect>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    WarmingUp,
    Counting {
        since: Timestamp,
    },
    /// What is under way is waited for.
    Emptying,
    Done,
}

impl Generator {
    pub(super) fn new(now: Timestamp, wall: WallTime, plan: Plan, tasks: Tasks, client: Machine) -> Self {
        Self {
            plan,
            tasks,
            client,
            stage: Stage::WarmingUp,
            started: now,
            wall,
            next: 0,
            first: u64::MAX,
            under_way: BTreeMap::new(),
            full_at: None,
            lost: false,
            sent: 0,
            told_at: now,
            tally: Box::default(),
            effects: VecDeque::new(),
        }
    }

    /// Submits what is due, and notices when it is time to count and when it is enough.
    fn advance(&mut self, now: Timestamp) {
        if matches!(self.stage, Stage::WarmingUp) && now >= self.started + self.plan.warm_up {
            self.stage = Stage::Counting { since: now };
            self.first = self.next;
            self.effects.push_back(Effect::Began);
        }
        while let Some(due) = self.due(now).filter(|due| *due <= now) {
            if self.under_way.len() >= self.plan.in_flight {
                self.full_at = Some(now);
                break;
            }
            self.submit(now, due);
        }
        if let Stage::Counting { since } = self.stage {
            self.look_at_the_end(now, since);
        }
        if matches!(self.stage, Stage::Emptying) && self.under_way.is_empty() {
            self.stage = Stage::Done;
            self.tally.resent = self.sent.saturating_sub(self.next);
            self.effects.push_back(Effect::Done(std::mem::take(&mut self.tally)));
        }
    }

    /// When the next task is to be submitted, if there is one: now, unless its time is known.
    fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let due = self.scheduled().unwrap_or(now);
        let is_wanted = match (self.stage, self.plan.amount) {
            _ if self.lost => false,
            (Stage::WarmingUp, _) => true,
            (Stage::Counting { .. }, Amount::Tasks(tasks)) => self.next - self.first < tasks,
            (Stage::Counting { since }, Amount::For(span)) => due < since + span,
            (Stage::Emptying | Stage::Done, _) => false,
        };
        is_wanted.then_some(due)
    }

    fn scheduled(&self) -> Option<Timestamp> {
        self.plan.pace.due(self.next).map(|after| self.started + after)
    }

    fn submit(&mut self, now: Timestamp, due: Timestamp) {
        let number = self.next;
        self.next += 1;
        self.under_way.insert(number, due);
        if number >= self.first && self.plan.pace.due(number).is_some() {
            self.tally.late.record(now.since(due));
            self.tally.held_back += u64::from(self.full_at.is_some_and(|at| due <= at));
        }
        let task = self.tasks.task(number, self.wall + now.since(self.started));
        let request = Request::Submit { task: Box::new(task), wait: self.plan.wait };
        let Plan { patience, pack, .. } = self.plan;
        self.client.handle_event(now, machine::Event::Call(Call { id: CallId(number), request, patience, pack }));
    }

    fn look_at_the_end(&mut self, now: Timestamp, since: Timestamp) {
        let counted = self.next - self.first;
        let is_all = self.lost || matches!(self.plan.amount, Amount::Tasks(tasks) if counted == tasks);
        let time_is_over = match self.plan.amount {
            Amount::For(span) => Some(since + span).filter(|end| *end <= now),
            Amount::Tasks(_) => None,
        };
        let end = time_is_over.or_else(|| (is_all && self.under_way.is_empty()).then_some(now));
        let Some(end) = end else { return };
        self.tally.tasks = match self.plan.amount {
            Amount::Tasks(tasks) => tasks,
            Amount::For(_) => counted,
        };
        if time_is_over.is_some() {
            let due = self.plan.pace.due_before(end.since(self.started));
            self.tally.unsent = due.map_or(0, |due| due.saturating_sub(self.next));
        }
        self.tally.took = end.since(since);
        self.stage = Stage::Emptying;
        self.effects.push_back(Effect::Ended);
    }

    fn handle_client(&mut self, now: Timestamp, effect: machine::Effect) {
        match effect {
            machine::Effect::LookUp(name) => self.effects.push_back(Effect::LookUp(name)),
            machine::Effect::Stored(CallId(number), _) => self.note_stored(now, number),
            machine::Effect::Ended(CallId(number), outcome) => self.handle_end(now, number, outcome),
        }
    }

    fn note_stored(&mut self, now: Timestamp, number: u64) {
        if let Some(due) = self.under_way.get(&number).filter(|_| number >= self.first) {
            self.tally.acknowledged.record(now.since(*due));
        }
    }

    fn handle_end(&mut self, now: Timestamp, number: u64, outcome: Outcome) {
        let is_counted = number >= self.first;
        let problem = match outcome {
            Outcome::Ok(answer) => {
                self.note_end(now, number);
                self.judge(number, answer)
            }
            Outcome::Rejected(rejected) => Some(rejected.to_string()),
            Outcome::Unknown(silence) => {
                self.lost = true;
                Some(self.explain(silence))
            }
        };
        self.under_way.remove(&number).expect("a call ends once");
        if problem.is_none() {
            self.tally.right += u64::from(is_counted);
        } else if self.tally.problem.is_none() {
            self.tally.problem = problem;
        }
    }

    fn note_end(&mut self, now: Timestamp, number: u64) {
        if !self.plan.wait {
            self.note_stored(now, number);
        } else if let Some(due) = self.under_way.get(&number).filter(|_| number >= self.first) {
            self.tally.result.record(now.since(*due));
        }
        if let Stage::Counting { since } = self.stage {
            self.tally.ended += 1;
            if now.since(self.told_at) >= TELL_EVERY {
                self.told_at = now;
                self.effects.push_back(Effect::Progress { tasks: self.tally.ended, time: now.since(since) });
            }
        }
    }

    /// What is wrong with an answer, if anything.
    fn judge(&mut self, number: u64, answer: Answer) -> Option<String> {
        match answer {
            Answer::Stored(_) => None,
            Answer::Progress(Progress::Ended(End::Done(result))) => {
                if self.tasks.is_right(number, &result) {
                    return None;
                }
                self.tally.wrong += u64::from(number >= self.first);
                Some(format!("the result of {:?} was {}", self.tasks.payload(number), result.get()))
            }
            Answer::Progress(Progress::Ended(End::Failed(failed))) => Some(failed.to_string()),
            Answer::Progress(Progress::Ended(End::Cancelled)) => Some("the task was cancelled".to_owned()),
            other => unreachable!("a submission was answered by {other:?}"),
        }
    }

    fn explain(&self, silence: Silence) -> String {
        match silence {
            Silence::NoAnswer => format!("no answer in {} s", self.plan.patience.as_secs_f64()),
            Silence::NoAddress => "the host name of the dispatcher could not be resolved".to_owned(),
            Silence::Garbled => "answers came that this version does not understand".to_owned(),
            Silence::InDoubt(refused) => format!("it may be stored or not: {refused}"),
        }
    }
}

impl Node for Generator {
    type Event = Event;
    type Effect = Effect;

    fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
        self.client.handle_datagram(now, from, message);
    }

    fn handle_event(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Resolved { name, addr } => {
                self.client.handle_event(now, machine::Event::Resolved { name, addr });
            }
            // All that is due is submitted after every event.
            Event::Tick => {}
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if self.client.poll_timeout().is_some_and(|at| at <= now) {
            self.client.handle_timeout(now);
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.client.poll_transmit();
        self.sent += u64::from(transmit.is_some());
        transmit
    }

    fn poll_effect(&mut self, now: Timestamp) -> Option<Effect> {
        loop {
            while let Some(effect) = self.client.poll_effect(now) {
                self.handle_client(now, effect);
            }
            let submitted = self.next;
            if self.effects.is_empty() {
                self.advance(now);
            }
            // What was submitted may have had an effect at once, such as a look-up.
            if self.next == submitted {
                return self.effects.pop_front();
            }
        }
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let own = match (self.stage, self.plan.amount) {
            (Stage::WarmingUp, _) => Some(self.started + self.plan.warm_up),
            (Stage::Counting { since }, Amount::For(span)) => Some(since + span),
            _ => None,
        };
        // Where there is no room, the end of a task wakes us up.
        let has_room = self.under_way.len() < self.plan.in_flight;
        let due = self.scheduled().and_then(|due| self.due(due)).filter(|_| has_room);
        [own, due, self.client.poll_timeout()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
