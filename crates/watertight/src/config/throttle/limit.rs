//! A limit: how much of what, for whom, and what becomes of the rest.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_base::{LimitId, Percent, ServiceId};
use watertight_plan::{Across, Routes};

use super::{
    super::{
        duration::DurationText,
        findings::{Finding, Findings},
        located::{Located, Span},
        nearest::did_you_mean,
        stores,
    },
    Known, Place,
    amount::Amount,
    count::{Algorithm, Counting},
    excess::{Beyond, Excess, Fallback},
    sharing::{self, By, Sharing},
};

/// A limit. Of several limits with one name that apply to a request, the most specific holds: a
/// tenant's before a service's, before a plan's, before everybody's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Limit {
    /// Its name, in headers and metrics; unique in its place. Default: the name of its plan, tenant
    /// or service ("all" for everybody) and "-rate", "-cost", "-bytes" or "-concurrency".
    name: Option<Located<String>>,
    /// How it counts. Default: token-bucket.
    #[serde(default)]
    algorithm: Algorithm,
    /// So many per period, 1 to 1000000000; at once, for concurrency. Where bytes are counted also
    /// a size: "1MiB".
    limit: Located<Amount>,
    /// The period, 1ms to 365d. Default: none; every algorithm but concurrency needs one.
    per: Option<Located<DurationText>>,
    /// What a rested token bucket holds, and so allows at once. Default: as many as `limit`.
    burst: Option<Located<Amount>>,
    /// What it counts. Default: requests.
    counts: Option<Located<Measure>>,
    /// Who shares it: all that agree in each of these. Default: ["tenant"].
    #[schemars(length(min = 1, max = 10))]
    by: Option<Vec<Located<By>>>,
    /// The services that it applies to. Default: all.
    #[schemars(length(min = 1, max = 1_024))]
    services: Option<Vec<Located<String>>>,
    /// The path prefixes that it applies to, on segment boundaries. Default: all.
    #[schemars(length(min = 1, max = 256))]
    routes: Option<Vec<Located<String>>>,
    /// What becomes of requests beyond it. Default: reject; bytes are paced, which is delay.
    excess: Option<Located<Excess>>,
    /// The longest time that a request waits for its turn, 1ms to 1h. Default: none; needed by
    /// excess = "delay", except where bytes are counted: they wait however long it takes.
    max_wait: Option<Located<DurationText>>,
    /// Requests that may wait at once, for each of those who share the limit. Default: 128.
    #[schemars(range(min = 1, max = 1_000_000))]
    queue: Option<Located<u32>>,
    /// What is served instead, with excess = "degrade".
    fallback: Option<Located<Fallback>>,
    /// Whether it only decides and counts, and never acts. Default: false.
    shadow: Option<bool>,
    /// The share, in percent, from which on it is said to be near. Default: 80.
    #[schemars(range(min = 1, max = 100))]
    near: Option<Located<f64>>,
    /// How the nodes of a cluster count together; needs [stores.redis]. Default: each node counts
    /// for itself.
    cluster: Option<Located<Sharing>>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Measure {
    /// Requests.
    Requests,
    /// Units of cost: `cost` and `costs` of the service, and what its `cost_header` says.
    Cost,
    /// Bytes of bodies, up and down: they are read no faster than this.
    Bytes,
}

impl From<Measure> for watertight_plan::Measure {
    fn from(measure: Measure) -> Self {
        match measure {
            Measure::Requests => Self::Requests,
            Measure::Cost => Self::Cost,
            Measure::Bytes => Self::Bytes,
        }
    }
}

