//! A node's part in who is alive: the monitor behind `[listen.heartbeat]`, the member of a cluster
//! behind `[listen.gossip]`, and the node's own beats to others.
//!
//! All have a thread of their own, away from requests and from the admin listener: who judges
//! silence must not stand still because somebody else is busy. What they know is asked through
//! [`Heartbeat::beats`] and [`Heartbeat::gossip`]; what follows from it is decided elsewhere. With
//! `node.data` the monitor outlives a restart of the node.

mod journal;
mod load;
mod metrics;
mod monitors;
mod seeds;
mod vitals;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use axum::body::Body;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use prometheus_client::registry::Registry;
use watertight_cluster::{
    AnswerBody, BODY_BYTES_MAX, BeatKey, BeatSocket, Beater, BeaterSpec, Beats, BeatsSpec, Gossip,
    GossipSpec, Handle, Keeping, KeyRing, SecretKey, Target, answer,
};
use watertight_gateway::{Gateway, Listening, Peer};
use watertight_heartbeat::{MembershipSpec, Metadata, MonitorSpec, Remembered};
use watertight_layers::runtimes::Crew;
use watertight_plan::{ClusterKey, Listener, ListenerKind, Plan, Secret};
use watertight_stores::{Records, Sqlite};

use crate::{
    admin::Guard,
    node::{Node, NodeError},
};

/// A node's part in who is alive; nothing where no listener is named for it.
#[derive(Debug)]
pub struct Heartbeat {
    monitor: Option<Monitor>,
    member: Option<Member>,
    /// Beats to others. Taken when the node stops.
    beater: Mutex<Option<Beater>>,
    // Ends last: the tasks of the others run on it.
    crew: Option<Crew>,
}

#[derive(Debug)]
struct Monitor {
    beats: Beats,
    listening: Listening,
    /// Taken when the node stops.
    keeping: Mutex<Option<Keeping>>,
    _socket: BeatSocket,
}

#[derive(Debug)]
struct Member {
    handle: Handle,
    address: SocketAddr,
    /// Taken when it leaves.
    gossip: Mutex<Option<Gossip>>,
}

/// What each start of a node has of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'s> {
    /// How often the node has started.
    pub(crate) generation: u64,
    /// What chance follows from.
    pub(crate) seed: u64,
    /// The directory that is the node's alone, if it has one.
    pub(crate) data: Option<&'s Path>,
}

