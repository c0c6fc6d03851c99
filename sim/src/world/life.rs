//! Processes begin, die, are paused and go on.

use super::{Role, World};
use crate::agenda::Event;
use crate::host::Death;
use crate::options::{MILLI, Micros, SECOND};

impl World {
    pub(super) fn start(&mut self, place: usize) {
        let process = &mut self.processes[place];
        if process.alive {
            return;
        }
        process.alive = true;
        process.born = self.at;
        process.wake_at = None;
        self.record.trace.line(self.at, || format!("{} starts", process.name));
        self.with(place, |host, context| {
            host.start(context);
            None
        });
        self.settle(place);
    }

    /// A process ends by itself, and its supervisor starts it again.
    pub(super) fn die(&mut self, place: usize, death: Death) {
        let process = &self.processes[place];
        self.record.trace.line(self.at, || format!("{} dies: {death:?}", process.name));
        let delay = self.dice.range(10 * MILLI, SECOND);
        self.kill(place, false, delay);
    }

    pub(super) fn kill(&mut self, place: usize, power: bool, absence: Micros) {
        let process = &mut self.processes[place];
        if !process.alive {
            return;
        }
        process.alive = false;
        process.held = None;
        if process.role == Role::Dispatcher {
            self.weather.broken = false;
        }
        self.record.trace.line(self.at, || format!("{} is gone", process.name));
        self.with(place, |host, context| {
            host.kill(context, power);
            None
        });
        self.processes[place].life += 1;
        self.agenda.add(self.at + absence, Event::Start(place));
    }

    pub(super) fn pause(&mut self, place: usize, span: Micros) {
        let process = &mut self.processes[place];
        if process.alive && process.held.is_none() {
            process.held = Some(Vec::new());
            self.record.trace.line(self.at, || format!("{} is paused", process.name));
            self.agenda.add(self.at + span, Event::Resume(place));
        }
    }

    pub(super) fn resume(&mut self, place: usize) {
        let Some(held) = self.processes[place].held.take() else { return };
        self.record.trace.line(self.at, || format!("{} goes on", self.processes[place].name));
        for event in held {
            self.happen(event);
        }
        self.settle(place);
    }
}
