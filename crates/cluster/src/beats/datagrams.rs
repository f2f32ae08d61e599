//! Beats in datagrams: one socket, read by one task.
//!
//! Nobody is answered, so nobody can be made to send to another. What is not a beat, or is not
//! sealed with our key, is counted and costs nothing more.

use std::{io, net::SocketAddr};

use tokio::{net::UdpSocket, task::JoinHandle};
use watertight_base::NodeId;
use watertight_heartbeat::{Arrival, BeatDatagram, Metadata, Received};

use super::{BeatKey, Beats};
use crate::{Error, socket};

/// A socket that is open until this is dropped.
#[derive(Debug)]
pub struct BeatSocket {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl BeatSocket {
    /// Opens a socket for beats to `beats`. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// [`Error::NoBeatKey`] if others could reach it and there is no key; [`Error::Bind`].
    pub fn open(beats: &Beats, bind: SocketAddr, key: Option<BeatKey>) -> Result<Self, Error> {
        if key.is_none() && !bind.ip().is_loopback() {
            return Err(Error::NoBeatKey(bind));
        }
        let failed = |source| Error::Bind {
            address: bind,
            what: "beats",
            source,
        };
        let socket = socket::bind(bind, RECEIVE_BYTES).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let task = tokio::spawn(read(socket, beats.clone(), key));
        Ok(Self { address, task })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for BeatSocket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(socket: UdpSocket, beats: Beats, key: Option<BeatKey>) {
    let mut buffer = vec![0; BeatDatagram::LENGTH_MAX + BeatKey::OVERHEAD + 1];
    loop {
        let _ = socket.readable().await;
        for _ in 0..READS_MAX {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, _)) => beats.on_datagram(&buffer[..length], key.as_ref()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An answer that somebody's port is closed; the next one may be good.
                Err(_) => {}
            }
        }
        // Others have work on this thread, too.
        tokio::task::yield_now().await;
    }
}

impl Beats {
    /// A datagram has come.
    fn on_datagram(&self, datagram: &[u8], key: Option<&BeatKey>) {
        let said = match key {
            None => Some(datagram),
            Some(key) => key.open(datagram),
        };
        let Some(said) = said else {
            self.shared.lock().counts.unsealed += 1;
            return;
        };
        let beat = BeatDatagram::decode(said).ok();
        let beat = beat.and_then(|beat| Some((beat.id.parse::<NodeId>().ok()?, beat)));
        let Some((id, beat)) = beat else {
            self.shared.lock().counts.malformed += 1;
            return;
        };
        let is_metadata = !beat.metadata.is_empty();
        if is_metadata && Metadata::decode(beat.metadata).is_none() {
            self.shared.lock().counts.malformed += 1;
            return;
        }
        let received = self.on_beat(&Arrival {
            id: &id,
            generation: beat.generation,
            sequence: Some(beat.sequence),
            interval: beat.interval,
            metadata: is_metadata.then_some(beat.metadata),
        });
        // A good-bye that was said before, or by a process of the past, is none.
        if beat.is_farewell && received == Received::Counted {
            self.on_leave(&id, beat.generation);
        }
    }
}

/// Datagrams that are read before others have their turn.
const READS_MAX: usize = 256;
/// What the system may keep of what was not read yet: about 50 ms of 100,000 beats a second.
const RECEIVE_BYTES: usize = 8 << 20;
