//! Who lives in a world, and what will happen there whatever else does.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;

use taskgrid_protocol::{TaskType, Timestamp};

use super::{Process, Role, World};
use crate::agenda::{Action, Event, Local};
use crate::bugs::Bug;
use crate::faults::Kind;
use crate::host::{Context, Death, Host};
use crate::hosts::{Client, Dispatcher, NameService, PlainClient, PlainWorker, Worker};
use crate::network;
use crate::options::{MILLI, SECOND};
use crate::workload;

impl World {
    pub(super) fn populate(&mut self, bug: Option<Bug>) {
        let names = self.options.names;
        let shown = |name: String, address: SocketAddr| if names { name } else { address.to_string() };
        let nameservices: Vec<String> = (0..self.options.nameservices)
            .map(|number| {
                let number = u8::try_from(number).expect("there are few");
                shown(format!("nameservice-{number}:5001"), network::address(10 + number, 0, 5001))
            })
            .collect();
        let server = shown("dispatcher:4000".to_owned(), network::address(1, 0, 4000));
        let dispatcher = Dispatcher::new(nameservices.clone(), bug, Rc::clone(&self.disk));
        self.add(Role::Dispatcher, Box::new(dispatcher), "dispatcher:4000".to_owned(), 1, 4000);
        for number in 0..u8::try_from(self.options.nameservices).expect("there are few") {
            let name = format!("nameservice-{number}:5001");
            self.add(Role::NameService, Box::<NameService>::default(), name, 10 + number, 5001);
        }
        for number in 0..u8::try_from(self.options.workers).expect("there are few") {
            let name = format!("worker-{number}:6000");
            let said = shown(name.clone(), network::address(20 + number, 0, 6000));
            let types = self.types_of(number);
            let worker = Worker::new(said, types, nameservices.clone(), bug);
            self.add(Role::Worker, Box::new(worker), name, 20 + number, 6000);
        }
        for number in 0..u8::try_from(self.options.plain_workers).expect("there are few") {
            let name = format!("plain-{number}:6000");
            let said = shown(name.clone(), network::address(40 + number, 0, 6000));
            let worker = PlainWorker::new(said, workload::TYPES[0], network::address(10, 0, 5001));
            self.add(Role::PlainWorker, Box::new(worker), name, 40 + number, 6000);
        }
        self.first_client = self.processes.len();
        for number in 0..u8::try_from(self.options.clients).expect("there are few") {
            let client = Rc::new(RefCell::new(Client::new(server.clone())));
            self.clients.push(Rc::clone(&client));
            self.add(Role::Client, Box::new(Shared(client)), format!("client-{number}:7000"), 60 + number, 7000);
        }
        self.add_plain_client();
    }

    /// After the others, whose places are counted from the end.
    fn add_plain_client(&mut self) {
        let client = PlainClient::new(network::address(1, 0, 4000), self.options.plain_tasks);
        self.add(Role::PlainClient, Box::new(client), "plain-client:7000".to_owned(), 80, 7000);
    }

    fn types_of(&mut self, worker: u8) -> BTreeSet<TaskType> {
        let dice = &mut self.dice;
        let mut types: BTreeSet<TaskType> = workload::TYPES
            .iter()
            .filter(|_| worker == 0 || dice.chance(0.6))
            .map(|name| TaskType::new(name).expect("the name is legal"))
            .collect();
        if types.is_empty() {
            types.insert(TaskType::new(workload::TYPES[0]).expect("the name is legal"));
        }
        types
    }

    fn add(&mut self, role: Role, host: Box<dyn Host>, name: String, machine: u8, port: u16) {
        let address = network::address(machine, 0, port);
        let place = self.processes.len();
        self.addresses.insert(address, place);
        self.weather.names.insert(name.clone(), address);
        self.processes.push(Process {
            role,
            host,
            name,
            address,
            moves: 0,
            life: 0,
            born: 0,
            alive: false,
            held: None,
            wake_at: None,
        });
    }

    /// What will happen, whatever else does.
    pub(super) fn plan(&mut self) {
        for place in 0..self.processes.len() {
            let at = self.dice.range(0, 200 * MILLI);
            self.agenda.add(at, Event::Start(place));
        }
        let first_client = self.first_client;
        for number in 0..self.record.wishes.len() {
            let wish = &self.record.wishes[number];
            let (place, at) = (first_client + wish.client, SECOND + wish.at);
            let action = Action::Submit(number, self.dice.chance(0.4));
            self.agenda.add(at, Event::Local(place, u32::MAX, Local::Act(action)));
        }
        let mut at = SECOND;
        while self.options.faults.every > 0 {
            at += self.dice.range(1, 2 * self.options.faults.every);
            if at >= self.options.trouble {
                break;
            }
            if let Some(kind) = Kind::draw(&self.options.faults.weights, &mut self.dice) {
                self.agenda.add(at, Event::Fault(kind));
            }
        }
        self.agenda.add(self.options.trouble + 2 * SECOND, Event::Heal);
    }
}

/// A client that the world looks into, too.
struct Shared(Rc<RefCell<Client>>);

impl Host for Shared {
    fn start(&mut self, context: &mut Context<'_>) {
        self.0.borrow_mut().start(context);
    }

    fn kill(&mut self, context: &mut Context<'_>, power: bool) {
        self.0.borrow_mut().kill(context, power);
    }

    fn datagram(&mut self, context: &mut Context<'_>, from: SocketAddr, datagram: &[u8]) {
        self.0.borrow_mut().datagram(context, from, datagram);
    }

    fn local(&mut self, context: &mut Context<'_>, local: Local) -> Option<Death> {
        self.0.borrow_mut().local(context, local)
    }

    fn settle(&mut self, context: &mut Context<'_>) -> Option<Death> {
        self.0.borrow_mut().settle(context)
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.0.borrow().wake_at()
    }
}
