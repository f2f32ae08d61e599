//! Whose a client connection is, for the quota of connections per tenant.
//!
//! A connection counts for the tenant of its requests, from the first of them to its end: whoever
//! hoards idle connections hoards their own. A balancer carries requests of many tenants over one
//! connection, and none of them may pay for another's: such a connection counts for each tenant while
//! that has a request under way on it. In between it counts for nobody when its peer is one that the
//! configuration trusts to speak for tenants; anybody else's counts for the tenant of its latest
//! request, so that naming another tenant once does not make a hoard free.
//!
//! A request that would make one connection too many is refused. If the connection has no other
//! tenant, it is closed as well: its client is asked to, and when it does not, and still has no place
//! for the connection after a moment, it is cut.
//!
//! It is also what requests know of their connection: whether its client was left because it did not
//! read, so that their records can say so.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;
use watertight_base::Reason;
use watertight_guard::pool::TenantKey;
use watertight_layers::{HeldConnection, Who};

/// The tenants of one connection.
#[derive(Debug, Default)]
pub(crate) struct Tenancy {
    tenants: Mutex<Tenants>,
    close: Notify,
    is_closing: AtomicBool,
    is_too_slow: AtomicBool,
}

#[derive(Debug, Default)]
struct Tenants {
    holders: Vec<Holder>,
    is_shared: bool,
    is_trusted: bool,
    latest: Option<TenantKey>,
}

#[derive(Debug)]
struct Holder {
    tenant: TenantKey,
    under_way: u32,
    _held: HeldConnection,
}

/// A request that is under way on a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay {
    tenancy: Arc<Tenancy>,
    tenant: TenantKey,
}

impl UnderWay {
    /// Whether its client is left because it reads too slowly, or not at all.
    pub(crate) fn is_too_slow(&self) -> bool {
        self.tenancy.is_too_slow.load(Ordering::Acquire)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut tenants = self.tenancy.lock();
        if let Some(holder) = tenants.holder(self.tenant) {
            holder.under_way -= 1;
        }
        tenants.release();
    }
}

impl Tenancy {
    /// A request of a tenant begins. `is_trusted`: the peer may speak for tenants.
    ///
    /// # Errors
    /// [`Reason::TenantConcurrency`], when the tenant has as many connections as it may.
    pub(crate) fn begin(self: &Arc<Self>, who: &Who, is_trusted: bool) -> Result<UnderWay, Reason> {
        let tenant = who.lane();
        let mut tenants = self.lock();
        if let Some(holder) = tenants.holder(tenant) {
            holder.under_way += 1;
        } else if let Some(held) = who.hold_connection() {
            tenants.is_shared |= tenants.latest.is_some_and(|latest| latest != tenant);
            tenants.holders.push(Holder {
                tenant,
                under_way: 1,
                _held: held,
            });
        } else {
            if tenants.holders.is_empty() {
                self.is_closing.store(true, Ordering::Relaxed);
                self.close.notify_one();
            }
            return Err(Reason::TenantConcurrency);
        }
        tenants.latest = Some(tenant);
        tenants.is_trusted = is_trusted;
        tenants.release();
        Ok(UnderWay {
            tenancy: Arc::clone(self),
            tenant,
        })
    }

    /// Whether the connection is to be closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    /// The client is left because it reads too slowly, or not at all.
    pub(super) fn too_slow(&self) {
        self.is_too_slow.store(true, Ordering::Release);
    }

    /// Whether the connection counts for anybody.
    pub(super) fn is_held(&self) -> bool {
        !self.lock().holders.is_empty()
    }

    /// Until the connection is to be closed.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Tenants> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenants {
    fn holder(&mut self, tenant: TenantKey) -> Option<&mut Holder> {
        let mut holders = self.holders.iter_mut();
        holders.find(|holder| holder.tenant == tenant)
    }

    /// Lets go of those for whom the connection no longer counts.
    fn release(&mut self) {
        if self.is_shared {
            let kept = self.latest.filter(|_| !self.is_trusted);
            self.holders
                .retain(|holder| holder.under_way > 0 || Some(holder.tenant) == kept);
        }
    }
}

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests {
    use watertight_layers::{Admission, Clock};
    use watertight_plan::{Plan, Tenant, TenantPlan};

    use super::*;

    pub(super) fn admission(max: u32) -> Admission {
        let plan = TenantPlan {
            max_connections: Some(max),
            ..TenantPlan::default()
        };
        let mut builder = Plan::builder().plan("p", plan).unwrap();
        for name in ["a", "b"] {
            let tenant = Tenant {
                plan: "p".parse().unwrap(),
                segment: None,
                throttle: Vec::new(),
            };
            builder = builder.tenant(name.parse().unwrap(), tenant);
        }
        Admission::new(Arc::new(builder.build().unwrap()), Clock::start())
    }

    pub(super) fn who(admission: &Admission, name: &str) -> Who {
        admission.who(&name.parse().unwrap()).unwrap()
    }

    pub(super) fn counted(admission: &Admission) -> [u32; 2] {
        let tenants = admission.tenants(None, 2);
        [tenants[0].connections, tenants[1].connections]
    }

    #[test]
    fn a_connection_counts_for_its_tenant_until_it_ends() {
        let admission = admission(1);
        let (first, second) = (Arc::<Tenancy>::default(), Arc::<Tenancy>::default());
        let a = who(&admission, "a");
        drop(first.begin(&a, true).unwrap());
        assert_eq!(counted(&admission), [1, 0], "idle, and still its own");
        assert!(second.begin(&a, true).is_err());
        assert!(first.begin(&a, true).is_ok(), "the same one may go on");
        assert!(second.begin(&who(&admission, "b"), true).is_ok());
        drop(first);
        assert_eq!(counted(&admission), [0, 1]);
        assert!(Arc::<Tenancy>::default().begin(&a, true).is_ok());
    }

    #[test]
    fn a_shared_connection_counts_while_a_tenant_uses_it() {
        let admission = admission(1);
        let (a, b) = (who(&admission, "a"), who(&admission, "b"));
        let balancers: Vec<Arc<Tenancy>> = (0..3).map(|_| Arc::default()).collect();
        for tenancy in &balancers {
            for who in [&a, &b, &a] {
                drop(tenancy.begin(who, true).unwrap());
            }
        }
        assert_eq!(counted(&admission), [0, 0]);
        let _under_way = balancers[0].begin(&a, true).unwrap();
        assert_eq!(counted(&admission), [1, 0]);
        assert!(balancers[1].begin(&a, true).is_err(), "at once on two");
        assert!(balancers[1].begin(&b, true).is_ok());
    }

    #[test]
    fn naming_another_tenant_once_does_not_make_a_hoard_free() {
        let admission = admission(2);
        let (a, b) = (who(&admission, "a"), who(&admission, "b"));
        let hoard: Vec<Arc<Tenancy>> = (0..3).map(|_| Arc::default()).collect();
        for tenancy in &hoard[..2] {
            drop(tenancy.begin(&b, false).unwrap());
            drop(tenancy.begin(&a, false).unwrap());
        }
        assert_eq!(counted(&admission), [2, 0]);
        assert!(hoard[2].begin(&a, false).is_err());
    }
}
