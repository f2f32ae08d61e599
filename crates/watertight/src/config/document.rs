//! The document: all tables, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    alerts::Alerts, api_keys::ApiKey, cluster::Cluster, health::Health, heartbeat::Heartbeat,
    identity::Identity, listen::Listen, listen::ListenName, located::Located, located::Named,
    log::Log, metrics::Metrics, node::Node, plans::TenantPlan, pools::Pool, services::Service,
    stores::Stores, tenants::Tenant, throttle::Throttle, throttling::Throttling,
};

/// The configuration of a node.
///
/// Text values may hold `${VARIABLE}` and `${VARIABLE:-default}`; `$${` stands for `${`. Paths are
/// relative to the directory of this file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    /// The node itself.
    pub(super) node: Node,
    /// What the node logs.
    pub(super) log: Log,
    /// What the node measures.
    pub(super) metrics: Metrics,
    /// Where the node can be reached. `traffic` and `admin` open by themselves.
    pub(super) listen: std::collections::BTreeMap<Located<ListenName>, Listen>,
    /// How a request's tenant is found, and who is believed.
    pub(super) identity: Identity,
    /// API keys, by name.
    #[serde(rename = "api-keys")]
    pub(super) api_keys: Named<ApiKey>,
    /// Plans that tenants are on, by name.
    pub(super) plans: Named<TenantPlan>,
    /// The tenants, by name.
    pub(super) tenants: Named<Tenant>,
    /// Limits on everybody's requests. Default: none.
    #[schemars(length(max = 8))]
    pub(super) throttle: Throttle,
    /// What limits have in common.
    pub(super) throttling: Throttling,
    /// How limits shrink when the node or a service is unwell.
    pub(super) health: Health,
    /// When somebody is told that something fills up, and where.
    pub(super) alerts: Alerts,
    /// How the silence of nodes that beat to `[listen.heartbeat]` is judged.
    pub(super) heartbeat: Heartbeat,
    /// With whom the node shares who is alive, through `[listen.gossip]`.
    pub(super) cluster: Cluster,
    /// Engines outside of the node.
    pub(super) stores: Stores,
    /// The services behind the front door, by name.
    pub(super) services: Named<Service>,
    /// Shared resources and their compartments, by name.
    pub(super) pools: Named<Pool>,
}

impl Document {
    /// The names of the pools of connections.
    pub(super) fn tcp_pools(&self) -> Vec<String> {
        let pools = self.pools.iter().filter(|(_, pool)| pool.is_tcp());
        pools.map(|(name, _)| name.to_string()).collect()
    }
}
