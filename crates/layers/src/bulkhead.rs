//! A named pool with a size, in one line.
//!
//! [`Bulkhead`] is for programs that guard what they use themselves: connections of a database, calls
//! to a dependency, a licence for three. [`Bulkhead::new`] is one compartment that all share;
//! [`Divided`] has walls between services, caps, and a reserve for operations.
//!
//! It is a thin adapter: underneath are a small [`Plan`](watertight_plan::Plan) and an
//! [`Admission`], so a seat is decided on as at the front door. Tenants share each service's seats
//! fairly, in equal service time; whoever has no tenants takes one name for all. The number of
//! tenants is not bounded, the memory for them is.
//!
//! ```
//! use watertight_layers::Bulkhead;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Bulkhead::new("database", 30)?;
//! let acme = "acme".parse()?;
//!
//! let seat = database.acquire(&acme).await?;
//! assert_eq!(database.view().in_use, 1);
//! drop(seat); // it is free again, as it is after a panic or when its task is aborted
//!
//! let answer = database.run(&acme, async { 6 * 7 }).await?;
//! assert_eq!(answer, 42);
//! # Ok(())
//! # }
//! ```
//!
//! With walls, as wide as a database with 100 connections is deep:
//!
//! ```
//! use watertight_layers::Divided;
//!
//! # fn main() -> Result<(), watertight_layers::BulkheadError> {
//! let database = Divided::new("database", 100)
//!     .compartment("critical", 30, ["checkout"])
//!     .compartment("rest", 50, ["recommendations", "reporting"])
//!     .cap("recommendations", 15)
//!     .cap("reporting", 10)
//!     .reserve(20)
//!     .build()?;
//! let checkout = database.bulkhead("checkout")?; // its `acquire` takes one of the 30
//! let operations = checkout.operations(); // and this one's, one of the 20
//! # Ok(())
//! # }
//! ```

mod divided;

use std::{sync::Arc, time::Duration};

use watertight_base::{PoolId, ServiceId, TenantId};
use watertight_guard::pool::{Class, PoolView};

pub use self::divided::{Bulkheads, Divided};
use crate::{Admission, Permit, Refusal, What};

/// A service's way to its seats. Cloning copies pointers; all clones share the seats.
///
/// Waiting needs a tokio runtime with its timer on.
#[derive(Clone, Debug)]
pub struct Bulkhead {
    admission: Admission,
    pool: PoolId,
    service: Arc<ServiceId>,
    class: Class,
    patience: Option<Duration>,
}

/// A bulkhead that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BulkheadError {
    /// A word or a number that is not allowed, or walls that do not fit into the pool.
    #[error(transparent)]
    Plan(#[from] watertight_plan::Error),
    /// A service that sits in no compartment.
    #[error("pool {pool} has no compartment for service {service:?}: name it in one")]
    UnknownService {
        /// The pool.
        pool: PoolId,
        /// The service named.
        service: String,
    },
}

impl From<watertight_base::Error> for BulkheadError {
    fn from(error: watertight_base::Error) -> Self {
        Self::Plan(error.into())
    }
}

impl Bulkhead {
    /// A pool of `seats` under one name, without walls inside.
    ///
    /// Whoever finds no seat waits for up to a second in a fair queue ([`Divided::max_wait`] and
    /// [`Divided::queue`] say otherwise).
    ///
    /// # Errors
    /// [`BulkheadError::Plan`], when `name` is not a pool's name or `seats` is not 1 to a million.
    pub fn new(name: &str, seats: u64) -> Result<Self, BulkheadError> {
        Divided::new(name, seats)
            .compartment(name, seats, [name])
            .build()?
            .bulkhead(name)
    }

    /// Takes a seat, or waits for one. Dropping the permit gives it back; dropping the future
    /// leaves the queue.
    ///
    /// # Errors
    /// A [`Refusal`], which says why and when to come back: the queue is full, or no seat came free
    /// in time.
    pub async fn acquire(&self, tenant: &TenantId) -> Result<Permit, Refusal> {
        let mut who = self.admission.who(tenant).map_err(Refusal::early)?;
        who.class = self.class;
        let now = self.admission.clock().now();
        // A deadline of now is past; one tick later it lets in whoever fits at once.
        let least = Duration::from_nanos(1);
        let patience = self.patience.map_or(Duration::MAX, |span| span.max(least));
        let what = What::new(&self.service, now + patience);
        let mut permit = self.admission.admit(&who, what, now).await?;
        permit.called();
        Ok(permit)
    }

    /// Runs `work` on a seat of its own, which comes back when the work is done, dropped or
    /// panicked. Nothing of it runs before there is a seat.
    ///
    /// # Errors
    /// As [`Bulkhead::acquire`]; `work` was not begun then.
    pub async fn run<F: Future>(&self, tenant: &TenantId, work: F) -> Result<F::Output, Refusal> {
        let _seat = self.acquire(tenant).await?;
        Ok(work.await)
    }

    /// The same seats for less patient callers: a seat is waited for no longer than `patience`,
    /// zero for not at all. The compartment's own `max_wait` holds besides.
    #[must_use]
    pub fn within(&self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self.clone()
        }
    }

    /// The way into the pool's reserve, for the people who run the system. Without a reserve, the
    /// same seats as before.
    #[must_use]
    pub fn operations(&self) -> Self {
        Self {
            class: Class::Operations,
            ..self.clone()
        }
    }

    /// The service whose seats these are.
    pub fn service(&self) -> &ServiceId {
        &self.service
    }

    /// The whole pool as it is now: what is held and who waits, by compartment and service.
    pub fn view(&self) -> PoolView {
        let pools = self.admission.pools();
        let found = pools.into_iter().find(|pool| pool.id == self.pool);
        found.unwrap_or(PoolView {
            id: self.pool.clone(),
            capacity: 0,
            capacity_max: 0,
            adaptive: None,
            in_use: 0,
            compartments: Vec::new(),
        })
    }

    /// What decides underneath: for metrics ([`Admission::register`]) and tower layers.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }
}
