//! The front door as a whole: what it runs on, what it serves by, how it changes and how it stops.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use prometheus_client::registry::Registry;
use watertight_base::NodeId;
use watertight_guard::throttle::lease::Cluster;
use watertight_layers::{Admission, Clock, Explanation, What};
use watertight_plan::{AccessLog as AccessLogPlan, Listener, ListenerKind, Plan, Service};

use crate::{
    Error, Vital,
    access_log::AccessLog,
    collector::Collected,
    explain::{NoExplanation, Question, service_of},
    faults::{FaultError, FaultOrder, FaultView, Faults, FaultsView},
    identify::Identifier,
    last_good::LastGood,
    listen::{Listening, Peer, Stop},
    metrics::Metrics,
    record::Recorder,
    runtimes::Runtimes,
    serve::{Door, less},
    shared::{Current, ServiceView, Shared},
    tcp::{Tcp, TcpView},
};

/// How often idle upstream connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The front door. Dropping it closes it without waiting.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    listening: Mutex<BTreeMap<String, Listening>>,
}

/// Whether a gateway could serve by `plan`: its keys, certificates and limits can be used. Opens
/// nothing.
///
/// # Errors
/// What [`Gateway::start`] would say, addresses aside.
pub fn check(plan: &Plan) -> Result<(), Error> {
    Identifier::new(plan.identity())?;
    less::check(plan)?;
    for listener in plan.listeners() {
        crate::listen::check(listener)?;
    }
    Ok(())
}

impl Gateway {
    /// Opens the plan's traffic listeners.
    ///
    /// # Errors
    /// [`Error`] when an address cannot be bound, or keys or certificates cannot be used.
    pub fn start(plan: Arc<Plan>, clock: Clock) -> Result<Self, Error> {
        let admission = Admission::new(Arc::clone(&plan), clock);
        Self::open_all(plan, clock, admission)
    }

    /// The same, as one of the nodes that count limits together in `cluster`.
    ///
    /// # Errors
    /// [`Error`] as for [`Gateway::start`].
    pub fn start_with(
        plan: Arc<Plan>,
        clock: Clock,
        cluster: Arc<dyn Cluster>,
    ) -> Result<Self, Error> {
        let admission = Admission::with_cluster(Arc::clone(&plan), clock, cluster);
        Self::open_all(plan, clock, admission)
    }

    fn open_all(plan: Arc<Plan>, clock: Clock, admission: Admission) -> Result<Self, Error> {
        let runtimes = Runtimes::start(&plan)?;
        let node = plan.node();
        let log = AccessLog::new(node.log.access == AccessLogPlan::Stdout);
        let recorder = Recorder {
            clock,
            node: node.id.to_string(),
            region: node
                .region
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            log: log.map_err(Error::Threads)?,
            metrics: Metrics::new(node.metrics.tenant_label_max),
        };
        let faults = Arc::new(Faults::new(&plan, clock));
        let current = Current::new(&plan, None, clock, &admission.breaker_modes(), &faults)?;
        let shared = Arc::new(Shared {
            clock,
            admission,
            current: ArcSwap::from_pointee(current),
            recorder: Arc::new(recorder),
            last_good: Arc::new(LastGood::new(plan.throttling())),
            runtimes,
            stop: Stop::new(),
            tcp: Tcp::default(),
            faults,
        });
        shared.recorder.metrics.reload(&plan);
        let gateway = Self {
            shared,
            listening: Mutex::default(),
        };
        let doors = Tcp::open_new(&gateway.shared, &plan)?;
        let opened = gateway.open_new(&plan)?;
        gateway.shared.tcp.swap(doors);
        gateway.swap_listeners(opened, &plan);
        gateway.sweep_idle_connections();
        crate::health::watch(&gateway.shared);
        Ok(gateway)
    }

    /// Serves by another plan from now on. State stays; listeners that are new are opened, those
    /// that are gone are closed when their connections are done. When anything is wrong with the
    /// plan, nothing changes.
    ///
    /// # Errors
    /// [`Error`] as for [`Gateway::start`].
    pub fn reload(&self, plan: Arc<Plan>) -> Result<(), Error> {
        let shared = &self.shared;
        let current = {
            let (before, modes) = (shared.current.load(), shared.admission.breaker_modes());
            Current::new(&plan, Some(&before), shared.clock, &modes, &shared.faults)?
        };
        let doors = Tcp::open_new(shared, &plan)?;
        let opened = self.open_new(&plan)?;
        let log_open = plan.node().log.access == AccessLogPlan::Stdout;
        shared
            .recorder
            .log
            .set_open(log_open)
            .map_err(Error::Threads)?;
        shared.admission.reload(Arc::clone(&plan));
        shared.last_good.reload(plan.throttling());
        shared.recorder.metrics.reload(&plan);
        shared.current.store(Arc::new(current));
        shared.faults.reload(&plan);
        shared.tcp.swap(doors);
        self.swap_listeners(opened, &plan);
        Ok(())
    }

    /// The decisions behind the door.
    pub fn admission(&self) -> &Admission {
        &self.shared.admission
    }

