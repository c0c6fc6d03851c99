//! A dispatcher that answers as a test has scripted it, on a real socket.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use taskgrid_protocol::codec::{Element, decode};
use taskgrid_protocol::limits::RECEIVE_BUFFER;
use taskgrid_protocol::packer::Packer;
use taskgrid_protocol::{Body, Message};

/// Answers requests on a thread of its own until it is dropped.
pub(crate) struct FakeDispatcher {
    pub(crate) addr: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) body: Body,
    pub(crate) packed: bool,
}

impl FakeDispatcher {
    /// `script` returns the `data` of each answer to a request: none, one, or several.
    pub(crate) fn start(mut script: impl FnMut(&Body) -> Vec<Value> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let received = Arc::new(Mutex::new(Vec::new()));
        let thread = std::thread::spawn({
            let (stop, received) = (Arc::clone(&stop), Arc::clone(&received));
            move || {
                let mut buffer = vec![0; RECEIVE_BUFFER];
                while let Ok((length, from)) = socket.recv_from(&mut buffer)
                    && !stop.load(Ordering::Acquire)
                {
                    let mut packer = Packer::default();
                    decode(&buffer[..length], from, &mut |element| {
                        let Element::Message(message) = element else { panic!("the client sent {element:?}") };
                        let reply_to = message.reply_to(from);
                        for data in script(&message.body) {
                            packer.push(reply_to.answer(&data).expect("a client on loopback is no stranger"));
                        }
                        let Message { body, packed, .. } = message;
                        received.lock().unwrap().push(Received { body, packed });
                    });
                    for (to, bytes) in packer.drain() {
                        socket.send_to(&bytes, to).unwrap();
                    }
                }
            }
        });
        Self { addr, received, stop, thread: Some(thread) }
    }

    /// One that hears everything and says nothing.
    pub(crate) fn silent() -> Self {
        Self::start(|_| Vec::new())
    }

    pub(crate) fn address(&self) -> String {
        self.addr.to_string()
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for FakeDispatcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Any datagram wakes it up.
        let waker = UdpSocket::bind("127.0.0.1:0").unwrap();
        waker.send_to(b"stop", self.addr).unwrap();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the scripted dispatcher has panicked");
        }
    }
}
