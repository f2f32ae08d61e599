//! The configuration in force, as the node understood it and without its secrets.
//!
//! It is written from the plan and names each field that it shows, so that a secret which is added
//! to a plan stays out until somebody decides otherwise.

mod alive;
mod limits;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watertight_base::{PoolId, TenantId};
use watertight_plan::{AccessLog, Identity, Plan, Source, TcpPool, Tenant, TenantPlan, Unknown};

use super::{ConfigStatus, milliseconds};
use crate::node::Node;

use alive::{Judgement, Membership};
use limits::{Common, Throttle};

/// The configuration in force.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Config {
    /// Where it came from.
    pub config: ConfigStatus,
    /// What it says.
    pub plan: EffectivePlan,
}

/// What a configuration says, defaults included. Secrets are not in it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct EffectivePlan {
    /// How many threads work for a busy tier; none: as many as there are cores.
    pub threads: Option<usize>,
    /// How long requests may take to finish when the node stops.
    pub drain_timeout_ms: u64,
    /// Whether requests are logged.
    pub access_log: bool,
    /// The most tenants that get a label value of their own in metrics.
    pub tenant_label_max: usize,
    /// The listeners and what they take.
    pub listeners: BTreeMap<String, Limits>,
    /// How tenants are found.
    pub identity: IdentityRules,
    /// The plans that tenants are on.
    pub plans: BTreeMap<String, Terms>,
    /// How many tenants are listed.
    pub tenants: usize,
    /// How many of them have limits of their own.
    pub tenants_with_limits: usize,
    /// Those limits, of the first 100 such tenants by name.
    pub tenant_throttle: BTreeMap<String, BTreeMap<String, Throttle>>,
    /// The limits for everybody, by name.
    pub throttle: BTreeMap<String, Throttle>,
    /// What limits have in common.
    pub throttling: Common,
    /// The segments that they name.
    pub segments: Vec<String>,
    /// The services.
    pub services: BTreeMap<String, Calls>,
    /// The pools that the node fronts.
    pub pools: BTreeMap<String, Walls>,
    /// Pools that are mapped and audited only.
    pub declared_pools: Vec<String>,
    /// When somebody is told that something fills up, and where.
    pub alerts: Alerting,
    /// How the silence of nodes that beat to this one is judged, and to whom it beats; none: nobody
    /// can, and it does to nobody.
    pub heartbeat: Option<Judgement>,
    /// The cluster that the node is a member of; none: of no one's.
    pub cluster: Option<Membership>,
}

/// When somebody is told that something fills up, and where.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Alerting {
    /// How often everything is looked at.
    pub every_ms: u64,
    /// How long something must be at its mark before its alert fires.
    pub after_ms: u64,
    /// How long it must be well before its alert is over.
    pub hold_ms: u64,
    /// How long requests may wait for seats.
    pub queue_wait_ms: u64,
    /// How long a seat may be lent to another compartment.
    pub borrowed_for_ms: u64,
    /// Kinds of alerts that nobody wants to hear of.
    pub off: Vec<String>,
    /// Where the webhook is, without its path.
    pub webhook: Option<String>,
    /// How often it is told again of what still fires.
    pub repeat_ms: Option<u64>,
}

/// What a listener takes.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Limits {
    /// The address that was asked for.
    pub bind: String,
    /// Connections at once.
    pub max_connections: usize,
    /// A request's line and headers.
    pub max_header_bytes: usize,
    /// A request's body.
    pub max_body_bytes: u64,
    /// Bytes a second that a body brings at least; 0: any.
    pub min_rate_bytes: u64,
    /// The time for a request's head to arrive.
    pub header_timeout_ms: u64,
    /// The longest silence.
    pub idle_timeout_ms: u64,
}

/// How tenants are found.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct IdentityRules {
    /// Where a tenant's name may stand, in order.
    pub tenant: Vec<String>,
    /// Peers whose headers count.
    pub trusted: Vec<String>,
    /// `refuse`, or the plan of tenants whom nobody listed.
    pub unknown: String,
    /// API keys, by their names in the configuration, and the tenants whom they were given to.
    pub api_keys: BTreeMap<String, String>,
}

