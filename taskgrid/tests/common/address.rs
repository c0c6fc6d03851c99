//! Addresses for programs that come and go.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;

use rand_core::{OsRng, TryRngCore};

/// Those that were given already: two programs of one grid must not have the same.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that is free, and that the system gives to nobody who asks for any: while a program is down, its port
/// must not be taken by a client.
pub(crate) fn free_address() -> SocketAddr {
    const BELOW_ANY_PORT: std::ops::Range<u16> = 20_000..32_000;
    let span = BELOW_ANY_PORT.len() as u64;
    let mut ports =
        std::iter::repeat_with(|| BELOW_ANY_PORT.start + u16::try_from(OsRng.try_next_u64().unwrap() % span).unwrap());
    let mut given = GIVEN.lock().unwrap();
    let free = ports.find(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok() && given.insert(*port));
    SocketAddr::from(([127, 0, 0, 1], free.unwrap()))
}
