//! `[pools.NAME]`: shared resources, and the walls in them.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::{Percent, PoolId, Seats};
use watertight_guard::pool::PoolSpec;

use super::{
    compartments::Compartment,
    findings::{Finding, Findings},
    located::{Located, Name, Named, Span, if_written},
};

/// A shared resource.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    /// What it holds. Default: requests.
    kind: Option<Kind>,
    /// Seats in all. Needed for a pool of requests.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) capacity: Option<Located<u64>>,
    /// Seats that only requests of class "operations" may take. Default: 0.
    #[schemars(range(min = 0, max = 1_000_000))]
    reserve: Option<Located<u32>>,
    /// The share of the pool, of each compartment's seats and of each cap, in percent, from which
    /// on somebody should look. Default: 70.
    #[schemars(range(min = 0, max = 100))]
    alert: Option<Located<f64>>,
    /// Its walled parts, by name.
    #[serde(default)]
    pub(super) compartments: Named<Compartment>,
}

/// What a pool holds.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// A request of a service that uses the pool takes a seat.
    #[default]
    Requests,
    /// Not fronted by this node: mapped and audited only.
    Declared,
}

/// A pool as the plan takes it.
#[derive(Debug)]
pub(super) enum Read {
    /// One that this node fronts, and its alert threshold.
    Fronted(PoolSpec, Option<Percent>),
    /// One that is mapped and audited only.
    Declared(PoolId),
}

impl Pool {
    pub(super) fn read(&self, name: &Located<Name>, findings: &mut Findings<'_>) -> Option<Read> {
        let id = findings.parse(name);
        match self.kind.unwrap_or_default() {
            Kind::Declared => {
                self.refuse_seats(findings);
                Some(Read::Declared(id?))
            }
            Kind::Requests => self.read_fronted(name, id, findings),
        }
    }

    fn read_fronted(
        &self,
        name: &Located<Name>,
        id: Option<PoolId>,
        findings: &mut Findings<'_>,
    ) -> Option<Read> {
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
        let alert = if_written(self.alert.as_ref(), |alert| findings.number(alert));
        let compartments: Vec<_> = self
            .compartments
            .iter()
            .filter_map(|(name, compartment)| compartment.read(name, findings))
            .collect();
        let spec = PoolSpec {
            id: id?,
            capacity: capacity?,
            adaptive: None,
            reserve: self.reserve.as_ref().map_or(0, |reserve| **reserve),
            compartments,
        };
        Some(Read::Fronted(spec, alert?))
    }

    /// What speaks of seats has no meaning where there are none.
    fn refuse_seats(&self, findings: &mut Findings<'_>) {
        let compartment = self.compartments.keys().next();
        let written: [(&str, Option<&Span>); 4] = [
            ("capacity", self.capacity.as_ref().map(Located::span)),
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