impl Located<Limit> {
    pub(super) fn read(
        &self,
        place: Place<'_>,
        index: usize,
        known: &Known,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Limit> {
        let path = place.path(index);
        if findings.was_taken_out(&path) {
            // What is left cannot be judged as a whole.
            return None;
        }
        let measure = self.counts.as_ref().map_or(Measure::Requests, |it| **it);
        let measure = watertight_plan::Measure::from(measure);
        let is_paced = measure == watertight_plan::Measure::Bytes;
        let id = self.read_name(place, measure, findings);
        let counting = Counting {
            algorithm: self.algorithm,
            measure,
            limit: &self.limit,
            per: self.per.as_ref(),
            burst: self.burst.as_ref(),
            place: self.span(),
            path: &path,
        };
        let count = counting.read(findings);
        let by = sharing::read_by(self.by.as_deref(), findings);
        let services = self.read_services(place, known, findings);
        let routes = self.read_routes(findings);
        let beyond = Beyond {
            excess: self.excess.as_ref(),
            max_wait: self.max_wait.as_ref(),
            queue: self.queue.as_ref(),
            fallback: self.fallback.as_ref(),
            is_paced: is_paced && self.algorithm != Algorithm::Concurrency,
            path: &path,
        };
        let excess = beyond.read(known.tenant_headers(), findings);
        let near = match &self.near {
            Some(near) => findings.number(near),
            None => Percent::try_from(watertight_plan::Limit::NEAR_DEFAULT).ok(),
        };
        let across = self.read_across(known, findings);
        let limit = watertight_plan::Limit {
            id: id?,
            count: count?,
            measure,
            by: by?,
            services: services?,
            routes: routes?,
            excess: excess?,
            is_shadow: self.shadow.unwrap_or(false),
            near: near?,
            across: across?,
        };
        self.is_possible(&limit, findings).then_some(limit)
    }

    /// Whether what is asked of it can be; otherwise it is reported.
    fn is_possible(&self, limit: &watertight_plan::Limit, findings: &mut Findings<'_>) -> bool {
        let Some(what) = limit.contradiction() else {
            return true;
        };
        let is_gauge = matches!(limit.count, watertight_plan::Count::InFlight(_));
        let counts = self.counts.as_ref().filter(|_| is_gauge);
        let (span, help) = match (counts, &self.cluster) {
            (Some(counts), _) if limit.measure != watertight_plan::Measure::Requests => {
                (counts.span(), Some("leave `counts` out"))
            }
            (_, Some(cluster)) if what.contains("exact") => (cluster.span(), None),
            (_, Some(cluster)) => (cluster.span(), Some("leave `cluster` out")),
            _ => (self.span(), None),
        };
        let message = format!("this limit {what}");
        findings.add(Finding::new(span, message).help(help.map(str::to_owned)));
        false
    }

    /// Where the limit's name stands, or the limit itself.
    pub(in crate::config) fn name_span(&self) -> &Span {
        self.name.as_ref().map_or(self.limit.span(), Located::span)
    }

    /// Whether it says that those who agree in `by` share it.
    pub(in crate::config) fn is_by(&self, by: watertight_plan::By) -> bool {
        let mut words = self.by.iter().flatten();
        words.any(|word| watertight_plan::By::from(**word) == by)
    }

    /// Where it says who shares it, or its name.
    pub(in crate::config) fn by_span(&self, by: watertight_plan::By) -> &Span {
        let mut words = self.by.iter().flatten();
        words
            .find(|word| watertight_plan::By::from(***word) == by)
            .map_or(self.name_span(), Located::span)
    }

    /// Where the path prefix at `index` stands.
    pub(in crate::config) fn route_span(&self, index: usize) -> &Span {
        let route = self.routes.iter().flatten().nth(index);
        route.map_or(self.name_span(), Located::span)
    }

    fn read_name(
        &self,
        place: Place<'_>,
        measure: watertight_plan::Measure,
        findings: &mut Findings<'_>,
    ) -> Option<LimitId> {
        if let Some(name) = &self.name {
            return findings.parse(name);
        }
        let what = match measure {
            _ if self.algorithm == Algorithm::Concurrency => "concurrency",
            watertight_plan::Measure::Requests => "rate",
            other => other.label(),
        };
        match format!("{}-{what}", place.name()).parse() {
            Ok(id) => Some(id),
            Err(error) => {
                let finding = Finding::new(self.limit.span(), error);
                findings.add(finding.help("give the limit a `name`".to_owned()));
                None
            }
        }
    }

    fn read_services(
        &self,
        place: Place<'_>,
        known: &Known,
        findings: &mut Findings<'_>,
    ) -> Option<Vec<ServiceId>> {
        let written = self.services.as_deref().unwrap_or_default();
        if let (Place::Service(service), Some(first)) = (place, written.first()) {
            let message = format!("this limit stands with service {service} and applies to it");
            let help = "leave `services` out, or move the limit to a plan or to the top";
            findings.add(Finding::new(first.span(), message).help(help.to_owned()));
            return None;
        }
        let mut services: Vec<ServiceId> = Vec::with_capacity(written.len());
        for name in written {
            let Some(service) = findings.parse::<ServiceId>(name) else {
                continue;
            };
            if services.contains(&service) {
                findings.add(Finding::new(name.span(), "this service is named twice"));
            } else if known.services.contains(name) {
                services.push(service);
            } else {
                let services = known.services.iter().map(String::as_str);
                let help = did_you_mean(name, services)
                    .unwrap_or_else(|| format!("add a table [services.{service}]"));
                let finding = Finding::new(name.span(), format!("there is no service `{service}`"));
                findings.add(finding.label("unknown service").help(help));
            }
        }
        (services.len() == written.len()).then_some(services)
    }

    fn read_routes(&self, findings: &mut Findings<'_>) -> Option<Vec<String>> {
        let written = self.routes.as_deref().unwrap_or_default();
        let mut routes: Vec<String> = Vec::with_capacity(written.len());
        for route in written {
            if routes.contains(route) {
                findings.add(Finding::new(route.span(), "this route is named twice"));
            } else if Routes::is_normal(route) {
                routes.push((**route).clone());
            } else {
                let finding = Finding::new(route.span(), "this is not a path prefix");
                findings.add(finding.help(NORMAL.to_owned()));
            }
        }
        (routes.len() == written.len()).then_some(routes)
    }

    fn read_across(&self, known: &Known, findings: &mut Findings<'_>) -> Option<Across> {
        let Some(sharing) = &self.cluster else {
            return Some(Across::Node);
        };
        if !known.has_store {
            let message = "nodes can only count together in a store, and none is named";
            let finding = Finding::new(sharing.span(), message);
            findings.add(finding.help(stores::how_to_name_one()));
            return None;
        }
        Some(Across::from(**sharing))
    }
}

/// What a path prefix looks like.
pub(in crate::config) const NORMAL: &str =
    "it begins with '/' and has no empty, '.' or '..' segment, query or escape";
