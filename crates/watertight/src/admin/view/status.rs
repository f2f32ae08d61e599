//! The node: its configuration, what it has, and where it listens.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_gateway::{DoorView, FaultsView, TcpView};
use watertight_guard::throttle::lease;
use watertight_plan::{Caller, ListenerKind, Plan};
use watertight_proof::map::Map;

use super::{seconds, time};
use crate::node::Node;

/// The node.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Status {
    /// Its name.
    pub node: String,
    /// Its region.
    pub region: Option<String>,
    /// The version of Watertight that it runs.
    pub version: String,
    /// When it started.
    pub started: String,
    /// How long it has been running.
    pub uptime_s: f64,
    /// Whether it is stopping.
    pub draining: bool,
    /// Its configuration.
    pub config: ConfigStatus,
    /// How many of what it has.
    pub counts: Counts,
    /// Where it listens, by name.
    pub listeners: Vec<Listener>,
    /// Tiers that have a traffic listener of their own, and so accept on their own threads.
    pub tiers_with_own_listener: Vec<u8>,
    /// How counting limits together with other nodes goes; none when no limit is counted so.
    pub cluster: Option<Cluster>,
    /// The digest of its isolation map, as `watertight map` shows it: the same walls, the same digest.
    #[serde(default)]
    pub map: String,
    /// Faults that are injected on purpose.
    #[serde(default)]
    pub injected: Injected,
}

/// Faults that are injected on purpose.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Injected {
    /// Whether the configuration allows them.
    pub allowed: bool,
    /// How many are in force.
    pub faults: usize,
    /// Requests that they struck since the start.
    pub hits: u64,
}

impl From<&FaultsView> for Injected {
    fn from(view: &FaultsView) -> Self {
        Self {
            allowed: view.is_allowed,
            faults: view.faults.len(),
            hits: view.hits.iter().map(|(_, hits)| hits).sum(),
        }
    }
}

/// How counting limits together with other nodes goes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Cluster {
    /// Nodes alive, as the store said last.
    pub nodes: u32,
    /// Whether the store is away, so that this node keeps to its share.
    pub store_away: bool,
    /// Decisions since the start.
    pub decisions: u64,
    /// Round trips to the store.
    pub round_trips: u64,
    /// Decisions by this node's share because the store was away.
    pub decided_alone: u64,
    /// Round trips that failed or took too long.
    pub failures: u64,
}

impl From<lease::View> for Cluster {
    fn from(view: lease::View) -> Self {
        Self {
            nodes: view.nodes,
            store_away: view.is_away,
            decisions: view.decisions,
            round_trips: view.trips,
            decided_alone: view.alone,
            failures: view.failures,
        }
    }
}

/// Which configuration is in force.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ConfigStatus {
    /// The file that it was read from.
    pub file: Option<String>,
    /// Counts the configurations that were in force, from 1.
    pub generation: u64,
    /// When it was loaded.
    pub loaded: String,
    /// Things about it that should be known.
    pub notes: Vec<String>,
    /// The last reload, if it was rejected.
    pub rejected: Option<Rejected>,
}

/// A reload that was rejected.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Rejected {
    /// When.
    pub at: String,
    /// Why, as `watertight check` prints it.
    pub why: String,
}

/// How many of what a node has.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Counts {
    /// Listed tenants.
    pub tenants: usize,
    /// Lanes that tenants whom nobody listed share; 0 when they are refused.
    pub unlisted_lanes: usize,
    /// Services.
    pub services: usize,
    /// Pools that it fronts.
    pub pools: usize,
    /// Pairs of tenant and service that breakers watch because they failed lately.
    pub breakers: usize,
    /// Failures of pairs that were not watched because the table of breakers was full.
    pub breakers_unwatched: u64,
}

/// A listener.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Listener {
    /// Its name; that of a pool's door is made of the pool and whoever comes through it.
    pub name: String,
    /// The address that it is bound to.
    pub address: String,
    /// What it is for: `traffic`, `admin`, or `tcp` for a pool of connections.
    pub kind: String,
    /// The one tier that it serves, on whose threads it accepts.
    pub tier: Option<u8>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether it demands certificates of its clients.
    pub mutual_tls: bool,
    /// Whether it asks for a bearer token.
    pub token: bool,
}

