//! Finding workers: questions to the name service (R27).

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use rand_core::RngCore;
use taskgrid_protocol::body::{Lookup, LookupReply, Since};
use taskgrid_protocol::outbox::Patience;
use taskgrid_protocol::reply::pad;
use taskgrid_protocol::{Body, ErrorCode, Json, Message, RequestId, TaskType, Timestamp, is_near};

use super::limits::{FAR_QUESTION_BYTES, FEED_CALM, FEED_HUNGRY, NAMESERVICE_SILENCE, QUESTIONS_MAX};
use super::roster::{Registered, WorkerKey};
use super::{Alarm, Machine, Sending};

/// A question to the name service.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Question {
    /// Who serves this type?
    Workers(TaskType),
    /// What has changed?
    Changes,
}

/// The conversation with the name services.
#[derive(Debug)]
pub(super) struct Finder {
    /// How many there are, and which one is asked.
    services: usize,
    current: usize,
    /// Unanswered questions, by request id, each with the service that was asked.
    asked: BTreeMap<u64, (Question, usize)>,
    /// Questions that have yet to be asked.
    waiting: VecDeque<Question>,
    /// Whether the question for changes is among either.
    follows_changes: bool,
    /// What is known of the changes.
    since: Since,
    /// The next question for changes begins anew.
    lists_again: bool,
    /// The `id` of the next question. Starts at a random number: an answer that comes late, to a dispatcher
    /// that had this port before, must not be taken for an answer to this one.
    next_id: u64,
}

impl Finder {
    /// Whether a name service has told all it knows since the dispatcher started.
    pub(super) fn has_told(&self) -> bool {
        self.since.epoch != 0 && !self.since.reset
    }

    pub(super) fn new(services: usize, rng: &mut impl RngCore) -> Self {
        assert!(services > 0, "a dispatcher has at least one name service");
        Self {
            services,
            current: 0,
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
            follows_changes: false,
            since: Since::default(),
            lists_again: false,
            // 53 bits pass through the numbers of any language.
            next_id: rng.next_u64() >> 11,
        }
    }
}

impl Machine {
    pub(super) fn handle_added(&mut self, now: Timestamp, task_type: &TaskType) {
        if self.admit_type(now, task_type) {
            self.types.added(task_type);
        }
    }

    /// A type has tasks, or will have: it is remembered, and its workers are looked up. `false`: there are too many
    /// types.
    pub(super) fn admit_type(&mut self, now: Timestamp, task_type: &TaskType) -> bool {
        let is_admitted = self.types.admit(task_type);
        if is_admitted {
            self.want_workers(now, task_type);
        }
        is_admitted
    }

    /// The workers of a type are looked up, unless they have been; then the changes tell.
    pub(super) fn want_workers(&mut self, now: Timestamp, task_type: &TaskType) {
        let Some(state) = self.types.get_mut(task_type) else { return };
        if state.workers().is_empty() {
            self.timers.set_earlier(Alarm::Feed, now + FEED_HUNGRY);
        }
        if state.asked {
            return;
        }
        state.asked = true;
        // Changes that came before the type was known have told of some already.
        let known: Vec<_> =
            self.roster.iter().filter(|(_, worker)| worker.types.contains(task_type)).map(|(key, _)| key).collect();
        for worker in known {
            self.types.add_worker(task_type, worker);
        }
        self.finder.waiting.push_back(Question::Workers(task_type.clone()));
        self.ask_waiting_questions(now);
    }

    /// The alarm for changes has rung.
    pub(super) fn ask_for_changes(&mut self, now: Timestamp) {
        if !self.finder.follows_changes {
            self.finder.follows_changes = true;
            self.finder.waiting.push_back(Question::Changes);
        }
        self.ask_waiting_questions(now);
    }

    /// What is known of a worker was wrong: who serves its types is asked anew, since the changes will not tell
    /// what they have told already.
    pub(super) fn look_up_again(&mut self, now: Timestamp, worker: WorkerKey) {
        let served = self.roster.get(worker).map(|worker| worker.types.clone()).unwrap_or_default();
        for task_type in served {
            if let Some(state) = self.types.get_mut(&task_type) {
                state.asked = false;
                self.want_workers(now, &task_type);
            }
        }
        self.timers.set_earlier(Alarm::Feed, now + FEED_HUNGRY);
    }

    fn set_feed_alarm(&mut self, now: Timestamp) {
        let is_hungry = self.types.any_starving() || self.roster.awaits_successor(now);
        let pause = if is_hungry { FEED_HUNGRY } else { FEED_CALM };
        self.timers.set(Alarm::Feed, now + pause);
    }

