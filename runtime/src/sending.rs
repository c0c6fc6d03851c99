//! Sends what a round has brought together.

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

/// A datagram and where it goes.
pub(crate) type Datagram = (SocketAddr, Vec<u8>);

/// Sends all datagrams, in order. One that cannot be sent is a lost one; whoever needs the answer sends it again.
pub(crate) async fn send_all(socket: &UdpSocket, datagrams: &[Datagram]) {
    let mut rest = datagrams;
    while let Some(((to, bytes), others)) = rest.split_first() {
        let sent =
            if others.is_empty() { socket.send_to(bytes, *to).await.map(|_| 1) } else { send_some(socket, rest).await };
        let done = sent.unwrap_or_else(|error| {
            tracing::debug!(%error, %to, "send");
            1
        });
        rest = &rest[done.max(1)..];
    }
}

/// Datagrams in one call. More would make the call's own lists long, and save no more.
#[cfg(target_os = "linux")]
const AT_ONCE: usize = 64;

/// Sends the first datagrams in one call, and says how many; an error is that of the first.
#[cfg(target_os = "linux")]
async fn send_some(socket: &UdpSocket, datagrams: &[Datagram]) -> io::Result<usize> {
    loop {
        socket.writable().await?;
        match socket.try_io(tokio::io::Interest::WRITABLE, || send_now(socket, datagrams)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return sent,
        }
    }
}

#[cfg(target_os = "linux")]
fn send_now(socket: &UdpSocket, datagrams: &[Datagram]) -> io::Result<usize> {
    use rustix::net::addr::SocketAddrArg;
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
    let some = &datagrams[..datagrams.len().min(AT_ONCE)];
    let addresses: Vec<_> = some.iter().map(|(to, _)| to.as_any()).collect();
    let bytes: Vec<_> = some.iter().map(|(_, bytes)| [io::IoSlice::new(bytes)]).collect();
    let mut beside: Vec<_> = some.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let parts = addresses.iter().zip(&bytes).zip(&mut beside);
    let mut messages: Vec<_> = parts.map(|((to, bytes), beside)| MMsgHdr::new_with_addr(to, bytes, beside)).collect();
    Ok(sendmmsg(socket, &mut messages, SendFlags::empty())?)
}

/// Other systems have no call for more than one.
#[cfg(not(target_os = "linux"))]
async fn send_some(socket: &UdpSocket, datagrams: &[Datagram]) -> io::Result<usize> {
    let (to, bytes) = &datagrams[0];
    socket.send_to(bytes, *to).await.map(|_| 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bind() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").await.unwrap()
    }

    #[tokio::test]
    async fn a_datagram_that_cannot_be_sent_holds_back_none_of_the_others() {
        let (from, to) = (bind().await, bind().await);
        let addr = to.local_addr().unwrap();
        let mut datagrams: Vec<Datagram> = (0..200_u8).map(|number| (addr, vec![number])).collect();
        // Longer than UDP can carry; and to an address of another family.
        for place in [0, 70, 201] {
            datagrams.insert(place, (addr, vec![0; 70_000]));
        }
        datagrams.insert(100, ("[::1]:9".parse().unwrap(), vec![0]));
        send_all(&from, &datagrams).await;
        let mut buffer = [0; 8];
        for number in 0..200_u8 {
            assert_eq!(to.recv(&mut buffer).await.unwrap(), 1);
            assert_eq!(buffer[0], number);
        }
    }
}
