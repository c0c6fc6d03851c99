//! A client in a world, and the person behind it, who does not forget what is still unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use taskgrid_client::machine::{
    Answer, Call, CallId, Config, Effect, Event, Machine, Outcome, Progress, Request, Standing,
};
use taskgrid_client::{ErrorCode, Rejected, Status};
use taskgrid_protocol::body::TaskReply;
use taskgrid_protocol::limits::ANSWER_DEADLINE;
use taskgrid_protocol::{Body, TaskId, Timestamp};

use crate::agenda::{Action, Local};
use crate::host::{Context, Death, Driven, Flow, Host};
use crate::options::SECOND;
use crate::record::What;

/// See the module's documentation.
pub struct Client {
    /// Where the dispatcher is.
    pub server: String,
    driven: Option<Driven<Event, Effect>>,
    calls: BTreeMap<CallId, Action>,
    next: u64,
    person: Person,
}

/// What outlives the process.
#[derive(Default)]
struct Person {
    /// Wishes that are neither stored nor definitely refused.
    open: BTreeSet<usize>,
    /// Wishes that were refused for a reason that passes.
    put_off: BTreeSet<usize>,
    /// Tasks whose end is not known yet.
    unended: BTreeSet<TaskId>,
}

impl Client {
    /// A client that is not there yet.
    pub fn new(server: String) -> Self {
        Self { server, driven: None, calls: BTreeMap::new(), next: 0, person: Person::default() }
    }

    /// Whether nothing is left to ask.
    pub fn is_content(&self) -> bool {
        self.calls.is_empty()
            && self.person.open.is_empty()
            && self.person.put_off.is_empty()
            && self.person.unended.is_empty()
    }

    fn act(&mut self, context: &mut Context<'_>, action: Action) {
        // The person comes back to it when the program runs again.
        let Some(driven) = &mut self.driven else { return context.later.push((SECOND, Local::Act(action))) };
        let request = match action {
            Action::Submit(wish, wait) => {
                context.record.tell(context.at, context.life, What::Submitting(wish));
                self.person.open.insert(wish);
                self.person.put_off.remove(&wish);
                let task = Box::new(context.record.wishes[wish].task.clone());
                Request::Submit { task, wait }
            }
            Action::Watch(task) => {
                context.record.tell(context.at, context.life, What::Waiting(task));
                Request::Watch { task: task.into(), limit: None }
            }
            Action::Look(task) => Request::Ask(Body::GetTask(task.into())),
            Action::Cancel(task) => Request::Ask(Body::CancelTask(task.into())),
            Action::Retry(task) => {
                context.record.tell(context.at, context.life, What::Retrying(task));
                self.person.unended.insert(task);
                Request::Ask(Body::RetryTask(task.into()))
            }
        };
        self.next += 1;
        let id = CallId(self.next);
        self.calls.insert(id, action);
        let call = Call { id, request, patience: ANSWER_DEADLINE, pack: context.dice.chance(0.5) };
        driven.node.handle_event(context.now, Event::Call(call));
    }
}

impl Host for Client {
    fn start(&mut self, context: &mut Context<'_>) {
        let machine = Machine::new(Config { server: self.server.clone() }, context.dice.fork());
        self.driven = Some(Driven::new(Box::new(machine)));
        if context.weather.healed {
            context.later.push((0, Local::Healed));
        }
    }

    fn kill(&mut self, context: &mut Context<'_>, _power: bool) {
        self.driven = None;
        for action in std::mem::take(&mut self.calls).into_values() {
            if let Action::Submit(wish, _) = action {
                context.record.tell(context.at, context.life, What::Unknown(wish, None));
            }
        }
    }

    fn datagram(&mut self, context: &mut Context<'_>, from: SocketAddr, datagram: &[u8]) {
        if let Some(driven) = &mut self.driven {
            driven.datagram(context, from, datagram);
        }
    }

    fn local(&mut self, context: &mut Context<'_>, local: Local) -> Option<Death> {
        match local {
            Local::Act(action) => self.act(context, action),
            Local::LookedUp { name, fails } => {
                let addr = context.answer(&name, fails);
                self.driven.as_mut()?.node.handle_event(context.now, Event::Resolved { name, addr });
            }
            Local::Healed => {
                let calls: Vec<Action> = self.calls.values().copied().collect();
                let is_asked = |action: &Action| calls.contains(action);
                let wishes = self.person.open.iter().chain(&self.person.put_off).copied();
                let submit = wishes.map(|wish| Action::Submit(wish, true));
                let watch = self.person.unended.iter().map(|task| Action::Watch(*task));
                let actions: Vec<Action> = submit.chain(watch).filter(|action| !is_asked(action)).collect();
                for action in actions {
                    self.act(context, action);
                }
            }
            other => unreachable!("a client does not wait for {other:?}"),
        }
        None
    }

    fn settle(&mut self, context: &mut Context<'_>) -> Option<Death> {
        let Self { driven, calls, person, .. } = self;
        driven.as_mut()?.settle(context, &mut |effect, context| perform(calls, person, effect, context))
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.driven.as_ref()?.node.poll_timeout()
    }
}

