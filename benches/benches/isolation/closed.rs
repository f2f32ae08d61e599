//! A flood in a closed loop: so many clients, each of which asks again when it has its answer.
//!
//! A client that was refused waits for as long as an answer would have taken, as one that looks at
//! it would; without that a refusal is only an invitation to use up the processor.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::oneshot};

const PAUSE: Duration = Duration::from_millis(20);

/// Clients that ask for as long as this is there.
pub(crate) struct Closed {
    counts: Arc<Counts>,
    _running: oneshot::Sender<()>,
}

#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    answered: AtomicU64,
}

impl Closed {
    /// So many clients of the tenant, on a thread of their own.
    pub(crate) fn start(
        door: SocketAddr,
        tenant: &'static str,
        path: &'static str,
        clients: usize,
    ) -> Self {
        let (running, stopped) = oneshot::channel();
        let counts = Arc::<Counts>::default();
        let shared = Arc::clone(&counts);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let live = move || {
            runtime.block_on(async move {
                for _ in 0..clients {
                    let counts = Arc::clone(&shared);
                    tokio::spawn(async move {
                        loop {
                            // Whoever is cut off opens another connection, after a while.
                            let _ = client(door, tenant, path, &counts).await;
                            // sleep: see above.
                            tokio::time::sleep(PAUSE).await;
                        }
                    });
                }
                let _ = stopped.await;
            });
        };
        let thread = std::thread::Builder::new().name("closed".to_owned());
        thread.spawn(live).unwrap();
        Self {
            counts,
            _running: running,
        }
    }

    /// Requests so far, and those that were answered well.
    pub(crate) fn counts(&self) -> [u64; 2] {
        [&self.counts.asked, &self.counts.answered].map(|count| count.load(Ordering::Relaxed))
    }
}

async fn client(door: SocketAddr, tenant: &str, path: &str, counts: &Counts) -> Option<()> {
    let stream = TcpStream::connect(door).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    loop {
        sender.ready().await.ok()?;
        let request = Request::get(path)
            .header("host", "door")
            .header("x-tenant-id", tenant)
            .body(Empty::<Bytes>::new())
            .ok()?;
        counts.asked.fetch_add(1, Ordering::Relaxed);
        let response = sender.send_request(request).await.ok()?;
        let is_answered = response.status().is_success();
        response.into_body().collect().await.ok()?;
        if is_answered {
            counts.answered.fetch_add(1, Ordering::Relaxed);
        } else {
            // sleep: see above.
            tokio::time::sleep(PAUSE).await;
        }
    }
}
