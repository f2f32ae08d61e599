//! A hoarder: one tenant that opens connections, sends one request on each, and keeps them.
//!
//! Whoever of them is closed by the front door is not opened again: the hoard is what it left.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

const WHO: &str = "hoarder";
/// Between two connections that are opened.
const GAP: Duration = Duration::from_millis(1);
/// How long a hoard may take until it stands, beyond the gaps.
const STAND_MAX: Duration = Duration::from_secs(2);

/// A hoard that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hoard {
    /// Whose it is.
    pub tenant: String,
    /// The path of the one request on each connection.
    pub path: String,
    /// How many connections.
    pub connections: u32,
}

/// What became of a hoard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hoarded {
    /// Connections that were wanted.
    pub wanted: u32,
    /// Connections that were tried.
    pub opened: u32,
    /// Those on which the request was answered with a 2xx.
    pub served: u32,
    /// Those on which it was refused: 429 or 503.
    pub refused: u32,
    /// Those that the front door closed, or never took.
    pub closed: u32,
}

/// A hoard that stands until it is dropped.
pub(super) struct Standing {
    counts: Arc<Counts>,
    wanted: u32,
    stands: Option<oneshot::Receiver<()>>,
    _keep: oneshot::Sender<()>,
}

#[derive(Default)]
struct Counts {
    opened: AtomicU32,
    served: AtomicU32,
    refused: AtomicU32,
    closed: AtomicU32,
}

impl Hoard {
    /// Begins to open connections, on a thread of its own.
    pub(super) fn start(&self, to: SocketAddr) -> Result<Standing, Error> {
        let counts = Arc::<Counts>::default();
        let (keep, kept) = oneshot::channel::<()>();
        let (tell, stands) = oneshot::channel();
        let failed = |source| Error::Thread { who: WHO, source };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (hoard, shared) = (self.clone(), Arc::clone(&counts));
        let live = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = hoard.open_all(to, &shared, tell) => {}
                    _ = kept => {}
                }
            });
        };
        std::thread::Builder::new()
            .name("hoarder".to_owned())
            .spawn(live)
            .map_err(failed)?;
        Ok(Standing {
            counts,
            wanted: self.connections,
            stands: Some(stands),
            _keep: keep,
        })
    }

    async fn open_all(&self, to: SocketAddr, counts: &Arc<Counts>, stands: oneshot::Sender<()>) {
        let request: Arc<[u8]> = format!(
            "GET {} HTTP/1.1\r\nhost: {to}\r\nx-tenant-id: {}\r\n\r\n",
            self.path, self.tenant
        )
        .into_bytes()
        .into();
        for _ in 0..self.connections {
            let (counts, request) = (Arc::clone(counts), Arc::clone(&request));
            counts.opened.fetch_add(1, Relaxed);
            tokio::spawn(async move {
                // Whatever ends a connection, it is one fewer.
                let _ = keep(to, &request, &counts).await;
                counts.closed.fetch_add(1, Relaxed);
            });
            tokio::time::sleep(GAP).await;
        }
        // Whoever waited for it may be gone.
        let _ = stands.send(());
        std::future::pending::<()>().await;
    }
}

/// Opens a connection, sends the request, and reads whatever comes until the other side closes.
async fn keep(to: SocketAddr, request: &[u8], counts: &Counts) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_zero_linger()?;
    stream.write_all(request).await?;
    let mut head = [0; 1_024];
    let length = stream.read(&mut head).await?;
    // `HTTP/1.1 200`
    match head[..length].get(9) {
        Some(b'2') => counts.served.fetch_add(1, Relaxed),
        Some(b'4' | b'5') => counts.refused.fetch_add(1, Relaxed),
        _ => 0,
    };
    while stream.read(&mut head).await? > 0 {}
    Ok(())
}

impl Standing {
    /// Waits until every connection was tried, or as long as a hoard may take.
    pub(super) async fn stands(&mut self) {
        if let Some(stands) = self.stands.take() {
            let limit = STAND_MAX + GAP * self.wanted * 2;
            // A hoard that does not stand in time shows in its counts.
            let _ = tokio::time::timeout(limit, stands).await;
        }
    }

    /// What became of it so far.
    pub(super) fn so_far(&self) -> Hoarded {
        let Counts {
            opened,
            served,
            refused,
            closed,
        } = &*self.counts;
        Hoarded {
            wanted: self.wanted,
            opened: opened.load(Relaxed),
            served: served.load(Relaxed),
            refused: refused.load(Relaxed),
            closed: closed.load(Relaxed),
        }
    }
}
