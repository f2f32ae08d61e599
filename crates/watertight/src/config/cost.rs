//! `cost`, `costs` and `cost_header` of a service: what its requests cost where limits count cost.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use watertight_plan::{Cost, Routes};

use super::{
    field,
    findings::{Finding, Findings},
    located::{Located, if_written},
    throttle::NORMAL,
};

/// Units by path prefix.
pub(super) type Costs = BTreeMap<Located<Prefix>, Units>;

/// A path prefix that is the key of a table.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(transparent)]
pub(super) struct Prefix(String);

impl JsonSchema for Prefix {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Prefix".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^/" })
    }
}

/// What a request costs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(super) struct Units(#[schemars(range(min = 0, max = 1_000_000))] u64);

/// What requests for a service with `routes` cost; what is wrong is reported.
pub(super) fn read(
    units: Option<u64>,
    costs: &Costs,
    header: Option<&Located<String>>,
    routes: &[Located<String>],
    tenant_headers: &[String],
    findings: &mut Findings<'_>,
) -> Option<Cost> {
    let mut by_route = Vec::with_capacity(costs.len());
    for (prefix, units) in costs {
        let text = prefix.0.as_str();
        let (message, help) = if !Routes::is_normal(text) {
            ("this is not a path prefix", NORMAL.to_owned())
        } else if routes.iter().any(|route| meet(text, route)) {
            by_route.push((text.to_owned(), units.0));
            continue;
        } else {
            let routes: Vec<&str> = routes.iter().map(|route| route.as_str()).collect();
            let help = format!("the service has the routes {}", routes.join(", "));
            ("no request for this path goes to this service", help)
        };
        findings.add(Finding::new(prefix.span(), message).help(help));
    }
    let header = if_written(header, |name| field::read(name, tenant_headers, findings));
    let is_right = by_route.len() == costs.len();
    Some(Cost {
        units: units.unwrap_or(Cost::default().units),
        routes: by_route,
        header: header?,
    })
    .filter(|_| is_right)
}

/// Whether there are paths that begin with both, on segment boundaries.
pub(super) fn meet(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim_end_matches('/'), other.trim_end_matches('/'));
    let begins = |path: &str, prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    begins(one, other) || begins(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_meet_on_segment_boundaries() {
        assert!(meet("/", "/a") && meet("/a/b", "/a") && meet("/a/", "/a/b"));
        assert!(!meet("/ab", "/a") && !meet("/a/b", "/a/c"));
    }
}
