//! Who shares a limit: `by` and `cluster`.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_plan::Across;

use super::super::{
    findings::{Finding, Findings},
    located::Located,
};

/// Something that callers have in common, or not.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum By {
    /// Each tenant.
    Tenant,
    /// Each segment: its tenants share it.
    Segment,
    /// Each plan: its tenants share it.
    Plan,
    /// Each user within its tenant, as the token says.
    User,
    /// Each API key.
    Key,
    /// Each client address; of an IPv6 address its /64.
    Address,
    /// Each service.
    Service,
    /// Each route of a service.
    Route,
    /// Each region: its nodes share it, where nodes count together.
    Region,
    /// All requests share it; stands alone.
    Global,
}

/// How nodes count together.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sharing {
    /// The store is asked for each request.
    Exact,
    /// The store hands out leases, taken from the limit beforehand: few calls, never more than the
    /// limit.
    Leased,
    /// Each node keeps to its share of the limit; the store only says how many nodes there are.
    Local,
}

impl From<By> for watertight_plan::By {
    fn from(by: By) -> Self {
        match by {
            By::Tenant => Self::Tenant,
            By::Segment => Self::Segment,
            By::Plan => Self::Plan,
            By::User => Self::User,
            By::Key => Self::Key,
            By::Address => Self::Address,
            By::Service => Self::Service,
            By::Route => Self::Route,
            By::Region => Self::Region,
            By::Global => Self::Global,
        }
    }
}

impl From<Sharing> for Across {
    fn from(sharing: Sharing) -> Self {
        use watertight_guard::throttle::lease::Sharing as How;
        Self::Cluster(match sharing {
            Sharing::Exact => How::Exact,
            Sharing::Leased => How::Leased,
            Sharing::Local => How::Local,
        })
    }
}

/// Who shares a limit, sorted, each word once.
pub(super) fn read_by(
    written: Option<&[Located<By>]>,
    findings: &mut Findings<'_>,
) -> Option<Vec<watertight_plan::By>> {
    let Some(written) = written else {
        return Some(vec![watertight_plan::By::Tenant]);
    };
    let mut all = Vec::with_capacity(written.len());
    for word in written {
        let by = watertight_plan::By::from(**word);
        if all.contains(&by) {
            let finding = Finding::new(word.span(), "this word stands here twice");
            findings.add(finding.help("leave one out".to_owned()));
        } else if **word == By::Global && written.len() > 1 {
            let message = "`global` tells nobody apart, and so says nothing beside other words";
            findings.add(Finding::new(word.span(), message).help("leave it out".to_owned()));
        } else {
            all.push(by);
        }
    }
    all.sort_unstable();
    (all.len() == written.len()).then_some(all)
}
