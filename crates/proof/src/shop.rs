//! The shop: five services over HTTP/1.1 that share one database, so that one flooded service takes all the others down.
//!
//! It is small but real: sockets, connections, time. Only the database is simulated, and its law is written down in
//! [`database`]. The shop does not notice when a caller leaves, as many services do not: a request that has begun goes
//! its way to the end. That is what makes a flood last longer than the flood.
//!
//! It runs on a thread of its own, so that neither the proxy nor the load generator shares its event loop.

pub mod database;

mod addresses;
mod answer;
mod configuration;

pub use addresses::Addresses;
pub use configuration::{Connections, Listen, configuration};
pub use database::{Database, Statistics};

use crate::{Error, Service};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, oneshot};

/// Connections that the shop holds at most, over all its services; more wait in the backlog of the system.
pub const CONNECTIONS_MAX: usize = 8192;

const BACKLOG: u32 = 4096;
/// How long a listener rests after the system refused it a connection, out of file descriptors for example.
const ACCEPT_REST: Duration = Duration::from_millis(10);

/// A running shop; dropping it closes it.
#[derive(Debug)]
pub struct Shop {
    addresses: Addresses,
    database: Database,
    open: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Shop {
    /// Opens the shop on free ports of 127.0.0.1.
    ///
    /// # Errors
    /// When a port cannot be listened on or the thread cannot be started.
    pub fn start() -> Result<Self, Error> {
        Self::start_on(&Addresses::free())
    }

    /// Opens the shop on the given addresses; port 0 is a free one.
    ///
    /// # Errors
    /// When an address cannot be listened on or the thread cannot be started.
    pub fn start_on(wanted: &Addresses) -> Result<Self, Error> {
        let database = Database::new();
        let (open, closed) = oneshot::channel();
        let (opened, opening) = mpsc::sync_channel(1);
        let (wanted, shared) = (*wanted, database.clone());
        let thread = std::thread::Builder::new()
            .name("shop".to_owned())
            .spawn(move || live(&wanted, &shared, &opened, closed))
            .map_err(|source| Error::Thread {
                who: "shop",
                source,
            })?;
        let addresses = opening.recv().map_err(|_| Error::Ended { who: "shop" })??;
        Ok(Self {
            addresses,
            database,
            open: Some(open),
            thread: Some(thread),
        })
    }

    /// Where each service listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The database that all services share.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Waits until no query runs and no caller waits for a connection.
    pub async fn wait_until_idle(&self) {
        self.database.idle().await;
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(self.open.take());
        if let Some(thread) = self.thread.take() {
            // A panic on the shop's thread has been reported there; there is nothing left to close.
            let _ = thread.join();
        }
    }
}

/// The life of the shop's thread: open, say where, serve until closed.
fn live(
    wanted: &Addresses,
    database: &Database,
    opened: &mpsc::SyncSender<Result<Addresses, Error>>,
    closed: oneshot::Receiver<()>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(source) => {
            let _ = opened.send(Err(Error::Thread {
                who: "shop",
                source,
            }));
            return;
        }
    };
    runtime.block_on(async {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let start = |service: Service| {
            let (listener, address) = listen(wanted.of(service))?;
            tokio::spawn(accept(
                listener,
                service,
                database.clone(),
                Arc::clone(&connections),
            ));
            Ok(address)
        };
        let outcome = Addresses::each(start);
        let serving = outcome.is_ok();
        let heard = opened.send(outcome).is_ok();
        if serving && heard {
            // Either a word or the end of the sender: both close the shop.
            let _ = closed.await;
        }
    });
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let open = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    open().map_err(|source| Error::Listen { address, source })
}

async fn accept(
    listener: TcpListener,
    service: Service,
    database: Database,
    connections: Arc<Semaphore>,
) {
    while let Ok(room) = Arc::clone(&connections).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        // Without it answers are only later, not wrong.
        let _ = stream.set_nodelay(true);
        let database = database.clone();
        tokio::spawn(async move {
            let respond = service_fn(|request| answer::answer(&database, service, request));
            // A caller who leaves ends the connection with an error; that is the caller's affair.
            let _ = http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), respond)
                .await;
            drop(room);
        });
    }
}
