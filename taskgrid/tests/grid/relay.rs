//! A relay that hands datagrams on and remembers them.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Stands before a server: what comes from anybody goes to the server, and what the server says goes back to
/// the one who spoke last. Its thread ends with the test.
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Relay {
    pub(crate) fn before(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            let mut asker = None;
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let datagram = &buffer[..length];
                let to = if from == server { asker } else { Some(server) };
                if from != server {
                    asker = Some(from);
                    log.lock().unwrap().extend(serde_json::from_slice::<Value>(datagram));
                }
                if let Some(to) = to {
                    // A server that is not there answers nothing, as without a relay.
                    let _ = socket.send_to(datagram, to);
                }
            }
        });
        Self { addr, seen }
    }

    /// What has gone to the server since the last look.
    pub(crate) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}
