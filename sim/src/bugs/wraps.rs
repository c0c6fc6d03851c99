//! A machine around another one.

/// Implements `Node` for a wrapper, but for what the wrapper does otherwise. It takes `Event` and `Effect`, and the types of
/// the trait, from where it stands.
macro_rules! wraps {
    ($wrapper:ident { $($own:item)* } $($passed:ident),*) => {
        impl Node for $wrapper {
            type Event = Event;
            type Effect = Effect;
            $($own)*
            $(wraps!(@ $passed);)*
        }
    };
    (@ datagram) => {
        fn handle_datagram(&mut self, now: Timestamp, from: SocketAddr, message: Message) {
            self.inner.handle_datagram(now, from, message);
        }
    };
    (@ event) => {
        fn handle_event(&mut self, now: Timestamp, event: Event) {
            self.inner.handle_event(now, event);
        }
    };
    (@ timeout) => {
        fn handle_timeout(&mut self, now: Timestamp) {
            self.inner.handle_timeout(now);
        }
    };
    (@ transmit) => {
        fn poll_transmit(&mut self) -> Option<Transmit> {
            self.inner.poll_transmit()
        }
    };
    (@ effect) => {
        fn poll_effect(&mut self, now: Timestamp) -> Option<Effect> {
            self.inner.poll_effect(now)
        }
    };
    (@ wake) => {
        fn poll_timeout(&self) -> Option<Timestamp> {
            self.inner.poll_timeout()
        }
    };
}