/// What a tenant on a plan gets.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Terms {
    /// Its share among tenants that wait for the same service.
    pub weight: u32,
    /// Requests that it may have in flight.
    pub max_in_flight: Option<u32>,
    /// Client connections that a tenant may have.
    pub max_connections: Option<u32>,
    /// Bytes of answers that may be buffered for a tenant.
    pub max_buffered_bytes: u64,
    /// The class of its requests.
    pub class: String,
    /// Its limits, by name.
    pub throttle: BTreeMap<String, Throttle>,
}

/// How a service is called.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Calls {
    /// Its tier.
    pub tier: u8,
    /// Path prefixes that belong to it.
    pub routes: Vec<String>,
    /// Where it runs.
    pub upstreams: Vec<String>,
    /// The pools that it uses.
    pub uses: Vec<String>,
    /// The time from a request's head to that of its answer.
    pub timeout_ms: u64,
    /// The time to open a connection.
    pub connect_timeout_ms: u64,
    /// Connections to one upstream at once.
    pub upstream_connections: u32,
    /// The limits on requests for it, by name.
    pub throttle: BTreeMap<String, Throttle>,
    /// What a request costs, in units.
    pub cost: u64,
    /// The same by path prefix; the longest wins.
    pub costs: BTreeMap<String, u64>,
    /// The header of its answers that says what the request has really cost.
    pub cost_header: Option<String>,
    /// What is its alone, as somebody says; none: nobody has said.
    pub dedicated: Option<Vec<String>>,
    /// As whom it calls its pools.
    pub credentials: BTreeMap<String, String>,
    /// Processor time that it may use, in cores.
    pub cpu_cores: Option<f64>,
    /// Memory that it may use.
    pub memory_bytes: Option<u64>,
}

/// How a pool is divided.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Walls {
    /// Seats in all.
    pub capacity_seats: u32,
    /// Seats for requests of class `operations` alone.
    pub reserve_seats: u32,
    /// From this share on somebody should look.
    pub alert_percent: f64,
    /// The walled parts.
    pub compartments: BTreeMap<String, Walled>,
    /// For a pool of connections, kind "tcp": how they are carried.
    pub connections: Option<Carried>,
}

/// How a pool's connections are carried.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Carried {
    /// The addresses that were asked for, by service; `operations` leads to the reserve.
    pub binds: BTreeMap<String, String>,
    /// Where connections go.
    pub upstreams: Vec<String>,
    /// The time to open a connection.
    pub connect_timeout_ms: u64,
    /// The longest silence on a connection.
    pub idle_timeout_ms: Option<u64>,
    /// The longest life of a connection.
    pub max_lifetime_ms: Option<u64>,
}

/// A compartment.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Walled {
    /// The services whose requests sit here.
    pub services: Vec<String>,
    /// Hard seats.
    pub seats: u32,
    /// The most seats that one service may hold of these.
    pub caps: BTreeMap<String, u32>,
    /// Requests of one tenant that may wait for one service.
    pub queue: u32,
    /// Requests that may wait in all.
    pub queue_total: u32,
    /// The longest wait for a seat.
    pub max_wait_ms: u64,
    /// How long requests of a tenant wait whose queue has not been empty for as long as that.
    pub wait_target_ms: u64,
    /// Who may borrow seats that stand idle: `by-tier`, `everybody` or `nobody`.
    pub lend: String,
    /// Seats that are kept from borrowers and from tenants that are slow.
    pub head_room: u32,
    /// For how long a lent seat may stay away when it is wanted back.
    pub borrow_max_ms: u64,
}

impl Config {
    /// The configuration that `node` runs by.
    pub fn of(node: &Node) -> Self {
        Self {
            config: ConfigStatus::of(node),
            plan: EffectivePlan::from(&*node.plan()),
        }
    }
}

