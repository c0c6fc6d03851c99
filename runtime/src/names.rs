//! DNS, off the receive path.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Look-ups at a time: each holds a thread while the system's resolver waits.
const LOOKUPS_AT_A_TIME: usize = 16;

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
        let _slot = self.slots.acquire().await.ok()?;
        let found = tokio::time::timeout(LOOKUP_LIMIT, tokio::net::lookup_host(name)).await;
        match found {
            Ok(Ok(addrs)) => addrs.min_by_key(SocketAddr::is_ipv6),
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
}

/// The address that this machine uses towards `peer`. Sends nothing: connecting a UDP socket only asks the
/// routing table.
pub fn local_address_towards(peer: SocketAddr) -> std::io::Result<IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}
