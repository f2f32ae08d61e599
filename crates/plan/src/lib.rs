//! The checked, immutable plan of a node: the configuration as core types.
//!
//! **Decides** nothing at run time: it says what was decided when it was made. Whoever holds an
//! `Arc<Plan>` holds a whole, consistent configuration; a reload makes a new one and swaps it.
//!
//! **Does not care** about TOML, files or environment: those are turned into a plan by the binary.
//! A library user builds one with [`Plan::builder`].
//!
//! **Laws.** Every service has at least one seat; every tenant's plan exists; every service named
//! by a compartment exists; the arithmetic of seats holds ([`watertight_guard::pool::Layout`]).
//!
//! ```
//! use watertight_plan::{Plan, Service, TenantPlan};
//!
//! let plan = Plan::builder()
//!     .plan("standard", TenantPlan { max_in_flight: Some(50), ..TenantPlan::default() })?
//!     .unlisted("standard")?
//!     .service(Service::new("checkout".parse()?, 1_u64.try_into()?))
//!     .build()?;
//! assert_eq!(plan.services().len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alerting;
mod builder;
mod declared;
mod error;
mod heartbeat;
mod identity;
mod limit;
mod listener;
mod node;
mod routes;
mod secret;
mod service;
mod tcp;
mod tenant;
mod throttling;

use std::{collections::BTreeMap, collections::HashMap, sync::Arc};

use watertight_base::{Percent, PlanId, PoolId, SegmentId, ServiceId, TenantId};
use watertight_guard::{
    health,
    pool::{Class, Layout},
};

pub use alerting::{Alerting, Webhook};
pub use builder::Builder;
pub use declared::Declared;
pub use error::Error;
pub use heartbeat::{Cluster, Heartbeat};
pub use identity::{ApiKey, HostPattern, Identity, Jwt, Source, Unknown};
pub use limit::{Across, By, Count, Excess, Fallback, Limit, Measure};
pub use listener::{Admin, ClusterKey, ListenLimits, Listener, ListenerKind, Tls};
pub use node::{AccessLog, Log, Metrics, Node};
pub use routes::Routes;
pub use secret::Secret;
pub use service::{Cost, Protocol, Service, Upstream};
pub use tcp::{Address, Caller, TcpDoor, TcpPool};
pub use tenant::{Tenant, TenantPlan};
pub use throttling::{LimitStore, Throttling};

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) node: Node,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) identity: Identity,
    pub(crate) plans: BTreeMap<PlanId, Arc<TenantPlan>>,
    pub(crate) tenants: HashMap<TenantId, Tenant>,
    pub(crate) services: BTreeMap<ServiceId, Arc<Service>>,
    pub(crate) routes: Routes,
    pub(crate) layout: Layout,
    pub(crate) tcp: BTreeMap<PoolId, (Arc<TcpPool>, Layout)>,
    pub(crate) declared: Vec<PoolId>,
    pub(crate) segments: Vec<SegmentId>,
    pub(crate) alerts: BTreeMap<PoolId, Percent>,
    pub(crate) alerting: Alerting,
    pub(crate) limits: Vec<Limit>,
    pub(crate) throttling: Throttling,
    pub(crate) health: Option<health::Settings>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) cluster: Cluster,
}

impl Plan {
    /// The share of a pool from which on somebody should look, where nothing else is said, in
    /// percent.
    pub const ALERT_DEFAULT: f64 = 70.0;

    /// Begins an empty plan.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The node itself.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The listeners, in the order of their names.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Whether faults may be injected through the admin listener.
    pub fn allows_faults(&self) -> bool {
        let mut listeners = self.listeners.iter();
        listeners
            .any(|listener| matches!(&listener.kind, ListenerKind::Admin(admin) if admin.faults))
    }

    /// How a request's tenant is found.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The plans that tenants are on, by name.
    pub fn plans(&self) -> &BTreeMap<PlanId, Arc<TenantPlan>> {
        &self.plans
    }

    /// The listed tenants.
    pub fn tenants(&self) -> &HashMap<TenantId, Tenant> {
        &self.tenants
    }

    /// The limits that hold for everybody.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// What limits have in common.
    pub fn throttling(&self) -> &Throttling {
        &self.throttling
    }

    /// How limits shrink when the node or a service is unwell; none: they do not.
    pub fn health(&self) -> Option<&health::Settings> {
        self.health.as_ref()
    }

    /// How the silence of nodes that beat to this one is judged.
    pub fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// The cluster that the node is a member of.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The services, by name.
    pub fn services(&self) -> &BTreeMap<ServiceId, Arc<Service>> {
        &self.services
    }

    /// Whether requests come for a service: none do for one that only connects to pools of
    /// connections, nor for one that there is not.
    pub fn takes_requests(&self, service: &ServiceId) -> bool {
        self.layout
            .compartment_of(service, Class::Ordinary)
            .is_some()
    }

    /// Which service a path belongs to.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Pools, compartments and the seats that services take.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Pools of connections, each with its layout, by name.
    pub fn tcp_pools(&self) -> &BTreeMap<PoolId, (Arc<TcpPool>, Layout)> {
        &self.tcp
    }

    /// Pools that are declared for the map and the audit, and not fronted by this node.
    pub fn declared_pools(&self) -> &[PoolId] {
        &self.declared
    }

    /// The segments that tenants name, sorted.
    pub fn segments(&self) -> &[SegmentId] {
        &self.segments
    }

    /// The share of each pool, of each of its compartments and of each cap, from which on somebody
    /// should look.
    pub fn alerts(&self) -> &BTreeMap<PoolId, Percent> {
        &self.alerts
    }

    /// The share of `pool` from which on somebody should look.
    pub fn alert_of(&self, pool: &PoolId) -> Percent {
        // The builder gives every pool one.
        self.alerts.get(pool).copied().unwrap_or(Percent::WHOLE)
    }

    /// When somebody is told that something fills up, and where.
    pub fn alerting(&self) -> &Alerting {
        &self.alerting
    }
}