impl From<&Plan> for EffectivePlan {
    fn from(plan: &Plan) -> Self {
        let node = plan.node();
        Self {
            threads: node.threads.map(usize::from),
            drain_timeout_ms: milliseconds(node.drain_timeout),
            access_log: node.log.access == AccessLog::Stdout,
            tenant_label_max: node.metrics.tenant_label_max,
            listeners: plan.listeners().iter().map(listen_limits).collect(),
            identity: IdentityRules::from(plan.identity()),
            plans: plan
                .plans()
                .iter()
                .map(|(id, plan)| (id.to_string(), Terms::from(&**plan)))
                .collect(),
            tenants: plan.tenants().len(),
            tenants_with_limits: with_limits(plan).count(),
            tenant_throttle: tenant_throttle(plan),
            throttle: limits::by_name(plan.limits()),
            throttling: Common::from(plan.throttling()),
            segments: plan.segments().iter().map(ToString::to_string).collect(),
            services: plan
                .services()
                .iter()
                .map(|(id, service)| (id.to_string(), Calls::from(&**service)))
                .collect(),
            pools: pools(plan),
            alerts: Alerting::from(plan.alerting()),
            heartbeat: Judgement::of(plan),
            cluster: Membership::of(plan),
            declared_pools: plan
                .declared_pools()
                .iter()
                .map(PoolId::to_string)
                .collect(),
        }
    }
}

impl From<&Identity> for IdentityRules {
    fn from(identity: &Identity) -> Self {
        let source = |source: &Source| match source {
            Source::Jwt { claim } => format!("jwt:{claim}"),
            Source::ApiKey => "api-key".to_owned(),
            Source::Header { name } => format!("header:{name}"),
            Source::Host(host) => format!("host:{}{{tenant}}{}", host.prefix, host.suffix),
            Source::Path { prefix } => format!("path:{prefix}{{tenant}}/"),
        };
        Self {
            tenant: identity.sources.iter().map(source).collect(),
            trusted: identity.trusted.iter().map(ToString::to_string).collect(),
            unknown: match &identity.unknown {
                Unknown::Refuse => "refuse".to_owned(),
                Unknown::Plan(plan) => plan.to_string(),
            },
            api_keys: identity
                .api_keys
                .iter()
                .map(|key| (key.name.clone(), key.tenant.to_string()))
                .collect(),
        }
    }
}

impl From<&TenantPlan> for Terms {
    fn from(plan: &TenantPlan) -> Self {
        Self {
            weight: plan.weight.get(),
            max_in_flight: plan.max_in_flight,
            max_connections: plan.max_connections,
            max_buffered_bytes: plan.max_buffered_bytes,
            class: plan.class.label().to_owned(),
            throttle: limits::by_name(&plan.throttle),
        }
    }
}

impl From<&watertight_plan::Service> for Calls {
    fn from(service: &watertight_plan::Service) -> Self {
        let credentials = service.declared.credentials.iter();
        let cpu = service.declared.cpu_millicores;
        Self {
            tier: service.tier.number(),
            routes: service.routes.clone(),
            upstreams: service.upstreams.iter().map(ToString::to_string).collect(),
            uses: service.uses.iter().map(ToString::to_string).collect(),
            timeout_ms: milliseconds(service.timeout),
            connect_timeout_ms: milliseconds(service.connect_timeout),
            upstream_connections: service.upstream_connections,
            throttle: limits::by_name(&service.throttle),
            cost: service.cost.units,
            costs: service.cost.routes.iter().cloned().collect(),
            cost_header: service.cost.header.clone(),
            dedicated: service.declared.dedicated.clone(),
            credentials: credentials
                .map(|(pool, name)| (pool.to_string(), name.clone()))
                .collect(),
            cpu_cores: cpu.map(|millicores| f64::from(millicores) / 1_000.0),
            memory_bytes: service.declared.memory_bytes,
        }
    }
}

