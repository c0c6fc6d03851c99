//! The contract between a state machine and whatever drives it.

use std::net::SocketAddr;

use crate::codec::{self, Element};
use crate::{Message, Refusals, Timestamp};

/// A datagram, or one message of a packed one, that must leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// One encoded message.
    pub bytes: Vec<u8>,
    /// Whether it may travel in an array with others for the same address.
    pub pack: bool,
}

/// A program of the grid, as a state machine that does no I/O.
///
/// A driver owns sockets, disk and clock. It calls the `handle_*` methods as things happen, and after
/// any of them polls `poll_effect` and `poll_transmit` until they are empty, then sleeps until
/// [`Node::poll_timeout`]. Times never go back from call to call. The machine cannot fail: a bad datagram
/// is a reply or silence; a broken invariant is a panic.
pub trait Node {
    /// Something that the machine asked for has happened: a commit, a finished handler.
    type Event;
    /// Something that the driver must do for the machine: commit a batch, run a handler.
    type Effect;

    /// A well-formed message has arrived.
    fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, message: Message);

    /// The outcome of an effect has arrived.
    fn handle_event(&mut self, now: Timestamp, event: Self::Event);

    /// The moment that [`Node::poll_timeout`] named has passed.
    fn handle_timeout(&mut self, now: Timestamp);

    /// The next message to send, if any.
    fn poll_transmit(&mut self) -> Option<Transmit>;

    /// The next thing to do, if any.
    fn poll_effect(&mut self, now: Timestamp) -> Option<Self::Effect>;

    /// When [`Node::handle_timeout`] wants to be called, if ever.
    fn poll_timeout(&self) -> Option<Timestamp>;
}

/// Decodes a datagram and hands its messages to `node`. What has the form of a request, or begins like JSON, but is
/// malformed is answered at once, through `refuse`; everything else that is malformed gets silence (R36).
pub fn receive<N: Node>(
    node: &mut N,
    now: Timestamp,
    from: SocketAddr,
    datagram: &[u8],
    refusals: &mut Refusals,
    mut refuse: impl FnMut(Transmit),
) {
    codec::decode(datagram, from, &mut |element| {
        let answer = match element {
            Element::Message(message) => return node.handle_datagram(now, from, message),
            Element::Malformed(..) if !refusals.allow(now, from.ip()) => return,
            Element::Refused(reply_to, error) | Element::Malformed(reply_to, error) => reply_to.answer(&error),
        };
        if let Some(answer) = answer {
            refuse(answer);
        }
    });
}
