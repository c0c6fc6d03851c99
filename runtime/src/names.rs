//! DNS, off the receive path.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Look-ups at a time: each holds a thread for as long as the system's resolver waits, which may be far longer
/// than anybody waits for it. So many that some names whose servers are silent leave room for others.
const LOOKUPS_AT_A_TIME: usize = 64;

/// How long a look-up may take. A slower one counts as failed, which means "unreachable now".
const LOOKUP_LIMIT: Duration = Duration::from_secs(2);

/// A bounded pool of look-ups.
#[derive(Clone, Debug)]
pub struct Names {
    slots: Arc<Semaphore>,
}

impl Default for Names {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOKUPS_AT_A_TIME)) }
    }
}

impl Names {
    /// Looks up `HOST:PORT`; `None` when that fails. IPv4 goes first, since that is what sockets are bound
    /// to unless somebody asks for IPv6.
    pub async fn look_up(&self, name: &str) -> Option<SocketAddr> {
        match tokio::time::timeout(LOOKUP_LIMIT, self.ask(name.to_owned())).await {
            Ok(Ok(addrs)) => addrs.into_iter().min_by_key(SocketAddr::is_ipv6),
            Ok(Err(error)) => {
                tracing::debug!(name, %error, "look-up failed");
                None
            }
            Err(_) => {
                tracing::debug!(name, "look-up took too long");
                None
            }
        }
    }

    /// The slot stays taken until the system's resolver is done, also when nobody waits any more: so there are
    /// never more threads than slots.
    async fn ask(&self, name: String) -> io::Result<Vec<SocketAddr>> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
        let asked = tokio::task::spawn_blocking(move || {
            let found = name.to_socket_addrs().map(Vec::from_iter);
            drop(slot);
            found
        });
        asked.await.map_err(io::Error::other)?
    }
}

/// The address that this machine uses towards `peer`. Sends nothing: connecting a UDP socket only asks the
/// routing table.
pub fn local_address_towards(peer: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_looked_up_and_its_slot_is_free_again() {
        let names = Names::default();
        assert_eq!(names.look_up("localhost:4000").await.map(|addr| addr.port()), Some(4000));
        assert_eq!(names.look_up("no port").await, None);
        assert_eq!(names.slots.available_permits(), LOOKUPS_AT_A_TIME);
    }
}
