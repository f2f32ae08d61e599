//! What every listener and every request share, and what a reload swaps of it.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use watertight_base::ServiceId;
use watertight_layers::{Admission, Clock, Modes};
use watertight_plan::{Plan, Service};

use crate::{
    Error,
    faults::Faults,
    forward::{
        Upstreams,
        upstream::{Upstream, UpstreamView},
    },
    identify::Identifier,
    last_good::LastGood,
    listen::Stop,
    record::Recorder,
    runtimes::Runtimes,
    serve::less,
    tcp::Tcp,
};

/// What every listener and every request share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) admission: Admission,
    pub(crate) current: ArcSwap<Current>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) last_good: Arc<LastGood>,
    pub(crate) runtimes: Runtimes,
    pub(crate) stop: Stop,
    pub(crate) tcp: Tcp,
    pub(crate) faults: Arc<Faults>,
}

/// What a reload swaps whole.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) plan: Arc<Plan>,
    pub(crate) identifier: Identifier,
    pub(crate) services: HashMap<ServiceId, Arc<Upstreams>>,
}

/// A service, its upstreams and their breakers.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceView {
    /// The service.
    pub service: Arc<Service>,
    /// Its upstreams.
    pub upstreams: Vec<UpstreamView>,
}

impl Shared {
    pub(crate) fn services(&self) -> Vec<ServiceView> {
        let current = self.current.load();
        let services = current.plan.services().keys();
        services
            .filter_map(|id| current.services.get(id))
            .map(|upstreams| ServiceView {
                service: Arc::clone(&upstreams.service),
                upstreams: upstreams
                    .all
                    .iter()
                    .map(|upstream| upstream.view(&upstreams.settings(), upstreams.forced()))
                    .collect(),
            })
            .collect()
    }
}

impl Current {
    pub(crate) fn new(
        plan: &Arc<Plan>,
        old: Option<&Self>,
        clock: Clock,
        modes: &Modes,
        faults: &Arc<Faults>,
    ) -> Result<Self, Error> {
        less::check(plan)?;
        let services = plan.services().iter().map(|(id, service)| {
            let kept = old.and_then(|old| old.services.get(id));
            Ok((
                id.clone(),
                Arc::new(upstreams(service, kept, clock, modes, faults)?),
            ))
        });
        Ok(Self {
            identifier: Identifier::new(plan.identity())?,
            services: services.collect::<Result<_, Error>>()?,
            plan: Arc::clone(plan),
        })
    }
}

/// The upstreams of a service, with the state of those that were there before.
fn upstreams(
    service: &Arc<Service>,
    old: Option<&Arc<Upstreams>>,
    clock: Clock,
    modes: &Modes,
    faults: &Arc<Faults>,
) -> Result<Upstreams, Error> {
    let all = service.upstreams.iter().map(|address| {
        let kept = old.and_then(|old| {
            old.all
                .iter()
                .find(|upstream| upstream.fits(address, service))
                .cloned()
        });
        kept.unwrap_or_else(|| Arc::new(Upstream::new(address.clone(), service, clock)))
    });
    let cost_field = service.cost.header.as_deref();
    Ok(Upstreams {
        service: Arc::clone(service),
        cost_field: cost_field.map(less::cost_field).transpose()?,
        all: all.collect(),
        modes: modes.clone(),
        faults: Arc::clone(faults),
    })
}