/// A reload that was taken over.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Reloaded {
    /// The generation now in force.
    pub generation: u64,
    /// What should be known about it: what `watertight check` notes, and which walls have fewer seats now
    /// than are held.
    pub notes: Vec<String>,
}

impl Status {
    /// The status of `node`, whose admin listener is bound to `admin`.
    pub fn of(node: &Node, admin: Option<SocketAddr>) -> Self {
        let plan = node.plan();
        let mut tiers: Vec<u8> = Vec::new();
        let listeners = plan.listeners().iter().map(|listener| {
            let open = match listener.kind {
                ListenerKind::Traffic { .. } => node.gateway().address(&listener.name),
                ListenerKind::Admin(_) => admin,
                ListenerKind::Heartbeat { .. } | ListenerKind::Gossip { .. } => {
                    node.heartbeat().address(listener)
                }
            };
            Listener::new(listener, open.unwrap_or(listener.bind))
        });
        let doors = node.gateway().tcp();
        let doors = doors.iter().flat_map(|pool| {
            pool.doors
                .iter()
                .map(|door| Listener::door(pool, door, &plan))
        });
        let listeners: Vec<Listener> = listeners.collect();
        tiers.extend(listeners.iter().filter_map(|listener| listener.tier));
        tiers.sort_unstable();
        tiers.dedup();
        let tenants = node.gateway().admission().tenant_counts();
        Self {
            node: plan.node().id.to_string(),
            region: plan.node().region.as_ref().map(ToString::to_string),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: time(node.started()),
            uptime_s: seconds(node.uptime()),
            draining: node.is_draining(),
            config: ConfigStatus::of(node),
            counts: Counts {
                tenants: tenants.listed,
                unlisted_lanes: tenants.lanes,
                services: plan.services().len(),
                pools: plan.layout().pools().len() + plan.tcp_pools().len(),
                breakers: tenants.breakers,
                breakers_unwatched: tenants.breakers_unwatched,
            },
            listeners: listeners.into_iter().chain(doors).collect(),
            tiers_with_own_listener: tiers,
            cluster: node.gateway().admission().cluster().map(Cluster::from),
            map: Map::of(&plan).digest,
            injected: Injected::from(&node.gateway().faults()),
        }
    }
}

impl ConfigStatus {
    /// Which configuration `node` runs by.
    pub fn of(node: &Node) -> Self {
        let config = node.config();
        Self {
            file: node.file().map(|file| file.display().to_string()),
            generation: config.generation,
            loaded: time(config.loaded),
            notes: config.notes.iter().map(ToString::to_string).collect(),
            rejected: config.rejected.map(|rejected| Rejected {
                at: time(rejected.at),
                why: rejected.why,
            }),
        }
    }
}

impl Listener {
    fn door(pool: &TcpView, door: &DoorView, plan: &Plan) -> Self {
        let tier = match &door.caller {
            Caller::Service(id) => plan.services().get(id).map(|service| service.tier),
            Caller::Operations => None,
        };
        Self {
            name: format!("{}/{}", pool.pool, door.caller.name()),
            address: door.address.to_string(),
            kind: "tcp".to_owned(),
            tier: tier.map(|tier| tier.number()),
            tls: false,
            mutual_tls: false,
            token: false,
        }
    }

    fn new(listener: &watertight_plan::Listener, address: SocketAddr) -> Self {
        let (kind, tier, token) = match &listener.kind {
            ListenerKind::Traffic { tier, .. } => {
                ("traffic", tier.map(|tier| tier.number()), false)
            }
            ListenerKind::Admin(admin) => ("admin", None, admin.token.is_some()),
            ListenerKind::Heartbeat { key } => ("heartbeat", None, key.is_some()),
            ListenerKind::Gossip { keys } => ("gossip", None, !keys.is_empty()),
        };
        let client_ca = listener.tls.as_ref().map(|tls| tls.client_ca.is_some());
        Self {
            name: listener.name.clone(),
            address: address.to_string(),
            kind: kind.to_owned(),
            tier,
            tls: listener.tls.is_some(),
            mutual_tls: client_ca.unwrap_or(false),
            token,
        }
    }
}
