//! Addresses for programs that come and go.

use std::net::{SocketAddr, UdpSocket};

use rand_core::{OsRng, TryRngCore};

/// A port that is free, and that the system gives to nobody who asks for any: while a program is down, its port
/// must not be taken by a client.
pub(crate) fn free_address() -> SocketAddr {
    const BELOW_ANY_PORT: std::ops::Range<u16> = 20_000..32_000;
    let span = BELOW_ANY_PORT.len() as u64;
    let mut ports =
        std::iter::repeat_with(|| BELOW_ANY_PORT.start + u16::try_from(OsRng.try_next_u64().unwrap() % span).unwrap());
    let free = ports.find_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok());
    free.unwrap().local_addr().unwrap()
}
