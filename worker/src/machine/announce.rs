//! Registration at the name services (R27), at each of them on its own.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use rand_core::RngCore;
use taskgrid_protocol::body::{Deregister, Registration, Span};
use taskgrid_protocol::{Body, ErrorCode, Json, TaskType, Timestamp};

use super::limits::{DEREGISTER_FOR, RESOLVE_AGAIN_AFTER};
use super::results::Answer;
use super::{Alarm, Asked, Effect, Exit, Machine, Note};

/// A name service, as the worker sees it.
#[derive(Debug)]
pub(super) struct Service {
    name: String,
    /// The announcement that it has not answered yet, and where that went.
    asked: Option<(u64, SocketAddr)>,
    /// An announcement waits for the name to be looked up.
    waiting: bool,
    /// Whether it has been told what is served now. Afterwards HEARTBEAT takes the place of REGISTER_WORKER.
    registered: bool,
    /// What the operator was told last.
    said: Option<Said>,
    /// Where the process comes from, if there is one, of which the operator was told that it wants this address.
    contested: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Registered,
    Silent,
    Refused,
}

impl Service {
    pub(super) fn new(name: String) -> Self {
        Self { name, asked: None, waiting: false, registered: false, said: None, contested: None }
    }
}

impl Machine {
    pub(super) fn announce_everywhere(&mut self, now: Timestamp) {
        for service in 0..self.services.len() {
            self.announce(now, service);
        }
    }

    /// Sends an announcement, in place of the one that is unanswered. Until the name is looked up there is
    /// nowhere to send it to.
    pub(super) fn announce(&mut self, now: Timestamp, index: usize) {
        let service = &mut self.services[index];
        let unanswered = service.asked.take();
        let addr = self.resolver.resolve(now, &service.name).any();
        service.waiting = addr.is_none();
        if let Some((id, _)) = unanswered {
            self.forget(id);
        }
        let Some(addr) = addr else {
            self.timers.set(Alarm::Announce(index), now + RESOLVE_AGAIN_AFTER);
            return;
        };
        self.timers.cancel(&Alarm::Announce(index));
        let body = self.announcement(index);
        let until = now + self.config.announce_every;
        let id = self.ask_service(now, addr, Asked::Announcement(index), body, until);
        self.services[index].asked = Some((id, addr));
    }

    fn announcement(&self, index: usize) -> Body {
        if self.config.types.is_empty() {
            // The last handler was taken away while the worker ran. A registration names at least one type.
            return self.farewell();
        }
        let registration = Registration {
            task_type: None,
            types: self.config.types.iter().cloned().collect(),
            address: self.config.address.clone(),
            capacity: Some(self.config.capacity()),
            instance: Some(self.config.instance.clone()),
            interval_s: Some(Span(self.config.announce_every)),
            batch: true,
            max_datagram: None,
        };
        if self.services[index].registered { Body::Heartbeat(registration) } else { Body::RegisterWorker(registration) }
    }

    fn farewell(&self) -> Body {
        let (address, instance) = (self.config.address.clone(), Some(self.config.instance.clone()));
        Body::DeregisterWorker(Deregister { address, instance })
    }

    pub(super) fn handle_announced(&mut self, now: Timestamp, id: u64, index: usize, data: &Json) {
        self.outbox.answered(now, &id);
        self.asked.remove(&id);
        let service = &mut self.services[index];
        service.asked = None;
        let Some(answer) = Answer::read(data) else { return self.announce_later(now, index) };
        if answer.code == Some(ErrorCode::AddressInUse) {
            self.exited = true;
            self.effects.push_back(Effect::Exit(Exit::AddressInUse(answer.error.unwrap_or_default())));
            return;
        }
        let name = service.name.clone();
        if let Some(error) = answer.error {
            service.registered = false;
            self.say(index, Said::Refused, Note::Refused(name, error));
        } else if !self.config.types.is_empty() {
            service.registered = true;
            self.say(index, Said::Registered, Note::Registered(name));
            self.say_contested(index, answer.contested);
        }
        self.announce_later(now, index);
    }

    /// Nothing was heard for a whole interval: the name service may have moved.
    pub(super) fn handle_service_silent(&mut self, now: Timestamp, index: usize) {
        let service = &mut self.services[index];
        service.asked = None;
        let name = service.name.clone();
        self.resolver.distrust(&name);
        self.say(index, Said::Silent, Note::Silent(name));
        self.announce(now, index);
    }

    pub(super) fn handle_resolved(&mut self, now: Timestamp, name: &str, addr: Option<SocketAddr>) {
        self.resolver.handle_resolved(now, name, addr);
        if self.draining {
            return;
        }
        for index in 0..self.services.len() {
            let service = &self.services[index];
            if service.name != name {
                continue;
            }
            let has_moved = service.asked.is_some_and(|(_, asked)| addr.is_some_and(|addr| addr != asked));
            if has_moved || (service.waiting && addr.is_some()) {
                self.announce(now, index);
            } else if service.waiting {
                self.say(index, Said::Silent, Note::Silent(name.to_owned()));
            }
        }
    }

    /// Others come at other times: the interval varies by a fifth.
    fn announce_later(&mut self, now: Timestamp, index: usize) {
        let share = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        let wait = self.config.announce_every.mul_f64(0.8 + 0.4 * share);
        self.timers.set(Alarm::Announce(index), now + wait);
    }

    /// The handlers have changed: the name services hear of it at once.
    pub(super) fn handle_types(&mut self, now: Timestamp, types: BTreeSet<TaskType>) {
        self.config.types = types;
        if self.draining {
            return;
        }
        self.give_back_unserved(now);
        for service in &mut self.services {
            service.registered = false;
        }
        self.announce_everywhere(now);
    }

    /// Takes the worker off every list, as far as the name services can be reached.
    pub(super) fn deregister(&mut self, now: Timestamp) {
        for index in 0..self.services.len() {
            self.timers.cancel(&Alarm::Announce(index));
            let service = &mut self.services[index];
            let addr = self.resolver.resolve(now, &service.name).any();
            if let Some((id, _)) = service.asked.take() {
                self.forget(id);
            }
            if let Some(addr) = addr {
                let body = self.farewell();
                self.ask_service(now, addr, Asked::Farewell, body, now + DEREGISTER_FOR);
            }
        }
    }

    /// The operator hears of each newcomer once.
    fn say_contested(&mut self, index: usize, contested: Option<String>) {
        let before = std::mem::replace(&mut self.services[index].contested, contested.clone());
        if let Some(from) = contested.filter(|from| before.as_ref() != Some(from)) {
            self.note(Note::Contested(from));
        }
    }

    /// The operator hears of a change, not of every announcement.
    fn say(&mut self, index: usize, said: Said, note: Note) {
        if self.services[index].said.replace(said) != Some(said) {
            self.note(note);
        }
    }
}