fn perform(
    calls: &mut BTreeMap<CallId, Action>,
    person: &mut Person,
    effect: Effect,
    context: &mut Context<'_>,
) -> Flow {
    match effect {
        Effect::Stored(id, reply) => {
            if let Some(Action::Submit(wish, _)) = calls.get(&id).copied() {
                person.stored(context, wish, reply.task_id);
                // From here on the call is about the task's end.
                calls.insert(id, Action::Watch(reply.task_id));
            }
        }
        Effect::Ended(id, outcome) => {
            if let Some(action) = calls.remove(&id) {
                person.hear(context, action, outcome);
            }
        }
        Effect::LookUp(name) => context.look_up(name),
    }
    None
}

impl Person {
    fn stored(&mut self, context: &mut Context<'_>, wish: usize, task: TaskId) {
        context.record.tell(context.at, context.life, What::Stored(wish, task));
        self.open.remove(&wish);
        self.unended.insert(task);
        let actions = [(0.1, Action::Cancel(task)), (0.3, Action::Look(task)), (0.3, Action::Watch(task))];
        for (chance, action) in actions {
            if !context.weather.healed && context.dice.chance(chance) {
                context.later.push((context.dice.range(0, 5 * SECOND), Local::Act(action)));
            }
        }
    }

    fn hear(&mut self, context: &mut Context<'_>, action: Action, outcome: Outcome) {
        match (action, outcome) {
            (Action::Submit(wish, _), Outcome::Ok(answer)) => self.submitted(context, wish, answer),
            (Action::Submit(wish, _), Outcome::Rejected(rejected)) => self.refused(context, wish, &rejected),
            (Action::Submit(wish, wait), Outcome::Unknown(silence)) => {
                context.record.tell(context.at, context.life, What::Unknown(wish, Some(silence)));
                self.again(context, Action::Submit(wish, wait));
            }
            (Action::Watch(task), Outcome::Ok(Answer::Progress(progress))) => self.progress(context, task, progress),
            (Action::Watch(task), Outcome::Unknown(_)) => self.again(context, Action::Watch(task)),
            (Action::Retry(task), Outcome::Ok(_)) => {
                context.record.tell(context.at, context.life, What::Retried(task));
                context.later.push((0, Local::Act(Action::Watch(task))));
            }
            (Action::Cancel(task), Outcome::Ok(_)) => {
                context.record.tell(context.at, context.life, What::Cancelled(task));
            }
            (Action::Look(task), Outcome::Ok(Answer::Data(data))) => {
                let status = data.read::<TaskReply>().ok().map(|reply| reply.task.status);
                context.record.tell(context.at, context.life, What::Stands(task, status));
            }
            (
                Action::Retry(task) | Action::Watch(task) | Action::Look(task) | Action::Cancel(task),
                Outcome::Rejected(r),
            ) => {
                context.record.tell(context.at, context.life, What::NoAnswer(task, r.code));
                if context.weather.healed && self.unended.contains(&task) {
                    context.later.push((SECOND, Local::Act(Action::Watch(task))));
                }
            }
            (Action::Retry(task), Outcome::Unknown(_)) => self.again(context, Action::Watch(task)),
            (Action::Look(_) | Action::Cancel(_), Outcome::Unknown(_)) => {}
            (action, outcome) => unreachable!("{action:?} has ended as {outcome:?}"),
        }
    }

    /// What nobody knows is asked for again, soon or when the world has healed.
    fn again(&mut self, context: &mut Context<'_>, action: Action) {
        if context.weather.healed || context.dice.chance(0.7) {
            context.later.push((context.dice.range(0, 2 * SECOND), Local::Act(action)));
        }
    }

    fn submitted(&mut self, context: &mut Context<'_>, wish: usize, answer: Answer) {
        match answer {
            Answer::Stored(reply) => {
                self.stored(context, wish, reply.task_id);
                if context.weather.healed {
                    context.later.push((0, Local::Act(Action::Watch(reply.task_id))));
                }
            }
            // The end came before the news that it is stored. It says nothing of the number, so the person
            // submits once more to hear that.
            Answer::Progress(_) => context.later.push((0, Local::Act(Action::Submit(wish, false)))),
            Answer::Data(data) => unreachable!("a submission was answered by {data:?}"),
        }
    }

    fn refused(&mut self, context: &mut Context<'_>, wish: usize, rejected: &Rejected) {
        context.record.tell(context.at, context.life, What::Refused(wish, rejected.code));
        self.open.remove(&wish);
        match rejected.code {
            ErrorCode::KeyConflict => {}
            _ if context.weather.healed => {
                self.put_off.insert(wish);
                context.later.push((SECOND, Local::Act(Action::Submit(wish, true))));
            }
            // Some people give up, and then there must be no task.
            _ if context.dice.chance(0.5) => {
                self.put_off.insert(wish);
            }
            _ => {}
        }
    }

    fn progress(&mut self, context: &mut Context<'_>, task: TaskId, progress: Progress) {
        match progress {
            Progress::Ended(end) => {
                let has_failed = matches!(&end, taskgrid_client::machine::End::Failed(_));
                context.record.tell(context.at, context.life, What::Ended(task, end));
                self.unended.remove(&task);
                if has_failed && !context.weather.healed && context.dice.chance(0.2) {
                    context.later.push((context.dice.range(0, SECOND), Local::Act(Action::Retry(task))));
                }
            }
            Progress::NotReady(Standing { status, .. }) => {
                context.record.tell(context.at, context.life, What::Stands(task, status));
                debug_assert_ne!(status, Some(Status::Done));
            }
        }
    }
}
