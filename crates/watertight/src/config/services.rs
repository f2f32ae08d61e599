//! `[services.NAME]`: what stands behind the front door.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::{NodeId, PoolId};
use watertight_plan::{Cost, Upstream};

use super::{
    breaker::Breaker,
    cost::{self, Costs},
    declared,
    duration::{self, DAY, DurationText, HOUR, MILLISECOND, MINUTE, SECOND},
    findings::{Finding, Findings},
    located::{Located, Name, Span},
    size::{KIB, MIB, Size},
    throttle::{self, Known, Place, Throttle},
    upstream,
};

/// A service and how it is called.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// How much it matters: 1 stops the business, 2 hurts it, 3 is missed.
    #[schemars(range(min = 1, max = 3))]
    tier: Located<u64>,
    /// Path prefixes that belong to it, on segment boundaries; the longest wins. Needed, unless the
    /// service only connects to pools of kind "tcp". Default: none.
    #[serde(default)]
    #[schemars(length(min = 1, max = 256))]
    pub(super) routes: Vec<Located<String>>,
    /// Where it runs: "http://host:port" (HTTP/1.1) or "h2c://host:port" (HTTP/2, as gRPC needs).
    /// Needed where there are `routes`. Default: none.
    #[serde(default)]
    #[schemars(length(min = 1, max = 256))]
    upstreams: Vec<Located<String>>,
    /// The nodes that stand behind upstreams, by the names that they beat or gossip with, at most one
    /// behind each: an upstream whose node is dead or has left is not called while there is another,
    /// and one whose node says it is busy is called less. Default: none.
    #[serde(default)]
    nodes: BTreeMap<Located<Name>, Located<String>>,
    /// The time from the arrival of a request's head to that of its answer's head, 1ms to 1h.
    /// Default: 30s.
    timeout: Option<Located<DurationText>>,
    /// The time to open a connection, 1ms to 1m. Default: 1s.
    connect_timeout: Option<Located<DurationText>>,
    /// Connections (streams, for HTTP/2) to one upstream at once. Default: 256.
    #[schemars(range(min = 1, max = 65_536))]
    pub(super) upstream_connections: Option<Located<u32>>,
    /// Bytes of an answer that are taken from the upstream ahead of a slow reader, 1KiB to 64MiB.
    /// Default: 64KiB.
    response_buffer: Option<Located<Size>>,
    /// The longest silence on an upgraded connection (a WebSocket), both ways, 1s to 30d. Default: 1h.
    upgrade_idle: Option<Located<DurationText>>,
    /// The pools that it uses. Default: none; the service has a compartment of its own with 256
    /// seats.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub(super) uses: Vec<Located<String>>,
    /// Limits on requests for it. Default: none.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub(super) throttle: Throttle,
    /// What a request costs, where limits count cost. Default: 1.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(super) cost: Option<Located<u64>>,
    /// The same by path prefix, on segment boundaries; the longest wins. Default: none.
    #[serde(default)]
    pub(super) costs: Costs,
    /// The header of its answers that says what the request has really cost. What is beyond the
    /// cost charged beforehand is charged afterwards, what is below is given back. Default: none.
    pub(super) cost_header: Option<Located<String>>,
    /// When calls to it are held back.
    breaker: Option<Located<Breaker>>,
    /// What is this service's alone, for the audit: pools, and infrastructure under any name, as
    /// "replica" or "balancer". An empty list says that it was thought of and there is nothing.
    /// Default: nobody has said.
    #[schemars(length(max = 64), example = &["replica"])]
    pub(super) dedicated: Option<Vec<Located<String>>>,
    /// As whom it calls the pools that it uses, for the audit: the name of a role or user by pool,
    /// never a secret. Default: nobody has said.
    #[serde(default)]
    pub(super) credentials: BTreeMap<Located<Name>, Located<String>>,
    /// Processor time that all of it together may use, in cores, for the audit; whatever runs it
    /// holds it to that. Default: nobody has said.
    #[schemars(range(min = 0.001, max = 65_536))]
    pub(super) cpu: Option<Located<f64>>,
    /// Memory that all of it together may use, 1MiB to 1048576GiB, for the audit; whatever runs it
    /// holds it to that. Default: nobody has said.
    pub(super) memory: Option<Located<Size>>,
}