impl Heartbeat {
    /// Opens the listeners for beats and gossip that `plan` has.
    ///
    /// # Errors
    /// [`NodeError`] when an address cannot be bound, or keys cannot be used.
    pub(crate) fn open<'s>(
        plan: &Plan,
        gateway: &Gateway,
        start: impl FnOnce() -> Result<Start<'s>, NodeError>,
    ) -> Result<Self, NodeError> {
        let is_ours = |listener: &&Listener| {
            matches!(
                listener.kind,
                ListenerKind::Heartbeat { .. } | ListenerKind::Gossip { .. }
            )
        };
        let listeners: Vec<&Listener> = plan.listeners().iter().filter(is_ours).collect();
        let mut heartbeat = Self {
            monitor: None,
            member: None,
            beater: Mutex::default(),
            crew: None,
        };
        if listeners.is_empty() && plan.heartbeat().beat_to.is_empty() {
            return Ok(heartbeat);
        }
        let crew = Crew::new("heartbeat", 1).start();
        let crew = crew.map_err(|error| NodeError::Heartbeat(error.to_string()))?;
        let start = start()?;
        // Tasks that are begun from here on run on its thread.
        let on = crew.handle().enter();
        for listener in listeners {
            match &listener.kind {
                ListenerKind::Heartbeat { key } => {
                    let monitor = Monitor::open(plan, gateway, (listener, key.as_ref()), start)?;
                    heartbeat.monitor = Some(monitor);
                }
                ListenerKind::Gossip { keys } => {
                    heartbeat.member = Some(Member::open(plan, (listener, keys), start)?);
                }
                ListenerKind::Traffic { .. } | ListenerKind::Admin(_) => {}
            }
        }
        heartbeat.beater = Mutex::new(beater(plan, start)?);
        drop(on);
        heartbeat.crew = Some(crew);
        Ok(heartbeat)
    }

    /// Lets what is known have its consequences in `node`, whose part this is.
    pub(crate) fn begin(&self, node: &Arc<Node>) {
        if let Some(crew) = &self.crew {
            let _on = crew.handle().enter();
            vitals::tell(node);
            load::tell(node);
        }
    }

    /// The monitor, if this node is one.
    pub fn beats(&self) -> Option<&Beats> {
        self.monitor.as_ref().map(|monitor| &monitor.beats)
    }

    /// The member, if this node is one.
    pub fn gossip(&self) -> Option<&Handle> {
        self.member.as_ref().map(|member| &member.handle)
    }

    /// The address that a listener is bound to, if it is one of these.
    pub fn address(&self, listener: &Listener) -> Option<SocketAddr> {
        match listener.kind {
            ListenerKind::Heartbeat { .. } => Some(self.monitor.as_ref()?.listening.address()),
            ListenerKind::Gossip { .. } => Some(self.member.as_ref()?.address),
            ListenerKind::Traffic { .. } | ListenerKind::Admin(_) => None,
        }
    }

    /// Says to the cluster and to monitors how busy the node is.
    ///
    /// # Errors
    /// [`watertight_cluster::Error`] when it is too much to say.
    fn say(&self, metadata: &Metadata) -> Result<(), watertight_cluster::Error> {
        if let Some(gossip) = self.gossip() {
            gossip.set_metadata(metadata)?;
        }
        let beater = self.beater.lock().unwrap_or_else(PoisonError::into_inner);
        match &*beater {
            Some(beater) => beater.set_metadata(metadata.clone()),
            None => Ok(()),
        }
    }

    /// Takes over the cluster's keys of another plan.
    ///
    /// # Errors
    /// [`NodeError`] when they cannot be used.
    pub(crate) fn reload(&self, plan: &Plan) -> Result<(), NodeError> {
        let mut listeners = plan.listeners().iter();
        let keys = listeners.find_map(|listener| match &listener.kind {
            ListenerKind::Gossip { keys } => Some(keys),
            _ => None,
        });
        if let (Some(member), Some(keys)) = (&self.member, keys) {
            member.handle.set_ring(ring(keys)?);
        }
        Ok(())
    }

    /// Says good-bye to the cluster, which then does not miss us, and keeps what must outlive us.
    pub(crate) async fn leave(&self) {
        if let Some(beater) = take(&self.beater) {
            beater.leave().await;
        }
        let gossip = self.member.as_ref().and_then(|member| take(&member.gossip));
        if let Some(gossip) = gossip {
            gossip.leave().await;
        }
        let monitor = self.monitor.as_ref();
        if let Some(keeping) = monitor.and_then(|monitor| take(&monitor.keeping)) {
            keeping.finish().await;
        }
    }

    pub(crate) fn register(this: &Arc<Self>, registry: &mut Registry) {
        registry.register_collector(Box::new(metrics::Collected(Arc::downgrade(this))));
    }
}

impl Monitor {
    fn open(
        plan: &Plan,
        gateway: &Gateway,
        (listener, key): (&Listener, Option<&Secret>),
        start: Start<'_>,
    ) -> Result<Self, NodeError> {
        let heartbeat = plan.heartbeat();
        let spec = BeatsSpec {
            monitor: MonitorSpec {
                seed: start.seed,
                ..heartbeat.monitor.clone()
            },
            beats_per_second: heartbeat.beats_per_second,
        };
        let records = start.data.map(Sqlite::open).transpose()?;
        let records = records.map(|records| Arc::new(records) as Arc<dyn Records>);
        let remembered = match &records {
            Some(records) => remembered(Arc::clone(records))?,
            None => Vec::new(),
        };
        let beats = Beats::start(spec, remembered)?;
        let keeping = records.map(|records| Keeping::start(beats.clone(), records));
        journal::of_nodes(beats.notices());
        monitors::ask(&beats, heartbeat, key)?;
        let door = Arc::new(Door {
            guard: Guard::new(key, listener.tls.is_some(), BODY_BYTES_MAX),
            beats: beats.clone(),
        });
        let serve = move |request, _: Peer| {
            let door = Arc::clone(&door);
            async move { door.answer(request).await }
        };
        let on = tokio::runtime::Handle::current();
        let listening = gateway.listen(listener, &on, serve)?;
        let key = key.map(|key| BeatKey::new(key.expose())).transpose()?;
        // Port 0 took a free one, which is the same for both.
        let socket = BeatSocket::open(&beats, listening.address(), key)?;
        Ok(Self {
            beats,
            listening,
            keeping: Mutex::new(keeping),
            _socket: socket,
        })
    }
}

