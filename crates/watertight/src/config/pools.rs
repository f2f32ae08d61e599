//! `[pools.NAME]`: shared resources, and the walls in them.
//!
//! What goes by how long a seat is held (lending, head-room, adapting) is refused of pools of kind
//! "tcp": there every seat is held for long, however well all is.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::{Percent, PoolId, Seats};
use watertight_guard::pool::PoolSpec;
use watertight_plan::TcpPool;

use super::{
    adaptive::Adaptive,
    breaker::Breaker,
    compartments::Compartment,
    duration::DurationText,
    findings::{Finding, Findings},
    listen::Plaintext,
    located::{Located, Name, Named, Span, if_written},
};

/// A shared resource.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    /// What it holds. Default: requests.
    kind: Option<Kind>,
    /// Seats in all. Needed for a pool of requests or connections.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) capacity: Option<Located<u64>>,
    /// Lets the seats follow how long they are held, between `min` and `capacity`. For a pool of
    /// kind "requests". Default: they do not.
    pub(super) adaptive: Option<Located<Adaptive>>,
    /// Seats that only requests of class "operations" may take, or connections that come by
    /// `operations`. Default: 0.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(super) reserve: Option<Located<u32>>,
    /// The share of the pool, of each compartment's seats and of each cap, in percent, from which
    /// on somebody should look. Default: 70.
    #[schemars(range(min = 0, max = 100))]
    pub(super) alert: Option<Located<f64>>,
    /// Its walled parts, by name.
    #[serde(default)]
    pub(super) compartments: Named<Compartment>,
    /// Where connections go: "host:port", the first of them that takes a connection. For a pool of
    /// kind "tcp", which needs one. Default: none.
    #[serde(default)]
    #[schemars(length(min = 1, max = 16))]
    pub(super) upstreams: Vec<Located<String>>,
    /// The address whose connections sit in the reserve. For a pool of kind "tcp". Default: none.
    #[schemars(example = &"127.0.0.1:6389")]
    pub(super) operations: Option<Located<String>>,
    /// The time to open a connection to one upstream, 1ms to 1m. For a pool of kind "tcp".
    /// Default: 1s.
    pub(super) connect_timeout: Option<Located<DurationText>>,
    /// The longest silence on a connection, 1s to 30d; one that one end has closed may be silent
    /// for 60s at most. For a pool of kind "tcp". Default: 1h.
    pub(super) idle_timeout: Option<Located<DurationText>>,
    /// The longest life of a connection, 1s to 30d. For a pool of kind "tcp". Default: any.
    pub(super) max_lifetime: Option<Located<DurationText>>,
    /// When an upstream that takes no connections is left alone. For a pool of kind "tcp".
    pub(super) breaker: Option<Located<Breaker>>,
    /// Says that addresses beyond loopback are meant: whoever reaches one is taken for its service.
    /// For a pool of kind "tcp".
    pub(super) plaintext: Option<Located<Plaintext>>,
}

/// What a pool holds.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// A request of a service that uses the pool takes a seat.
    #[default]
    Requests,
    /// A connection takes a seat: plain TCP ports in front of a cache or a database.
    Tcp,
    /// Not fronted by this node: mapped and audited only.
    Declared,
}

/// A pool as the plan takes it.
#[derive(Debug)]
pub(super) enum Read {
    /// One that this node fronts, and its alert threshold.
    Fronted(PoolSpec, Option<Percent>),
    /// One of connections, and its alert threshold.
    Connections(Box<TcpPool>, Option<Percent>),
    /// One that is mapped and audited only.
    Declared(PoolId),
}