/// The tenants that have limits of their own, in no order.
fn with_limits(plan: &Plan) -> impl Iterator<Item = (&TenantId, &Tenant)> {
    let tenants = plan.tenants().iter();
    tenants.filter(|(_, tenant)| !tenant.throttle.is_empty())
}

fn tenant_throttle(plan: &Plan) -> BTreeMap<String, BTreeMap<String, Throttle>> {
    const MOST: usize = 100;
    let first: BTreeMap<_, _> = with_limits(plan).collect();
    let first = first.into_iter().take(MOST);
    first
        .map(|(id, tenant)| (id.to_string(), limits::by_name(&tenant.throttle)))
        .collect()
}

fn listen_limits(listener: &watertight_plan::Listener) -> (String, Limits) {
    let limits = Limits {
        bind: listener.bind.to_string(),
        max_connections: listener.limits.max_connections,
        max_header_bytes: listener.limits.max_header_bytes,
        max_body_bytes: listener.limits.max_body_bytes,
        min_rate_bytes: listener.limits.min_rate,
        header_timeout_ms: milliseconds(listener.limits.header_timeout),
        idle_timeout_ms: milliseconds(listener.limits.idle_timeout),
    };
    (listener.name.clone(), limits)
}

fn pools(plan: &Plan) -> BTreeMap<String, Walls> {
    let requests = plan.layout().pools().iter().map(|pool| (pool, None));
    let connections = plan.tcp_pools().values();
    let connections = connections.map(|(pool, _)| (&pool.spec, Some(carried(pool))));
    let pools = requests.chain(connections).map(|(pool, connections)| {
        let compartments = pool.compartments.iter().map(|part| {
            let walled = Walled {
                services: part.services.iter().map(ToString::to_string).collect(),
                seats: part.seats.get(),
                caps: part
                    .caps
                    .iter()
                    .map(|(service, cap)| (service.to_string(), cap.get()))
                    .collect(),
                queue: part.queue,
                queue_total: part.queue_total,
                max_wait_ms: milliseconds(part.max_wait),
                wait_target_ms: milliseconds(part.wait_target),
                lend: part.lend.label().to_owned(),
                head_room: part.head_room,
                borrow_max_ms: milliseconds(part.borrow_max),
            };
            (part.id.to_string(), walled)
        });
        let alert = plan.alerts().get(&pool.id);
        let walls = Walls {
            capacity_seats: pool.capacity.get(),
            reserve_seats: pool.reserve,
            alert_percent: alert.map_or(Plan::ALERT_DEFAULT, |alert| alert.get()),
            compartments: compartments.collect(),
            connections,
        };
        (pool.id.to_string(), walls)
    });
    pools.collect()
}

impl From<&watertight_plan::Alerting> for Alerting {
    fn from(alerting: &watertight_plan::Alerting) -> Self {
        let webhook = alerting.webhook.as_ref();
        Self {
            every_ms: milliseconds(alerting.every),
            after_ms: milliseconds(alerting.board.after),
            hold_ms: milliseconds(alerting.board.hold),
            queue_wait_ms: milliseconds(alerting.queue_wait),
            borrowed_for_ms: milliseconds(alerting.borrowed_for),
            off: alerting
                .off
                .iter()
                .map(|kind| kind.label().to_owned())
                .collect(),
            webhook: webhook.map(|webhook| format!("http://{}", webhook.authority())),
            repeat_ms: webhook.map(|webhook| milliseconds(webhook.repeat)),
        }
    }
}

fn carried(pool: &TcpPool) -> Carried {
    let doors = pool.doors.iter();
    Carried {
        binds: doors
            .map(|door| (door.caller.name().to_owned(), door.bind.to_string()))
            .collect(),
        upstreams: pool.upstreams.iter().map(ToString::to_string).collect(),
        connect_timeout_ms: milliseconds(pool.connect_timeout),
        idle_timeout_ms: pool.idle_timeout.map(milliseconds),
        max_lifetime_ms: pool.max_lifetime.map(milliseconds),
    }
}