/// What was kept, read on the runtime that this is called on while its thread waits for nothing else.
fn remembered(records: Arc<dyn Records>) -> Result<Vec<Remembered>, NodeError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    tokio::spawn(async move {
        // Nobody is there to be told only if the node does not start.
        let _ = sender.send(Keeping::remembered(&*records).await);
    });
    let read = receiver.recv();
    let read = read.map_err(|_| NodeError::Heartbeat("what was kept was not read".to_owned()))?;
    Ok(read?)
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What stands behind the heartbeat listener.
#[derive(Debug)]
struct Door {
    guard: Guard,
    beats: Beats,
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let mut response = match self.guard.check(&request) {
            Err(problem) => problem.into(),
            Ok(()) => answer(&self.beats, request).await.map(whole),
        };
        let no_store = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_store);
        response
    }
}

fn whole(body: AnswerBody) -> Body {
    Body::new(body)
}

impl Member {
    fn open(
        plan: &Plan,
        (listener, keys): (&Listener, &[ClusterKey]),
        start: Start<'_>,
    ) -> Result<Self, NodeError> {
        let (node, cluster) = (plan.node(), plan.cluster());
        let address = cluster.advertise.unwrap_or(listener.bind);
        let id = node.id.clone();
        let mut membership = MembershipSpec::new(id, address, start.generation, start.seed);
        membership.interval = cluster.interval;
        membership.timeout = cluster.timeout;
        membership.gossip_interval = cluster.interval / 5;
        membership.alpha = cluster.alpha;
        membership.members_max = cluster.members_max;
        membership.forget_after = cluster.forget_after;
        membership.metadata = metadata(plan, 0);
        let gossip = Gossip::open(GossipSpec {
            bind: listener.bind,
            cluster: cluster.name.clone(),
            ring: ring(keys)?,
            membership,
        })?;
        let handle = gossip.handle().clone();
        journal::of_members(handle.events());
        seeds::find(&handle, cluster.seeds.clone());
        Ok(Self {
            handle,
            address: gossip.address(),
            gossip: Mutex::new(Some(gossip)),
        })
    }
}

/// What a node says of itself that is so busy, in percent.
fn metadata(plan: &Plan, load: u16) -> Metadata {
    Metadata {
        load: Some(load),
        build: Some(env!("CARGO_PKG_VERSION").to_owned()),
        region: plan.node().region.as_ref().map(ToString::to_string),
        ..Metadata::default()
    }
}

/// The node's own beats, if it beats to anybody.
fn beater(plan: &Plan, start: Start<'_>) -> Result<Option<Beater>, NodeError> {
    let heartbeat = plan.heartbeat();
    if heartbeat.beat_to.is_empty() {
        return Ok(None);
    }
    let to = heartbeat.beat_to.iter().map(|target| target.parse());
    let key = heartbeat.beat_key.as_ref();
    Ok(Some(Beater::start(BeaterSpec {
        node: plan.node().id.clone(),
        generation: start.generation,
        to: to.collect::<Result<Vec<Target>, _>>()?,
        interval: heartbeat.monitor.interval,
        key: key.map(|key| BeatKey::new(key.expose())).transpose()?,
        tls: None,
        metadata: metadata(plan, 0),
    })?))
}

/// The keys, of which the first seals; none if there are none.
fn ring(keys: &[ClusterKey]) -> Result<Option<KeyRing>, NodeError> {
    let Some(first) = keys.first() else {
        return Ok(None);
    };
    let all = keys
        .iter()
        .map(|key| Ok((key.id, SecretKey::new(key.key.expose())?)))
        .collect::<Result<Vec<_>, watertight_cluster::Error>>()?;
    Ok(Some(KeyRing::new(all, first.id)?))
}
