//! What would become of a request that nobody makes.
//!
//! It is asked of a running gateway, or of a plan that nothing runs by; both read paths the way
//! that requests are read, so that an explanation and a request cannot disagree.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use watertight_base::{ServiceId, TenantId};
use watertight_layers::{Admission, Explanation, What, Who};
use watertight_plan::{Plan, Service};

use crate::path;

/// A request that nobody makes: what would become of it?
#[derive(Clone, Debug)]
pub struct Question {
    /// Who would ask.
    pub tenant: TenantId,
    /// The path that it would ask for; a query after it does not count.
    pub path: String,
    /// Where the client would be, for limits by address.
    pub address: Option<IpAddr>,
    /// Which user of the tenant would ask, for limits by user.
    pub user: Option<String>,
    /// Which API key would be shown, by its name in the configuration.
    pub key: Option<String>,
}

impl Question {
    /// A request of `tenant` for `path`, of no particular address, user or key.
    pub fn new(tenant: TenantId, path: impl Into<String>) -> Self {
        Self {
            tenant,
            path: path.into(),
            address: None,
            user: None,
            key: None,
        }
    }

    /// Who would ask.
    pub(crate) fn who(&self, admission: &Admission) -> Result<Who, NoExplanation> {
        let who = admission.who(&self.tenant);
        let mut who = who.map_err(|_| NoExplanation::UnknownTenant)?;
        let plan = admission.plan();
        let mut keys = plan.identity().api_keys.iter();
        let is_own = |name: &str| keys.any(|key| key.name == name && key.tenant == self.tenant);
        if !self.key.as_deref().is_none_or(is_own) {
            return Err(NoExplanation::UnknownKey);
        }
        who.address = self.address;
        who.user = self.user.as_deref().map(Arc::from);
        who.key = self.key.as_deref().map(Arc::from);
        Ok(who)
    }
}

/// Why a question has no explanation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoExplanation {
    /// The path has no normal form, and would be refused (400).
    #[error("the path has no normal form; the request would be answered 400")]
    BadPath,
    /// No service has the path (404).
    #[error("no service has this path; the request would be answered 404")]
    NoService,
    /// No API key of the tenant is called that (401).
    #[error("the tenant has no API key of this name; keys are asked for by their names")]
    UnknownKey,
    /// The tenant is not listed and would be refused (403).
    #[error("nobody listed this tenant; the request would be answered 403")]
    UnknownTenant,
}

/// What would become of a request by the plan of `admission`, with every upstream well. Takes
/// nothing.
///
/// # Errors
/// [`NoExplanation`] when the request would not get as far as admission.
pub fn explain(
    admission: &Admission,
    question: &Question,
) -> Result<(Arc<Service>, Explanation), NoExplanation> {
    let plan = admission.plan();
    let (service, path) = service_of(&plan, question)?;
    let service = plan.services().get(service).cloned();
    let service = service.ok_or(NoExplanation::NoService)?;
    let who = question.who(admission)?;
    let now = admission.clock().now();
    let what = What {
        path: &path,
        ..What::new(&service.id, now + service.timeout)
    };
    let explanation = admission.explain(&who, what, now);
    Ok((service, explanation))
}

/// The service that the path of `question` belongs to, and the path's normal form.
pub(crate) fn service_of<'p, 'q>(
    plan: &'p Plan,
    question: &'q Question,
) -> Result<(&'p ServiceId, Cow<'q, str>), NoExplanation> {
    let path = question.path.split(['?', '#']).next().unwrap_or_default();
    let path = path::normalise(path).map_err(|_| NoExplanation::BadPath)?;
    let service = plan.routes().service_of(&path);
    let service = service.ok_or(NoExplanation::NoService)?;
    Ok((service, path))
}
