//! A bad network: a relay that loses, doubles, delays and reorders what passes through it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use crate::dice::Dice;
use crate::process::ANY_PORT;

/// How bad.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Datagrams in a hundred that are lost, each way.
    pub(crate) loss: u32,
    /// Of the others, those that arrive twice.
    pub(crate) doubled: u32,
    /// Of all copies, those that come late, and so out of order.
    pub(crate) late: u32,
    /// By how much at most.
    pub(crate) delay: Duration,
}

/// What has passed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// From now on everything arrives, once and at once.
    pub(crate) healed: bool,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
    /// Tasks and leases of which a worker was told "Result stored".
    pub(crate) stored: Vec<(i64, String)>,
    /// Results under way, by the worker and the `id` of its request.
    results: BTreeMap<(SocketAddr, String), (i64, String)>,
}

/// A log that the relays of a grid share.
#[derive(Clone, Default)]
pub(crate) struct SharedLog(Arc<Mutex<Log>>);

impl SharedLog {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap()
    }
}

/// Stands before a server. Each peer has a socket of its own towards the server, so that answers find back.
/// Its thread ends with the process.
pub(crate) struct Relay {
    front: Arc<tokio::net::UdpSocket>,
    server: SocketAddr,
    weather: Weather,
    dice: Arc<Mutex<Dice>>,
    log: SharedLog,
}

impl Relay {
    /// Returns where it listens.
    pub(crate) fn start(server: SocketAddr, weather: Weather, dice: Dice, log: SharedLog) -> SocketAddr {
        let front = UdpSocket::bind(ANY_PORT).unwrap();
        front.set_nonblocking(true).unwrap();
        let addr = front.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let front = Arc::new(tokio::net::UdpSocket::from_std(front).unwrap());
                Self { front, server, weather, dice: Arc::new(Mutex::new(dice)), log }.run().await;
            });
        });
        addr
    }

    async fn run(self) {
        let relay = Arc::new(self);
        let mut peers: BTreeMap<SocketAddr, Arc<tokio::net::UdpSocket>> = BTreeMap::new();
        let mut buffer = vec![0; 65_536];
        loop {
            // An error tells that a peer is not there, as without a relay.
            let Ok((length, peer)) = relay.front.recv_from(&mut buffer).await else { continue };
            let back = match peers.get(&peer) {
                Some(back) => back.clone(),
                None => {
                    let back = Arc::new(tokio::net::UdpSocket::bind(ANY_PORT).await.unwrap());
                    peers.insert(peer, back.clone());
                    tokio::spawn(relay.clone().answers(back.clone(), peer));
                    back
                }
            };
            relay.pass(&back, relay.server, &buffer[..length]);
        }
    }

    async fn answers(self: Arc<Self>, back: Arc<tokio::net::UdpSocket>, peer: SocketAddr) {
        let mut buffer = vec![0; 65_536];
        loop {
            let Ok((length, _)) = back.recv_from(&mut buffer).await else { continue };
            self.pass(&self.front, peer, &buffer[..length]);
        }
    }

    /// Throws the dice for one datagram.
    fn pass(&self, through: &Arc<tokio::net::UdpSocket>, to: SocketAddr, datagram: &[u8]) {
        self.log.lock().take_down(self.server, datagram);
        let mut dice = self.dice.lock().unwrap();
        let healed = self.log.lock().healed;
        let mut thrown = |percent| !healed && dice.chance(f64::from(percent) / 100.0);
        if thrown(self.weather.loss) {
            self.log.lock().lost += 1;
            return;
        }
        let copies = if thrown(self.weather.doubled) { 2 } else { 1 };
        let late: Vec<bool> = (0..copies).map(|_| thrown(self.weather.late)).collect();
        let mut log = self.log.lock();
        log.delivered += u64::from(!healed);
        log.doubled += copies - 1;
        for late in late {
            let delay = if late { dice.between(Duration::ZERO, self.weather.delay) } else { Duration::ZERO };
            log.late += u64::from(late);
            let (through, datagram) = (through.clone(), datagram.to_vec());
            tokio::spawn(async move {
                // Time passes; nothing else can happen.
                let _ = tokio::time::timeout(delay, std::future::pending::<()>()).await;
                let _ = through.send_to(&datagram, to).await;
            });
        }
    }
}

impl Log {
    /// Notes which results a dispatcher has confirmed, whether or not that arrives.
    fn take_down(&mut self, server: SocketAddr, datagram: &[u8]) {
        let messages = match serde_json::from_slice(datagram) {
            Ok(Value::Array(messages)) => messages,
            Ok(message) => vec![message],
            Err(_) => return,
        };
        for message in messages {
            let id = (server, message["id"].to_string());
            if message["type"] == "RESULT_RETURN"
                && let (Some(task), Some(lease)) = (message["data"]["task_id"].as_i64(), message["lease"].as_str())
            {
                // A worker's ids begin anew with its process; what was asked last is what is answered.
                self.results.insert(id, (task, lease.to_owned()));
            } else if message["data"]["message"] == "Result stored" {
                self.stored.extend(self.results.get(&id).cloned());
            }
        }
    }
}