    /// The plan in force.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.shared.current.load().plan)
    }

    /// The address that a listener is bound to.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.listening().get(listener).map(Listening::address)
    }

    /// Opens a listener that is not for traffic. It stays open while the front door drains, so that
    /// the node can say that it does, and nobody waits for its connections.
    ///
    /// # Errors
    /// [`Error`] when the address cannot be bound, or certificates cannot be used.
    pub fn listen<F, A, B>(
        &self,
        listener: &Listener,
        on: &tokio::runtime::Handle,
        serve: F,
    ) -> Result<Listening, Error>
    where
        F: Fn(Request<Incoming>, Peer) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let metrics = &self.shared.recorder.metrics;
        let listening = Listening::open(listener, None, on, metrics, &Stop::new(), serve)?;
        listening.accept();
        Ok(listening)
    }

    /// Stops accepting, lets requests finish, and closes what is left after `timeout`. Returns how
    /// many connections were cut.
    pub async fn drain(&self, timeout: Duration) -> usize {
        for (_, listening) in std::mem::take(&mut *self.listening()) {
            drop(listening);
        }
        self.shared.tcp.close();
        self.shared.stop.drain(timeout).await
    }

    /// Says what is known of the nodes that stand behind upstreams; nothing of those of which
    /// `vital` knows nothing.
    pub fn set_vitals(&self, vital: impl Fn(&NodeId) -> Option<Vital>) {
        for upstreams in self.shared.current.load().services.values() {
            let nodes = &upstreams.service.nodes;
            for upstream in &upstreams.all {
                let mut behind = nodes.iter().filter(|(_, it)| **it == upstream.address);
                let known = behind.next().and_then(|(node, _)| vital(node));
                upstream.set_vital(known.unwrap_or_default());
            }
        }
    }

    /// The services, by name, and how their upstreams are.
    pub fn services(&self) -> Vec<ServiceView> {
        self.shared.services()
    }

    /// The pools of connections, by name: their doors and their upstreams.
    pub fn tcp(&self) -> Vec<TcpView> {
        self.shared.tcp.view(self.shared.clock.now())
    }

    /// Injects a fault, which ends by itself after [`LEASE`](crate::LEASE) unless it is renewed.
    ///
    /// # Errors
    /// [`FaultError`] when it may not be, or cannot be.
    pub fn inject(&self, order: FaultOrder) -> Result<FaultView, FaultError> {
        let shared = &self.shared;
        shared
            .faults
            .inject(order, &self.plan(), shared.runtimes.front())
    }

    /// Lets an injected fault last for another [`LEASE`](crate::LEASE) from now.
    ///
    /// # Errors
    /// [`FaultError::Gone`] when it is over.
    pub fn renew_fault(&self, id: u64) -> Result<FaultView, FaultError> {
        self.shared.faults.renew(id)
    }

    /// Ends an injected fault. False: it was over already.
    pub fn remove_fault(&self, id: u64) -> bool {
        self.shared.faults.remove(id)
    }

    /// Ends all injected faults. Returns how many there were.
    pub fn remove_faults(&self) -> usize {
        self.shared.faults.remove_all()
    }

    /// The faults that are injected, and whom they struck.
    pub fn faults(&self) -> FaultsView {
        self.shared.faults.view()
    }

    /// What would become of a request; takes nothing.
    ///
    /// # Errors
    /// [`NoExplanation`] when the request would not get as far as admission.
    pub fn explain(
        &self,
        question: &Question,
    ) -> Result<(Arc<Service>, Explanation), NoExplanation> {
        let current = self.shared.current.load();
        let (service, path) = service_of(&current.plan, question)?;
        let upstreams = current
            .services
            .get(service)
            .ok_or(NoExplanation::NoService)?;
        let admission = &self.shared.admission;
        let who = question.who(admission)?;
        let now = self.shared.clock.now();
        let what = What {
            service: &upstreams.service.id,
            path: &path,
            deadline: now + upstreams.service.timeout,
            held_back: upstreams.held_back(now),
        };
        Ok((
            Arc::clone(&upstreams.service),
            admission.explain(&who, what, now),
        ))
    }

    /// Adds the metrics of the front door and of admission to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        self.shared.recorder.metrics.register(registry);
        self.shared.admission.register(registry);
        registry.register_collector(Box::new(Collected(Arc::downgrade(&self.shared))));
    }

    fn listening(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Listening>> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds the listeners of `plan` that are not open as they should be.
    fn open_new(&self, plan: &Plan) -> Result<Vec<Listening>, Error> {
        let traffic = plan
            .listeners()
            .iter()
            .filter(|listener| is_traffic(listener));
        let listening = self.listening();
        let new = traffic.filter(|listener| {
            listening
                .get(&listener.name)
                .is_none_or(|open| !open.is_like(listener))
        });
        new.map(|listener| {
            let bound = listening.values().find(|open| open.has_socket_of(listener));
            self.open(listener, bound)
        })
        .collect()
    }

    fn open(&self, listener: &Listener, bound: Option<&Listening>) -> Result<Listening, Error> {
        let ListenerKind::Traffic { tier, .. } = listener.kind else {
            unreachable!("only traffic listeners are opened here")
        };
        let door = Arc::new(Door {
            shared: Arc::clone(&self.shared),
            tier,
            limits: listener.limits,
        });
        let serve = move |request, peer: Peer| Arc::clone(&door).serve(request, peer);
        Listening::open(
            listener,
            bound,
            self.shared.runtimes.accepting(tier),
            &self.shared.recorder.metrics,
            &self.shared.stop,
            serve,
        )
    }

    fn swap_listeners(&self, opened: Vec<Listening>, plan: &Plan) {
        let mut listening = self.listening();
        let wanted = |name: &String| {
            plan.listeners()
                .iter()
                .any(|listener| is_traffic(listener) && listener.name == *name)
        };
        listening.retain(|name, _| wanted(name));
        for new in opened {
            new.accept();
            listening.insert(new.name().to_owned(), new);
        }
    }

    fn sweep_idle_connections(&self) {
        let shared = Arc::downgrade(&self.shared);
        self.shared.runtimes.front().spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                for upstreams in shared.current.load().services.values() {
                    upstreams.all.iter().for_each(|upstream| upstream.sweep());
                }
            }
        });
    }
}

fn is_traffic(listener: &Listener) -> bool {
    matches!(listener.kind, ListenerKind::Traffic { .. })
}

#[cfg(test)]
mod tests;
