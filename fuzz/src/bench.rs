//! Drives a machine as its daemon does, and checks what holds for all machines.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use taskgrid_protocol::codec::{self, Element};
use taskgrid_protocol::limits::DATAGRAM_MAX;
use taskgrid_protocol::{Body, Message, Node, ReplyTo, Timestamp, Transmit};

use crate::Reached;
use crate::input::Input;
use crate::replies;
use crate::words::{self, Overheard};

/// A machine that wants to be woken at once more often than this, one time after the other, is in a busy loop.
const ROUNDS_MAX: usize = 8;

/// No input lasts longer. Beyond it, "for ever" would be a moment that comes.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

pub(crate) struct Bench<N> {
    pub(crate) node: N,
    pub(crate) now: Timestamp,
    pub(crate) overheard: Overheard,
    pub(crate) reached: Reached,
    /// What has left since somebody looked.
    pub(crate) sent: Vec<Message>,
    /// Answers that have left since somebody looked.
    pub(crate) answers: Vec<(SocketAddr, Value)>,
    /// Messages that may be answered, and answers.
    requests: usize,
    replies: usize,
    /// Everything that has happened to the machine.
    happened: usize,
}

impl<N: Node> Bench<N> {
    pub(crate) fn new(node: N) -> Self {
        Self {
            node,
            now: Timestamp::ZERO,
            overheard: Overheard::default(),
            reached: Reached::new(),
            sent: Vec::new(),
            answers: Vec::new(),
            requests: 0,
            replies: 0,
            happened: 0,
        }
    }

    /// Time passes: some, or until the machine wants to be woken. Says how much.
    pub(crate) fn wait(&mut self, input: &mut Input<'_>) -> Duration {
        let before = self.now;
        if input.one_in(2) {
            self.wait_for_alarm();
        } else {
            self.wait_for(words::pause(input));
        }
        self.now.since(before)
    }

    pub(crate) fn wait_for(&mut self, span: Duration) {
        self.now = (self.now + span).min(Timestamp::ZERO + LONGEST);
    }

    pub(crate) fn wait_for_alarm(&mut self) {
        let at = self.node.poll_timeout().unwrap_or(self.now);
        self.now = self.now.max(at).min(Timestamp::ZERO + LONGEST);
    }

    /// Something that the machine asked for has happened.
    pub(crate) fn happen(&mut self, event: N::Event) {
        self.happened += 1;
        self.node.handle_event(self.now, event);
    }

    pub(crate) fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut elements = Vec::new();
        codec::decode(datagram, from, &mut |element| elements.push(element));
        for element in elements {
            self.happened += 1;
            match element {
                Element::Message(message) => self.receive_message(from, message),
                Element::Refused(to, error) | Element::Malformed(to, error) => {
                    self.requests += 1;
                    if let Some(answer) = to.answer(&error) {
                        self.send(answer);
                    }
                }
            }
        }
    }

    /// Somebody answers a request of the machine.
    pub(crate) fn answer(&mut self, input: &mut Input<'_>) {
        let (id, from) = self.overheard.request(input);
        let data = replies::data(input, &self.overheard);
        let answer = format!("{{\"type\":\"RESPONSE\",\"id\":{},\"data\":{data}}}", id.as_json());
        self.receive(from, answer.as_bytes());
    }

    fn receive_message(&mut self, from: SocketAddr, message: Message) {
        let is_request = !matches!(message.body, Body::Response(_) | Body::TaskAck(_) | Body::TaskReject(_));
        self.requests += usize::from(is_request);
        self.drain();
        let replies = self.replies;
        let kind = message.body.kind();
        self.node.handle_datagram(self.now, from, message);
        self.drain();
        assert!(is_request || self.replies == replies, "{kind} was answered");
    }

    /// Asks the machine, and hands out its answer's `data` if it answers at once.
    pub(crate) fn ask(&mut self, body: Body) -> Option<Value> {
        let to = ReplyTo::new(([127, 0, 0, 1], 9).into(), None, false, 0);
        self.answers.clear();
        self.receive_message(to.addr, Message::new(taskgrid_protocol::Beside::default(), body));
        self.answers.pop().map(|(_, answer)| answer)
    }

    /// What a daemon does after each thing that happened.
    pub(crate) fn settle(&mut self) -> Vec<N::Effect> {
        let mut effects = Vec::new();
        for round in 0.. {
            assert!(
                round < ROUNDS_MAX,
                "it wants to be woken at {:?} and it is {:?}",
                self.node.poll_timeout(),
                self.now
            );
            if self.is_due() {
                self.node.handle_timeout(self.now);
            }
            while let Some(effect) = self.node.poll_effect(self.now) {
                effects.push(effect);
                assert!(effects.len() <= self.bound(), "{} effects at once", effects.len());
            }
            self.drain();
            if !self.is_due() {
                break;
            }
        }
        effects
    }

    fn is_due(&self) -> bool {
        self.node.poll_timeout().is_some_and(|at| at <= self.now)
    }

    /// What a machine may send or want at once: whatever has happened, it has a few things to say of each.
    fn bound(&self) -> usize {
        16 + 4 * self.happened
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(transmit) = self.node.poll_transmit() {
            count += 1;
            assert!(count <= self.bound(), "{count} datagrams at once after {} events", self.happened);
            self.send(transmit);
        }
    }

    fn send(&mut self, transmit: Transmit) {
        assert!(transmit.bytes.len() <= DATAGRAM_MAX, "{} bytes fit into no datagram", transmit.bytes.len());
        let text = || String::from_utf8_lossy(&transmit.bytes).into_owned();
        let mut elements = Vec::new();
        codec::decode(&transmit.bytes, transmit.to, &mut |element| elements.push(element));
        let answer: Option<Value> = transmit
            .bytes
            .starts_with(br#"{"type":"RESPONSE""#)
            .then(|| serde_json::from_slice(&transmit.bytes).ok())
            .flatten();
        if let Some(mut answer) = answer {
            self.replies += 1;
            // The first answer to a POST_TASK that waits is followed by another one, and that is all.
            assert!(self.replies <= 2 * self.requests, "{} answers to {} requests", self.replies, self.requests);
            let data = if answer["data"].is_object() { answer["data"].take() } else { answer };
            self.reached.insert(data["code"].as_str().unwrap_or("RESPONSE").to_owned());
            self.answers.push((transmit.to, data));
        } else if let Ok([Element::Message(message)]) = <[Element; 1]>::try_from(elements) {
            self.reached.insert(message.body.kind().to_owned());
            self.overheard.hear(&message, transmit.to);
            self.sent.push(message);
        } else {
            panic!("nobody understands {}", text());
        }
    }
}