    /// Asks what waits to be asked, as far as the address of the name service is known and not too many
    /// questions are open.
    pub(super) fn ask_waiting_questions(&mut self, now: Timestamp) {
        while self.finder.asked.len() < QUESTIONS_MAX && !self.finder.waiting.is_empty() {
            let service = self.finder.current;
            let Some(addr) = self.resolver.resolve(now, &self.config.nameservices[service]).any() else {
                // Asked again when the look-up ends, at the latest by the next alarm.
                return self.timers.set_earlier(Alarm::Feed, now + FEED_HUNGRY);
            };
            let Some(question) = self.finder.waiting.pop_front() else { return };
            if question == Question::Changes && std::mem::take(&mut self.finder.lists_again) {
                self.finder.since = Since::default();
            }
            let id = self.finder.next_id;
            self.finder.next_id += 1;
            let lookup = match &question {
                Question::Workers(task_type) => Lookup { task_type: Some(task_type.clone()), since: None },
                Question::Changes => Lookup { task_type: None, since: Some(self.finder.since) },
            };
            self.finder.asked.insert(id, (question, service));
            let message = Message::request(RequestId::number(id), Body::LookupWorker(lookup));
            let mut question = message.transmit(addr, false);
            if !is_near(addr.ip()) {
                pad(&mut question, FAR_QUESTION_BYTES);
            }
            let patience = Patience::until(now + NAMESERVICE_SILENCE);
            let first = self.outbox.put(now, Sending::Question(id), question, patience);
            self.transmits.push_back(first);
        }
    }

    /// A question went unanswered: it is asked again, of the next name service if there is one.
    pub(super) fn handle_silence(&mut self, now: Timestamp, id: u64) {
        let Some((question, service)) = self.finder.asked.remove(&id) else { return };
        self.resolver.distrust(&self.config.nameservices[service]);
        if service == self.finder.current {
            self.finder.current = (service + 1) % self.finder.services;
        }
        self.finder.waiting.push_back(question);
        self.ask_waiting_questions(now);
    }

    /// An answer, if it is one that is awaited.
    pub(super) fn handle_answer(&mut self, now: Timestamp, from: SocketAddr, id: Option<&RequestId>, data: &Json) {
        let Some(id) = id.and_then(RequestId::as_number) else { return };
        let Some((_, service)) = self.finder.asked.get(&id) else { return };
        let asked = self.resolver.resolve(now, &self.config.nameservices[*service]).any();
        if asked.is_some_and(|addr| addr != from) {
            return;
        }
        let Ok(reply) = data.read::<LookupReply>() else { return };
        let Some((question, _)) = self.finder.asked.remove(&id) else { return };
        self.outbox.answered(now, &Sending::Question(id));
        match question {
            Question::Workers(task_type) => self.handle_workers(now, &task_type, &reply),
            Question::Changes => self.handle_changes(now, &reply),
        }
        self.ask_waiting_questions(now);
    }

    fn handle_workers(&mut self, now: Timestamp, task_type: &TaskType, reply: &LookupReply) {
        let Some(state) = self.types.get_mut(task_type) else { return };
        if reply.error.is_some() && reply.code != Some(ErrorCode::NoWorker) {
            // The name service could not tell; the changes will.
            return;
        }
        state.looked_up = true;
        let known = self.finder.since;
        if reply.epoch == known.epoch && reply.version < known.version && !known.reset {
            // It was long under way: the changes have told of these workers since, and of what became of them.
            return;
        }
        if reply.epoch != known.epoch && known != Since::default() {
            // Of another name service, or another run. Nobody can say whether it is older, so all is listed again.
            self.finder.lists_again = true;
        }
        for entry in &reply.workers {
            let changes = self.roster.register(now, entry, std::slice::from_ref(task_type));
            self.apply(now, changes);
        }
    }

    fn handle_changes(&mut self, now: Timestamp, reply: &LookupReply) {
        self.finder.follows_changes = false;
        if reply.error.is_some() {
            return self.set_feed_alarm(now);
        }
        if reply.reset {
            self.roster.doubt_all(now);
        }
        for entry in &reply.workers {
            let changes = if entry.gone {
                self.roster.unregister(now, &entry.address, &entry.types)
            } else {
                self.roster.register(now, entry, &entry.types)
            };
            self.apply(now, changes);
        }
        for changes in self.roster.drop_unconfirmed(now) {
            self.apply(now, changes);
        }
        let starting_anew = reply.more && (reply.reset || self.finder.since.reset);
        self.finder.since = Since { epoch: reply.epoch, version: reply.version, reset: starting_anew };
        if reply.more {
            self.ask_for_changes(now);
        } else {
            self.set_feed_alarm(now);
        }
    }

    /// Takes over what a registration has changed.
    pub(super) fn apply(&mut self, now: Timestamp, changes: Registered) {
        for (task_type, worker) in &changes.lost {
            self.types.remove_worker(task_type, *worker);
        }
        for (task_type, worker) in &changes.gained {
            self.types.add_worker(task_type, *worker);
        }
        if let Some(worker) = changes.heard {
            self.identify(now, worker);
        }
        if let Some(worker) = changes.gone {
            // Also where the roster has forgotten the worker already, since none of its slots was taken.
            self.end_plain_attempts(worker);
            if !self.is_plain(worker) {
                self.handle_replaced_worker(now, worker);
            }
        }
        if self.types.any_starving() {
            self.timers.set_earlier(Alarm::Feed, now + FEED_HUNGRY);
        }
    }
}
