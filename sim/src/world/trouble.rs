//! What each fault does to the world, and how the world heals.

use super::{Kind, Local, Role, SECOND, World, faults, network};
use crate::agenda::Event;
use crate::options::Micros;

impl World {
    pub(super) fn fault(&mut self, kind: Kind) {
        if self.weather.healed {
            return;
        }
        *self.record.faults.entry(kind).or_default() += 1;
        let at = self.at;
        self.record.trace.line(at, || format!("fault: {kind:?}"));
        let absence = faults::absence(&mut self.dice);
        match kind {
            Kind::KillDispatcher => self.kill(0, false, absence),
            Kind::PowerLoss => self.kill(0, true, absence),
            Kind::KillWorker => self.kill_one(Role::Worker, absence),
            Kind::KillNameService => self.kill_one(Role::NameService, absence),
            Kind::KillClient => self.kill_one(Role::Client, absence),
            Kind::KillAll => {
                for place in 0..self.processes.len() {
                    let absence = faults::absence(&mut self.dice);
                    self.kill(place, true, absence);
                }
            }
            Kind::StopDispatcher => self.stop(0),
            Kind::StopWorker => {
                let place = self.one_of(Role::Worker);
                self.stop(place);
            }
            Kind::PauseDispatcher => self.pause(0, absence),
            Kind::PauseWorker => self.pause_one(Role::Worker, absence),
            Kind::PauseNameService => self.pause_one(Role::NameService, absence),
            Kind::Partition => self.partition(false, absence),
            Kind::OneWay => self.partition(true, absence),
            Kind::MoveWorker => {
                let place = self.one_of(Role::Worker);
                self.move_away(place, absence);
            }
            Kind::MoveDispatcher => self.move_away(0, absence),
            Kind::JumpClock => self.clock_off += faults::jump(&mut self.dice),
            Kind::FillDisk => {
                self.weather.low_until = at + absence;
                if self.dice.chance(0.5) {
                    self.weather.full_until = at + absence;
                }
            }
            Kind::BreakDisk => self.weather.broken = true,
            Kind::LockDisk => self.weather.locked_until = at + absence,
            Kind::SlowDisk => self.weather.slow_until = at + absence,
        }
    }

    fn one_of(&mut self, role: Role) -> usize {
        let places: Vec<usize> =
            (0..self.processes.len()).filter(|place| self.processes[*place].role == role).collect();
        *self.dice.pick(&places)
    }

    fn kill_one(&mut self, role: Role, absence: Micros) {
        let place = self.one_of(role);
        self.kill(place, false, absence);
    }

    fn pause_one(&mut self, role: Role, span: Micros) {
        let place = self.one_of(role);
        self.pause(place, span);
    }

    fn stop(&mut self, place: usize) {
        let life = self.processes[place].life;
        if self.processes[place].alive {
            self.agenda.add(self.at, Event::Local(place, life, Local::Stop));
        }
    }

    fn partition(&mut self, one_way: bool, span: Micros) {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for place in 0..self.processes.len() {
            if self.dice.chance(0.5) { &mut here } else { &mut there }.push(place);
        }
        let back = (!one_way).then(|| self.network.block(there.clone(), here.clone()));
        let numbers = [Some(self.network.block(here, there)), back];
        for number in numbers.into_iter().flatten() {
            self.agenda.add(self.at + span, Event::Unblock(number));
        }
    }

    /// A container that was made anew: another address, the same name.
    fn move_away(&mut self, place: usize, absence: Micros) {
        if !self.options.names || !self.processes[place].alive {
            return;
        }
        self.kill(place, false, absence);
        let process = &mut self.processes[place];
        self.addresses.remove(&process.address);
        process.moves = process.moves.wrapping_add(1);
        let std::net::IpAddr::V4(ip) = process.address.ip() else { unreachable!("the world is IPv4") };
        process.address = network::address(ip.octets()[3], process.moves, process.address.port());
        self.addresses.insert(process.address, place);
        self.weather.names.insert(process.name.clone(), process.address);
    }

    pub(super) fn heal(&mut self) {
        let at = self.at;
        self.record.trace.line(at, || "all faults end".to_owned());
        self.record.healed = Some(at);
        self.network.heal();
        self.weather.healed = true;
        (self.weather.full_until, self.weather.low_until) = (0, 0);
        (self.weather.locked_until, self.weather.slow_until) = (0, 0);
        self.weather.broken = false;
        for place in 0..self.processes.len() {
            self.resume(place);
            self.start(place);
            if self.processes[place].role == Role::Client {
                let life = self.processes[place].life;
                // Late submissions of the time before have begun by then.
                self.agenda.add(at + 2 * SECOND, Event::Local(place, life, Local::Healed));
            }
        }
    }
}
