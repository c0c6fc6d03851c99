//! The name service in a world.

use std::net::SocketAddr;

use taskgrid_nameservice::machine::{Config, Effect, Event, Machine};
use taskgrid_protocol::Timestamp;

use crate::agenda::Local;
use crate::host::{Context, Death, Driven, Host};

/// See the module's documentation.
#[derive(Default)]
pub struct NameService {
    driven: Option<Driven<Event, Effect>>,
}

impl Host for NameService {
    fn start(&mut self, context: &mut Context<'_>) {
        let machine = Machine::new(Config::default(), context.dice.fork());
        self.driven = Some(Driven::new(Box::new(machine)));
    }

    fn kill(&mut self, _context: &mut Context<'_>, _power: bool) {
        self.driven = None;
    }

    fn datagram(&mut self, context: &mut Context<'_>, from: SocketAddr, datagram: &[u8]) {
        if let Some(driven) = &mut self.driven {
            driven.datagram(context, from, datagram);
        }
    }

    fn local(&mut self, context: &mut Context<'_>, local: Local) -> Option<Death> {
        let Local::LookedUp { name, fails } = local else { unreachable!("a name service does not wait for {local:?}") };
        let addr = context.answer(&name, fails);
        self.driven.as_mut()?.node.handle_event(context.now, Event::Resolved { name, addr });
        None
    }

    fn settle(&mut self, context: &mut Context<'_>) -> Option<Death> {
        self.driven.as_mut()?.settle(context, &mut |effect, context| match effect {
            Effect::Resolve(name) => {
                context.look_up(name);
                None
            }
            Effect::Exit => Some(Death::Stopped),
        })
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.driven.as_ref()?.node.poll_timeout()
    }
}
