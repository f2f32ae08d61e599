//! Sockets as we need them.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// A socket for datagrams that keeps up to so many bytes until they are read, or as many as the
/// system allows.
pub(crate) fn bind(address: SocketAddr, receive_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    // Less is slower under a burst, and no reason not to start.
    let _ = socket.set_recv_buffer_size(receive_bytes);
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}
