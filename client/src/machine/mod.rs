//! The client as a state machine: conversations that re-send until they are answered.
//!
//! Each call has a number. Its request is sent again until an answer comes or the caller's patience ends
//! (R5), and it ends in one of three outcomes (R6). Nothing here asks the time or touches a socket: a
//! driver does, or a simulator.

mod call;
mod conversation;
pub mod limits;
mod path;
mod reply;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use rand_chacha::ChaCha12Rng;
use rand_core::RngCore;
use taskgrid_protocol::outbox::Due;
use taskgrid_protocol::{Body, ErrorCode, Message, Node, Outbox, RequestId, Timers, Timestamp, Transmit};

pub use call::{
    Answer, Call, CallId, Effect, End, Event, Failed, Outcome, Progress, Rejected, Request, Silence, Standing,
};
use conversation::{Conversation, Stage};
use path::Path;
use reply::Said;

/// What a client machine must be told before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's address: `HOST:PORT`, where the host may be a DNS name.
    pub server: String,
}

/// All conversations of one client with one server.
#[derive(Debug)]
pub struct Machine {
    rng: ChaCha12Rng,
    path: Path,
    /// Where the wire's ids count from. Random, so that a stranger who cannot see our datagrams cannot
    /// make up answers to them.
    id_base: u64,
    calls: BTreeMap<CallId, Conversation>,
    /// Questions that are answered at once. Silence here means that something was lost.
    asks: Outbox<CallId>,
    /// Requests that are answered when a task ends. Silence here is the usual thing, so it says nothing
    /// of the path (R5).
    waits: Outbox<CallId>,
    /// Calls that wait for room in the window or for the server's address; the oldest goes first.
    queue: BTreeSet<CallId>,
    /// What the unanswered questions take up of [`limits::WINDOW_MAX`].
    window_used: usize,
    alarms: Timers<CallId>,
    transmits: VecDeque<Transmit>,
    effects: VecDeque<Effect>,
}

impl Machine {
    /// A machine without calls.
    pub fn new(config: Config, mut rng: ChaCha12Rng) -> Self {
        let id_base = rng.next_u64();
        Self {
            rng,
            path: Path::new(config.server),
            id_base,
            calls: BTreeMap::new(),
            asks: Outbox::default(),
            waits: Outbox::default(),
            queue: BTreeSet::new(),
            window_used: 0,
            alarms: Timers::default(),
            transmits: VecDeque::new(),
            effects: VecDeque::new(),
        }
    }

    /// How many calls are under way.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    fn handle_call(&mut self, now: Timestamp, call: Call) {
        let id = call.id;
        if self.calls.len() >= limits::CALLS_MAX {
            let message = format!("this program has {} calls under way already; await some first", limits::CALLS_MAX);
            let refused = Rejected::new(ErrorCode::Overloaded, message);
            self.effects.push_back(Effect::Ended(id, Outcome::Rejected(refused)));
            return;
        }
        let before = self.calls.insert(id, Conversation::new(now, call));
        assert!(before.is_none(), "a call's number is used once");
        self.enqueue(id);
        self.send_queued(now);
    }

    fn handle_resolved(&mut self, now: Timestamp, name: &str, addr: Option<SocketAddr>) {
        let Some(moved_to) = self.path.handle_resolved(now, name, addr) else { return };
        for outbox in [&mut self.asks, &mut self.waits] {
            let may_repeat = |id: &CallId| self.calls.get(id).is_some_and(Conversation::may_repeat);
            let keys: Vec<CallId> = outbox.keys().copied().filter(may_repeat).collect();
            for key in keys {
                outbox.redirect(now, &key, moved_to);
            }
        }
        // Who is there now may not know of them.
        let is_trusting = |conversation: &Conversation| matches!(conversation.stage, Stage::Trusting { .. });
        for (id, _) in self.calls.iter().filter(|(_, conversation)| is_trusting(conversation)) {
            self.alarms.set(*id, now);
        }
        self.send_queued(now);
    }

    /// An answer to nothing that we asked, or that we no longer want to know, is passed over.
    fn handle_response(&mut self, now: Timestamp, message: Message) {
        let Body::Response(data) = message.body else { return };
        let Some(number) = message.beside.id.as_ref().and_then(RequestId::as_number) else { return };
        let number = number.wrapping_sub(self.id_base);
        let (id, round) = (CallId(number >> 8), number.to_le_bytes()[0]);
        let Some(conversation) = self.calls.get(&id) else { return };
        let said = Said::read(data, &conversation.request);
        self.handle_said(now, id, round, said);
        self.send_queued(now);
    }

    /// The `id` on the wire: the call's number and its round, so that each leads back to the call.
    fn wire_id(&self, id: CallId, round: u8) -> RequestId {
        let number = (id.0 << 8) | u64::from(round);
        RequestId::number(self.id_base.wrapping_add(number))
    }

    /// Checks what must hold between any two calls of the machine. For tests and simulators.
    pub fn sanity_check(&self) {
        let mut window_used = 0;
        for (id, conversation) in &self.calls {
            let alarm = self.alarms.get(id).is_some();
            let held = (self.queue.contains(id), self.asks.contains(id), self.waits.contains(id), alarm);
            let expected = match conversation.stage {
                Stage::Queued => (true, false, false, true),
                Stage::Asked { cost } => {
                    window_used += cost;
                    (false, true, false, false)
                }
                Stage::Waiting => (false, false, true, false),
                Stage::Trusting { .. } | Stage::Paused => (false, false, false, true),
            };
            assert_eq!(held, expected, "{id:?} is {:?}", conversation.stage);
        }
        assert_eq!(window_used, self.window_used);
        let held = self.queue.len() + self.asks.len() + self.waits.len();
        assert!(held <= self.calls.len(), "only calls under way are held anywhere");
    }
}

impl Node for Machine {
    type Event = Event;
    type Effect = Effect;

    fn handle_datagram(&mut self, now: Timestamp, _from: SocketAddr, message: Message) {
        // Wherever it comes from: who knows the id has seen the request.
        self.handle_response(now, message);
    }

    fn handle_event(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Call(call) => self.handle_call(now, call),
            Event::Abandon(id) => {
                self.release(id);
                self.calls.remove(&id);
                self.send_queued(now);
            }
            Event::Resolved { name, addr } => self.handle_resolved(now, &name, addr),
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.path.handle_timeout(now);
        while let Some(due) = self.asks.poll(now, &mut self.rng) {
            match due {
                Due::Resend(copy) => {
                    self.path.distrust(now);
                    self.transmits.push_back(copy);
                }
                Due::Expired(id) => self.handle_silence(id),
            }
        }
        while let Some(due) = self.waits.poll(now, &mut self.rng) {
            match due {
                Due::Resend(copy) => {
                    self.path.addr(now);
                    self.transmits.push_back(copy);
                }
                // The slice is over: is the dispatcher still there?
                Due::Expired(id) => self.enqueue(id),
            }
        }
        while let Some(id) = self.alarms.pop_due(now) {
            self.handle_alarm(now, id);
        }
        self.send_queued(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_effect(&mut self, _now: Timestamp) -> Option<Effect> {
        self.path.poll().map(Effect::LookUp).or_else(|| self.effects.pop_front())
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let sources = [self.asks.next(), self.waits.next(), self.alarms.next(), self.path.poll_timeout()];
        sources.into_iter().flatten().min()
    }
}
