//! The backend that all set-ups have in front of them: 32 slots, and a line before them.
//!
//! It waits instead of working, so it costs the machine little however busy it is, and it runs on a
//! thread of its own. What a request takes stands in its path: `/orders/20` takes 20 ms on average.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::Notify, time::Instant};

use crate::{
    case::TENANTS,
    slots::{Manner, Slots},
};

#[derive(Clone)]
pub(crate) struct Backend {
    address: SocketAddr,
    slots: Arc<Mutex<Slots>>,
    ended: Arc<Notify>,
}

impl Backend {
    /// Starts it for the rest of the process.
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let slots = Slots::new(Instant::now(), Manner::default(), 0);
        let backend = Self {
            address: listener.local_addr().unwrap(),
            slots: Arc::new(Mutex::new(slots)),
            ended: Arc::default(),
        };
        let served = backend.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let live = move || {
            runtime.block_on(
                async move { served.serve(TcpListener::from_std(listener).unwrap()).await },
            )
        };
        let thread = std::thread::Builder::new().name("backend".to_owned());
        thread.spawn(live).unwrap();
        backend
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins anew, once it is idle. Whoever still waits then has given up.
    pub(crate) async fn begin(&self, manner: Manner, seed: u64) {
        self.slots().forget_waiting();
        while !self.slots().is_idle() {
            self.ended.notified().await;
        }
        *self.slots() = Slots::new(Instant::now(), manner, seed);
    }

    /// The work done for each tenant since it began, in slot-seconds.
    pub(crate) fn work_s(&self) -> [f64; TENANTS.len()] {
        self.slots().work_s(Instant::now())
    }

    async fn serve(&self, listener: TcpListener) {
        loop {
            // Out of files: the next connection may have better luck.
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            stream.set_nodelay(true).unwrap();
            let backend = self.clone();
            tokio::spawn(async move {
                let answer = service_fn(|request| backend.answer(request));
                // A client that breaks off is no concern of ours.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let mut response = Response::new(Full::from("ok"));
        match asked(&request) {
            // Done to its end, even if the client gives up.
            Some((tenant, mean)) => {
                let work = self.clone().work(tenant, mean);
                if tokio::spawn(work).await.unwrap().is_none() {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                }
            }
            None => *response.status_mut() = StatusCode::BAD_REQUEST,
        }
        Ok(response)
    }

    /// None: it was forgotten.
    async fn work(self, tenant: usize, mean: Duration) -> Option<()> {
        let told = self.slots().ask(Instant::now(), tenant, mean);
        let turn = told.await.ok()?;
        // sleep: this is what the backend does.
        tokio::time::sleep(turn.length).await;
        self.slots().end(Instant::now(), &turn);
        self.ended.notify_one();
        Some(())
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap()
    }
}

/// Whose request it is, and how long it is to take on average.
fn asked(request: &Request<Incoming>) -> Option<(usize, Duration)> {
    let name = request.headers().get("x-tenant-id")?;
    let tenant = TENANTS.iter().position(|tenant| name == tenant)?;
    let (_, ms) = request.uri().path().rsplit_once('/')?;
    Some((tenant, Duration::from_millis(ms.parse().ok()?)))
}
