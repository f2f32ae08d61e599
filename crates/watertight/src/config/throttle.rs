//! `throttle = [{ … }]`: the limits of one place.
//!
//! They stand in `[plans.NAME]`, `[tenants.NAME]` and `[services.NAME]`, and at the top for
//! everybody. What is wrong with a limit is found here, where each key has its place in the source;
//! the plan checks the same once more, for those who build one without a file.

mod amount;
mod count;
mod excess;
mod limit;
mod sharing;

use std::{collections::HashSet, fmt};

use watertight_base::LimitId;

use super::{
    document::Document,
    findings::{Finding, Findings},
    located::Located,
};

pub(super) use limit::{Limit, NORMAL};

/// Limits as they are written, each with its place.
pub(super) type Throttle = Vec<Located<Limit>>;

/// Where limits stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place<'n> {
    /// At the top.
    Everybody,
    /// With a plan.
    Plan(&'n str),
    /// With a service.
    Service(&'n str),
    /// With a tenant.
    Tenant(&'n str),
}

impl Place<'_> {
    /// What limits without a name are called after.
    fn name(&self) -> &str {
        match self {
            Self::Everybody => "all",
            Self::Plan(name) | Self::Service(name) | Self::Tenant(name) => name,
        }
    }

    /// The way to the limit at `index`.
    fn path(&self, index: usize) -> String {
        match self {
            Self::Everybody => format!("throttle[{index}]"),
            Self::Plan(name) => format!("plans.{name}.throttle[{index}]"),
            Self::Service(name) => format!("services.{name}.throttle[{index}]"),
            Self::Tenant(name) => format!("tenants.{name}.throttle[{index}]"),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => f.write_str("everybody"),
            Self::Plan(name) => write!(f, "plan {name}"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Tenant(name) => write!(f, "tenant {name}"),
        }
    }
}

/// What limits refer to.
#[derive(Debug)]
pub(super) struct Known {
    services: Vec<String>,
    has_store: bool,
    tenant_headers: Vec<String>,
    pools: Vec<String>,
    tcp_pools: Vec<String>,
}

impl Known {
    /// With the names of `services` and `stores`, broken ones included, so that who refers to them
    /// is not reported as well.
    pub(super) fn new(services: Vec<String>, stores: &[String], document: &Document) -> Self {
        Self {
            services,
            has_store: stores.iter().any(|name| name == "redis"),
            tenant_headers: document.identity.headers(),
            pools: document.pools.keys().map(|name| name.to_string()).collect(),
            tcp_pools: document.tcp_pools(),
        }
    }

    /// Whether a pool is one of connections.
    pub(super) fn is_tcp(&self, pool: &str) -> bool {
        self.tcp_pools.iter().any(|name| name == pool)
    }

    /// Whether there is such a pool.
    pub(super) fn is_pool(&self, pool: &str) -> bool {
        self.pools.iter().any(|name| name == pool)
    }

    /// Fields that name tenants.
    pub(super) fn tenant_headers(&self) -> &[String] {
        &self.tenant_headers
    }
}

/// The limits of `place`; what is wrong is reported and left out.
pub(super) fn read(
    limits: &[Located<Limit>],
    place: Place<'_>,
    known: &Known,
    findings: &mut Findings<'_>,
) -> Vec<watertight_plan::Limit> {
    let mut names: HashSet<LimitId> = HashSet::new();
    let mut all = Vec::with_capacity(limits.len());
    for (index, limit) in limits.iter().enumerate() {
        let Some(read) = limit.read(place, index, known, findings) else {
            continue;
        };
        if !names.insert(read.id.clone()) {
            let message = format!("{place} has two limits called {}", read.id);
            let finding = Finding::new(limit.name_span(), message);
            findings.add(finding.help("give each a `name` of its own".to_owned()));
        }
        all.push(read);
    }
    all
}