impl Pool {
    /// Whether it is one of connections.
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self.kind, Some(Kind::Tcp))
    }

    pub(super) fn read(&self, name: &Located<Name>, findings: &mut Findings<'_>) -> Option<Read> {
        let id = findings.parse(name);
        if findings.was_taken_out(&format!("pools.{}.kind", **name)) {
            // What belongs in a pool is known when its kind is.
            return None;
        }
        match self.kind.unwrap_or_default() {
            Kind::Declared => {
                self.refuse_seats(findings);
                self.refuse_tcp(findings);
                Some(Read::Declared(id?))
            }
            Kind::Requests => {
                self.refuse_tcp(findings);
                let alert = self.read_alert(findings);
                let spec = self.read_walls(name, id, findings);
                Some(Read::Fronted(spec?, alert?))
            }
            Kind::Tcp => {
                let alert = self.read_alert(findings);
                let spec = self.read_walls(name, id, findings);
                self.refuse_lending(findings);
                let pool = self.read_tcp(name, spec, findings);
                Some(Read::Connections(Box::new(pool?), alert?))
            }
        }
    }

    /// The threshold, if one is written.
    fn read_alert(&self, findings: &mut Findings<'_>) -> Option<Option<Percent>> {
        if_written(self.alert.as_ref(), |alert| findings.number(alert))
    }

    fn read_walls(
        &self,
        name: &Located<Name>,
        id: Option<PoolId>,
        findings: &mut Findings<'_>,
    ) -> Option<PoolSpec> {
        let capacity = match &self.capacity {
            Some(capacity) => findings.number::<Seats, u64>(capacity),
            None if ["kind", "capacity"]
                .iter()
                .any(|key| findings.was_taken_out(&format!("pools.{}.{key}", **name))) =>
            {
                None
            }
            None => {
                let message = format!("`pools.{}` lacks `capacity`", **name);
                let finding = Finding::new(name.span(), message);
                findings.add(finding.label("`capacity` is missing here").help(
                    "`capacity`: seats in all; a pool of kind \"declared\" has none".to_owned(),
                ));
                None
            }
        };
        let compartments: Vec<_> = self
            .compartments
            .iter()
            .filter_map(|(name, compartment)| compartment.read(name, self.is_tcp(), findings))
            .collect();
        let most = capacity.map(|capacity: Seats| capacity.get());
        let adaptive = if_written(self.adaptive.as_ref(), |adaptive| {
            adaptive.read(most, findings)
        });
        Some(PoolSpec {
            id: id?,
            capacity: capacity?,
            adaptive: adaptive?,
            reserve: self.reserve.as_ref().map_or(0, |reserve| **reserve),
            compartments,
        })
    }

    /// Connections last: one that was lent would have to be cut, and how long one is held says nothing
    /// about the resource. Head-room would be kept from whoever sits there and is slow, and who sits
    /// there is a client's address, all of whose connections are held for long: every instance but its
    /// first connection would be kept out, and the wall only be narrower by the seats that are kept.
    fn refuse_lending(&self, findings: &mut Findings<'_>) {
        let parts = self.compartments.values();
        let lends = parts.clone().filter_map(|part| part.lent());
        let kept = parts.filter_map(|part| part.head_room.as_ref().filter(|kept| ***kept > 0));
        let kept = kept.map(|kept| ("head_room", kept.span()));
        let adapts = self.adaptive.as_ref().map(|span| ("adaptive", span.span()));
        for (key, span) in lends.chain(kept).chain(adapts) {
            let message = format!("`{key}` has no meaning in a pool of kind \"tcp\"");
            let help = "connections stay for long: leave it out".to_owned();
            findings.add(Finding::new(span, message).help(help));
        }
    }

    /// What speaks of seats has no meaning where there are none.
    fn refuse_seats(&self, findings: &mut Findings<'_>) {
        let compartment = self.compartments.keys().next();
        let written: [(&str, Option<&Span>); 5] = [
            ("capacity", self.capacity.as_ref().map(Located::span)),
            ("adaptive", self.adaptive.as_ref().map(Located::span)),
            ("reserve", self.reserve.as_ref().map(Located::span)),
            ("alert", self.alert.as_ref().map(Located::span)),
            ("compartments", compartment.map(Located::span)),
        ];
        for (key, span) in written {
            let Some(span) = span else { continue };
            let message = format!("`{key}` has no meaning in a declared pool");
            findings.add(
                Finding::new(span, message)
                    .help("leave it out, or make the pool one of kind \"requests\"".to_owned()),
            );
        }
    }
}