impl Service {
    pub(super) fn read(
        &self,
        name: &Located<Name>,
        known: &Known,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Service> {
        let id = findings.parse(name);
        let tier = findings.number(&self.tier);
        let upstreams = self.read_upstreams(findings);
        let nodes = self.read_nodes(upstreams.as_deref().unwrap_or_default(), findings);
        self.check_ways(name, known, findings);
        let uses = self.read_uses(findings);
        let place = Place::Service((**name).as_ref());
        let throttle = throttle::read(&self.throttle, place, known, findings);
        let cost = self.read_cost(known, findings);
        let declared = declared::read(self, findings);
        let timeout = duration::or_default(
            self.timeout.as_ref(),
            watertight_plan::Service::TIMEOUT_DEFAULT,
            MILLISECOND..=HOUR,
            findings,
        );
        let connect_timeout = duration::or_default(
            self.connect_timeout.as_ref(),
            watertight_plan::Service::CONNECT_TIMEOUT_DEFAULT,
            MILLISECOND..=MINUTE,
            findings,
        );
        let upgrade_idle = duration::or_default(
            self.upgrade_idle.as_ref(),
            watertight_plan::Service::UPGRADE_IDLE_DEFAULT,
            SECOND..=30 * DAY,
            findings,
        );
        let response_buffer_bytes = match &self.response_buffer {
            Some(size) => size
                .read(KIB..=64 * MIB, findings)
                .and_then(|bytes| usize::try_from(bytes).ok()),
            None => Some(watertight_plan::Service::RESPONSE_BUFFER_DEFAULT),
        };
        let calls_end = timeout.unwrap_or(watertight_plan::Service::TIMEOUT_DEFAULT);
        let breaker = match &self.breaker {
            Some(breaker) => breaker.read(calls_end, findings),
            None => Breaker::default().read(calls_end, findings),
        };
        let (breaker, classifier) = breaker?;
        Some(watertight_plan::Service {
            id: id?,
            tier: tier?,
            routes: self.routes.iter().map(|route| (**route).clone()).collect(),
            upstreams: upstreams?,
            nodes,
            timeout: timeout?,
            connect_timeout: connect_timeout?,
            upstream_connections: self.upstream_connections.as_ref().map_or(
                watertight_plan::Service::UPSTREAM_CONNECTIONS_DEFAULT,
                |most| **most,
            ),
            response_buffer_bytes: response_buffer_bytes?,
            upgrade_idle: upgrade_idle?,
            breaker,
            classifier,
            uses: uses?,
            throttle,
            cost: cost?,
            declared: declared?,
        })
    }

    /// A service has routes and upstreams, or neither, if it only opens connections itself.
    fn check_ways(&self, name: &Located<Name>, known: &Known, findings: &mut Findings<'_>) {
        let path = format!("services.{}", **name);
        let written = [
            ("routes", !self.routes.is_empty()),
            ("upstreams", !self.upstreams.is_empty()),
        ];
        let has = |(key, is_there): &(&str, bool)| {
            *is_there || findings.was_taken_out(&format!("{path}.{key}"))
        };
        // A pool that there is not, or of no kind that there is, may be meant to be one of connections.
        let connects = self.uses.iter().any(|pool| {
            let is_odd = findings.was_taken_out(&format!("pools.{}.kind", **pool));
            known.is_tcp(pool) || is_odd || !known.is_pool(pool)
        });
        let missing: Vec<&str> = written
            .iter()
            .filter(|key| !has(key))
            .map(|(key, _)| *key)
            .collect();
        if missing.len() == written.len()
            && (connects || findings.was_taken_out(&format!("{path}.uses")))
        {
            self.refuse_of_requests(findings);
            return;
        }
        for key in missing {
            let finding = Finding::new(name.span(), format!("`{path}` lacks `{key}`"));
            let help = "a service has `routes` and `upstreams`; one that only connects to pools of \
                        kind \"tcp\" has neither, and names them in `uses`";
            findings.add(
                finding
                    .label(format!("`{key}` is missing here"))
                    .help(help.to_owned()),
            );
        }
    }

    /// What speaks of requests has no meaning where none comes.
    fn refuse_of_requests(&self, findings: &mut Findings<'_>) {
        if let Some(breaker) = &self.breaker {
            let message = "`breaker` has no meaning for a service that only connects to pools";
            let help = "say it of the pool: [pools.NAME.breaker]".to_owned();
            findings.add(Finding::new(breaker.span(), message).help(help));
        }
    }

    /// When calls to it are held back, if that is written.
    pub(super) fn breaker(&self) -> Option<&Breaker> {
        self.breaker.as_deref()
    }

    /// What is written of calls to upstreams, by key.
    pub(super) fn of_calls(&self) -> impl Iterator<Item = (&'static str, &Span)> {
        let times = [
            ("timeout", &self.timeout),
            ("connect_timeout", &self.connect_timeout),
            ("upgrade_idle", &self.upgrade_idle),
        ];
        let times = times.map(|(key, time)| (key, time.as_ref().map(Located::span)));
        let connections = self.upstream_connections.as_ref().map(Located::span);
        let buffer = self.response_buffer.as_ref().map(Located::span);
        let others = [
            ("upstream_connections", connections),
            ("response_buffer", buffer),
        ];
        let written = times.into_iter().chain(others);
        written.filter_map(|(key, span)| Some((key, span?)))
    }

    fn read_cost(&self, known: &Known, findings: &mut Findings<'_>) -> Option<Cost> {
        cost::read(
            self.cost.as_ref().map(|units| **units),
            &self.costs,
            self.cost_header.as_ref(),
            &self.routes,
            known.tenant_headers(),
            findings,
        )
    }

    fn read_upstreams(&self, findings: &mut Findings<'_>) -> Option<Vec<Upstream>> {
        let mut upstreams: Vec<Upstream> = Vec::new();
        for text in &self.upstreams {
            match upstream::parse(text) {
                Ok(upstream) if upstreams.contains(&upstream) => {
                    findings.add(Finding::new(text.span(), "this upstream is named twice"));
                }
                Ok(upstream) => upstreams.push(upstream),
                Err((message, help)) => {
                    findings.add(Finding::new(text.span(), message).help(help.to_owned()));
                }
            }
        }
        (upstreams.len() == self.upstreams.len()).then_some(upstreams)
    }

    fn read_nodes(
        &self,
        upstreams: &[Upstream],
        findings: &mut Findings<'_>,
    ) -> BTreeMap<NodeId, Upstream> {
        let mut nodes = BTreeMap::new();
        for (name, text) in &self.nodes {
            let Some(node) = findings.parse::<NodeId>(name) else {
                continue;
            };
            let found = upstream::parse(text).ok();
            let Some(upstream) = found.filter(|it| upstreams.contains(it)) else {
                let finding = Finding::new(text.span(), "this is no upstream of the service");
                findings.add(finding.help("name one of its `upstreams`".to_owned()));
                continue;
            };
            if nodes.values().any(|other| *other == upstream) {
                let finding = Finding::new(text.span(), "two nodes stand behind this upstream");
                let help = "name one: each upstream is alive as one node is".to_owned();
                findings.add(finding.help(help));
            }
            nodes.insert(node, upstream);
        }
        nodes
    }

    fn read_uses(&self, findings: &mut Findings<'_>) -> Option<Vec<PoolId>> {
        let mut pools = Vec::new();
        let mut seen = HashSet::new();
        for text in &self.uses {
            let Some(pool) = findings.parse::<PoolId>(text) else {
                continue;
            };
            if !seen.insert(pool.clone()) {
                findings.add(Finding::new(text.span(), "this pool is named twice"));
            }
            pools.push(pool);
        }
        (pools.len() == self.uses.len()).then_some(pools)
    }
}
