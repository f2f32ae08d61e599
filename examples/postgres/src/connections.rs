//! Connections behind walls: a seat is leave to use one.
//!
//! The bulkhead decides who may use a connection, fairly and within the walls. What is kept here is
//! only which connections lie idle, compartment by compartment. A pool of connections with a size of
//! its own would be a second opinion on that: too large it does nothing, too small its own queue,
//! which knows no tenants, is where requests wait.
//!
//! **Laws.** A compartment has never more connections open than seats, nor a service more than its
//! cap: whoever has a seat takes an idle connection if there is one, of its own service first, and
//! opens one only if all that are open are in use. A connection that broke is not used again. A query
//! that nobody waits for any more is cancelled, and the seat is held until the server has let go.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;
use tokio_postgres::{Client, Config, NoTls, Row, types::ToSql};
use watertight_base::TenantId;
use watertight_layers::{Bulkhead, BulkheadError, Bulkheads, Permit, Refusal};

/// A service's connections. Cloning copies pointers.
#[derive(Clone, Debug)]
pub struct Connections {
    seats: Bulkhead,
    /// How the server shows whose they are.
    name: String,
    config: Arc<Config>,
    idle: Arc<Idle>,
}

/// The connections of a compartment that nobody uses, with the names that they bear.
struct Idle {
    clients: Mutex<Vec<(String, Client)>>,
    /// The server starts a process for each connection: a crowd that opens them all at once would
    /// take its processors from everybody. One at a time; the others may find an idle one meanwhile.
    opening: Semaphore,
}

/// A connection in use. Dropping it gives back connection and seat together.
#[derive(Debug)]
pub struct Connection {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    client: Client,
    name: String,
    /// A query was begun and its answer not read to the end.
    is_busy: bool,
    idle: Arc<Idle>,
    _seat: Permit,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no seat.
    #[error("no connection is free: {0}")]
    Refused(Box<Refusal>),
    /// The server did not answer, or not well.
    #[error("the database: {0}")]
    Database(#[from] tokio_postgres::Error),
}

/// How long a cancelled query has to end before its connection is given up.
const CANCEL: Duration = Duration::from_secs(5);

impl Connections {
    /// The connections of several services, and of operations, by name: `walls` says how many each
    /// may have.
    ///
    /// # Errors
    /// [`BulkheadError::UnknownService`].
    pub fn of(
        walls: &Bulkheads,
        config: &Config,
        compartments: &[&[&str]],
    ) -> Result<HashMap<String, Self>, BulkheadError> {
        let mut all = HashMap::new();
        for services in compartments {
            let idle = Arc::<Idle>::default();
            for service in *services {
                let seats = walls.bulkhead(service)?;
                let connections = Self::new(seats, service, config, Arc::clone(&idle));
                all.insert((*service).to_owned(), connections);
            }
        }
        if let Some(any) = all.values().next() {
            let seats = any.seats.operations();
            let operations = Self::new(seats, "operations", config, Arc::default());
            all.insert("operations".to_owned(), operations);
        }
        Ok(all)
    }

    fn new(seats: Bulkhead, name: &str, config: &Config, idle: Arc<Idle>) -> Self {
        let mut config = config.clone();
        config.application_name(name);
        Self {
            seats,
            name: name.to_owned(),
            config: Arc::new(config),
            idle,
        }
    }

    /// Takes a connection, or waits for one.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is no seat in time, [`Error::Database`] when the server is away.
    pub async fn acquire(&self, tenant: &TenantId) -> Result<Connection, Error> {
        let seat = self.seats.acquire(tenant).await;
        let seat = seat.map_err(|refusal| Error::Refused(Box::new(refusal)))?;
        let (name, client) = match self.idle.take(&self.name) {
            Some(idle) => idle,
            None => self.open().await?,
        };
        let is_others = name != self.name;
        let mut connection = Connection {
            open: Some(Open {
                client,
                name: self.name.clone(),
                is_busy: false,
                idle: Arc::clone(&self.idle),
                _seat: seat,
            }),
        };
        if is_others {
            let rename = "SELECT set_config('application_name', $1, false)";
            connection.query(rename, &[&self.name]).await?;
        }
        Ok(connection)
    }

    /// The walls around them.
    pub fn seats(&self) -> &Bulkhead {
        &self.seats
    }

    async fn open(&self) -> Result<(String, Client), Error> {
        let _turn = self.idle.opening.acquire().await;
        if let Some(idle) = self.idle.take(&self.name) {
            return Ok(idle);
        }
        let (client, connection) = self.config.connect(NoTls).await?;
        // It ends with the client, or when the server is gone; then the client says so.
        tokio::spawn(async move { drop(connection.await) });
        Ok((self.name.clone(), client))
    }
}

impl Connection {
    /// Runs a query.
    ///
    /// # Errors
    /// The server's.
    pub async fn query(
        &mut self,
        sql: &str,
        arguments: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let Some(open) = &mut self.open else {
            return Ok(Vec::new()); // only a dropped connection has none
        };
        open.is_busy = true;
        let answer = open.client.query(sql, arguments).await;
        open.is_busy = false;
        Ok(answer?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.client.is_closed() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(handle) if open.is_busy => drop(handle.spawn(open.cancelled())),
            _ if open.is_busy => {}
            _ => open.put_back(),
        }
    }
}

impl Open {
    /// Stops what runs on the connection, and puts it back if that worked.
    async fn cancelled(self) {
        let ended = tokio::time::timeout(CANCEL, async {
            self.client.cancel_token().cancel_query(NoTls).await?;
            // Answers come in order: after this one's, the connection is idle.
            self.client.batch_execute("").await
        });
        if let Ok(Ok(())) = ended.await {
            self.put_back();
        }
    }

    /// Connection first, seat second: whoever gets the seat finds the connection.
    fn put_back(self) {
        let Self {
            client,
            name,
            idle,
            _seat,
            ..
        } = self;
        idle.lock().push((name, client));
    }
}

impl Default for Idle {
    fn default() -> Self {
        Self {
            clients: Mutex::default(),
            opening: Semaphore::new(1),
        }
    }
}

impl Idle {
    /// One that bears `name`, or else any.
    fn take(&self, name: &str) -> Option<(String, Client)> {
        let mut idle = self.lock();
        idle.retain(|(_, client)| !client.is_closed());
        let own = idle.iter().rposition(|(other, _)| other == name);
        own.map(|index| idle.swap_remove(index))
            .or_else(|| idle.pop())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, Client)>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} idle", self.lock().len())
    }
}
