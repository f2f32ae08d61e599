//! What every TCP connection of ours is told, in front and behind.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Silence after which the other end is asked whether it is still there, how often, and how many
/// answers may stay away. A peer that vanished without a word is noticed within two minutes, so that
/// an upgraded connection, which may be silent for as long as both ends like, cannot keep a seat for
/// a machine that is gone.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_MISSED_MAX: u32 = 4;

/// Bytes that a socket of a client takes ahead of what it can send, or little more. Without a bound it
/// takes megabytes, and for minutes nobody sees whether a slow client reads.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNSENT_MAX: u32 = 16 * 1024;

/// What a connection of a client is told besides [`prepare`]: to take no more bytes than it can send.
pub(crate) fn prepare_client(stream: &TcpStream) -> std::io::Result<()> {
    prepare(stream)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX)?;
    Ok(())
}

/// Sends small writes at once, and notices a peer that vanished.
pub(crate) fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_MISSED_MAX);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Has `stream` say that it broke, when it is dropped, instead of that it is done: what was cut
/// short never looks whole.
pub(crate) fn break_off(stream: &TcpStream) {
    // A socket that cannot be told so is broken already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_prepared_connection_asks_after_its_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        prepare(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
    }

    #[tokio::test]
    async fn a_client_who_does_not_read_is_seen_before_megabytes_were_written() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (_client, served) = tokio::join!(client, listener.accept());
        let (stream, _) = served.unwrap();
        prepare_client(&stream).unwrap();
        stream.writable().await.unwrap();
        let mut written = 0;
        while let Ok(bytes) = stream.try_write(&[7; 16 * 1024]) {
            written += bytes;
        }
        assert!(written < 1 << 20, "{written} bytes");
    }
}
