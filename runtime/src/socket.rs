//! UDP sockets as the grid wants them.

use std::io::ErrorKind;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::StartError;

/// The receive buffer that is asked for. The usual default of 208 KiB holds 166 datagrams of 200 bytes,
/// less than a millisecond at full load; this holds about 6,500.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Binds `addr`, for one process alone: with SO_REUSEADDR a second one could bind the port too and steal
/// the datagrams (R30). Must be called inside a tokio runtime.
pub fn bind(addr: SocketAddr) -> Result<UdpSocket, StartError> {
    open(addr).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => "stop the program that uses the port, or choose another with --listen",
            ErrorKind::AddrNotAvailable => {
                "this machine does not have that address now: start again when it has, or choose another with --listen"
            }
            ErrorKind::PermissionDenied => "ports below 1024 need privileges; choose another with --listen",
            _ => "choose another address with --listen",
        };
        StartError::refused(&error, format!("cannot listen on {addr}: {error}; {remedy}"))
    })
}

fn open(addr: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_send_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind(&addr.into())?;
    // Linux reports twice what it grants, since it counts its own bookkeeping.
    let granted = socket.recv_buffer_size()? / 2;
    if granted < RECEIVE_BUFFER_BYTES {
        tracing::warn!(
            "the receive buffer of {addr} is {granted} bytes instead of {RECEIVE_BUFFER_BYTES}: under load datagrams are \
             lost and sent again; raise it with: sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES}"
        );
    }
    UdpSocket::from_std(socket.into())
}
