//! A node: the front door, its configuration, and what it says of itself.
//!
//! A reload reads the file again, checks it whole, and swaps it whole. Whatever is wrong leaves the
//! old configuration in force, and shows: in the log, in `watertight_config_rejected_total`, and
//! in the node's status until a later reload succeeds. One that succeeds says which walls have fewer seats
//! than are held (`node/narrowed.rs`). What a running node cannot change (its
//! name, its region, its data directory, its admin listener, its store, the size of its tables) is refused the same way.

mod narrowed;
mod process;

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use watertight_gateway::Gateway;
use watertight_layers::Clock;
use watertight_plan::{Admin, Listener, ListenerKind, Plan};

use self::narrowed::Narrowed;
use crate::{
    alerts::Alarm,
    cluster,
    config::{self, Failure, Note},
    data::{DataDir, generation},
    heartbeat::{Heartbeat, Start},
};

/// A running node.
#[derive(Debug)]
pub struct Node {
    gateway: Gateway,
    registry: Registry,
    /// The file that a reload reads; none when the configuration was given as text.
    file: Option<PathBuf>,
    started: SystemTime,
    clock: Clock,
    config: Mutex<ConfigStatus>,
    generation: Gauge<u64, AtomicU64>,
    rejected: Counter,
    draining: AtomicBool,
    alarm: Arc<Alarm>,
    heartbeat: Arc<Heartbeat>,
    /// One reload at a time: what is read later is in force later.
    reloading: Mutex<()>,
    _data: Option<DataDir>,
}

/// Which configuration is in force, and what became of the last attempt to change it.
#[derive(Clone, Debug)]
pub struct ConfigStatus {
    /// Counts the configurations that were in force, from 1.
    pub generation: u64,
    /// When the one in force was loaded.
    pub loaded: SystemTime,
    /// Things about it that are said aloud.
    pub notes: Vec<Note>,
    /// The last reload, if it was rejected.
    pub rejected: Option<Rejected>,
}

/// A reload that was taken over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reloaded {
    /// The generation now in force.
    pub generation: u64,
    /// What should be known about it: the notes of [`ConfigStatus`], and which walls have fewer seats
    /// now than are held.
    pub notes: Vec<String>,
}

/// A reload that was rejected.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// When.
    pub at: SystemTime,
    /// Why, as `watertight check` would say it, without excerpts of the file.
    pub why: String,
}

/// Why a node does not start, or does not take a configuration over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Failure),
    /// The data directory cannot be held.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// The front door cannot be opened, or cannot take the plan over.
    #[error(transparent)]
    Gateway(#[from] watertight_gateway::Error),
    /// The store that nodes count limits in cannot be used.
    #[error("the store of limits: {0}")]
    Store(String),
    /// Beats or gossip cannot be listened to.
    #[error(transparent)]
    Cluster(#[from] watertight_cluster::Error),
    /// What must outlive a restart cannot be kept.
    #[error(transparent)]
    Records(#[from] watertight_stores::RecordsError),
    /// What beats and gossip need is not to be had.
    #[error("heartbeat: {0}")]
    Heartbeat(String),
    /// The configuration was not read from a file, so there is nothing to read again.
    #[error("this node's configuration was not read from a file")]
    NoFile,
    /// Something changed that only a restart can change.
    #[error("{what} changed, which takes a restart of the node")]
    Restart {
        /// What changed.
        what: &'static str,
    },
}

impl NodeError {
    /// What is wrong, without excerpts of the file: a bad line can hold a secret.
    pub fn summary(&self) -> String {
        match self {
            Self::Config(failure) => failure.summary(),
            other => other.to_string(),
        }
    }
}

impl Node {
    /// Starts a node by a plan that was read from `file`, if it was.
    ///
    /// # Errors
    /// [`NodeError`] when the data directory, an address or a store cannot be had.
    pub fn start(
        plan: Plan,
        notes: Vec<Note>,
        file: Option<PathBuf>,
    ) -> Result<Arc<Self>, NodeError> {
        let clock = Clock::start();
        let data = plan.node().data.as_deref();
        let data = data
            .map(|path| DataDir::open(path, &plan.node().id))
            .transpose()?;
        let plan = Arc::new(plan);
        let gateway = match &plan.throttling().store {
            None => Gateway::start(plan, clock)?,
            Some(store) => {
                let cluster = cluster::join(store, plan.throttling().keys, clock)?;
                Gateway::start_with(plan, clock, cluster)?
            }
        };
        let plan = gateway.plan();
        let region = plan
            .node()
            .region
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let labels = [("node", plan.node().id.to_string()), ("region", region)];
        let labels = labels.map(|(name, value)| (name.into(), value.into()));
        let mut registry = Registry::with_labels(labels.into_iter());
        gateway.register(&mut registry);
        let alarm = Arc::new(Alarm::default());
        alarm.register(&mut registry);
        let heartbeat = Arc::new(Heartbeat::open(&plan, &gateway, || {
            Ok(Start {
                generation: generation(data.as_ref(), now())?,
                // The seed of a hash map is random, and drawn anew by each process and each call.
                seed: RandomState::new().hash_one(0),
                data: data.as_ref().map(DataDir::path),
            })
        })?);
        Heartbeat::register(&heartbeat, &mut registry);
        let node = Self {
            gateway,
            file,
            started: now(),
            clock,
            config: Mutex::new(ConfigStatus {
                generation: 1,
                loaded: now(),
                notes,
                rejected: None,
            }),
            generation: Gauge::default(),
            rejected: Counter::default(),
            draining: AtomicBool::new(false),
            alarm,
            heartbeat,
            reloading: Mutex::default(),
            _data: data,
            registry,
        };
        let node = Arc::new(node.with_metrics());
        node.heartbeat.begin(&node);
        Ok(node)
    }

    /// The front door.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// What fires, and who was told.
    pub fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// Who is alive.
    pub fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// The clock that ticks are read from.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The plan in force.
    pub fn plan(&self) -> Arc<Plan> {
        self.gateway.plan()
    }

    /// The file that a reload reads.
    pub fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// Which configuration is in force.
    pub fn config(&self) -> ConfigStatus {
        self.status().clone()
    }

    /// When the node started.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// How long the node has been running.
    pub fn uptime(&self) -> Duration {
        self.clock.now() - watertight_base::Tick::ZERO
    }

    /// Whether the node is stopping, and so not ready for new work.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// All metrics, in the OpenMetrics text format.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        // Infallible: writing to a String.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Reads the file again and serves by it.
    ///
    /// # Errors
    /// [`NodeError`] when the file is wrong; the old configuration is then still in force.
    pub fn reload(&self) -> Result<Reloaded, NodeError> {
        let _one = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let file = self.file.as_ref().ok_or(NodeError::NoFile);
        let loaded =
            file.and_then(|file| Ok(config::load(file, &|name| std::env::var(name).ok())?));
        self.settle(loaded.and_then(|loaded| self.swap(loaded.plan, loaded.notes)))
    }

    /// Serves by another plan.
    ///
    /// # Errors
    /// [`NodeError`] when it cannot be taken over; the old one is then still in force.
    pub fn replace(&self, plan: Plan) -> Result<Reloaded, NodeError> {
        self.settle(self.swap(plan, Vec::new()))
    }

    /// Stops accepting, lets requests finish for as long as the plan allows, and cuts the rest.
    /// Returns how many connections were cut.
    pub async fn drain(&self) -> usize {
        self.draining.store(true, Ordering::Release);
        let timeout = self.plan().node().drain_timeout;
        let (cut, ()) = tokio::join!(self.gateway.drain(timeout), self.heartbeat.leave());
        cut
    }

    fn swap(&self, plan: Plan, notes: Vec<Note>) -> Result<Reloaded, NodeError> {
        if let Some(what) = needs_restart(&self.plan(), &plan) {
            return Err(NodeError::Restart { what });
        }
        let mut status = self.status();
        self.gateway.reload(Arc::new(plan))?;
        self.heartbeat.reload(&self.plan())?;
        self.alarm.reloaded();
        let pools = self.gateway.admission().pools();
        let narrowed = Narrowed::of(&self.plan(), &pools);
        for wall in &narrowed {
            tracing::warn!("{wall}");
        }
        let said = notes.iter().map(ToString::to_string);
        let said = said.chain(narrowed.iter().map(ToString::to_string));
        let said = said.collect();
        status.generation += 1;
        status.loaded = now();
        status.notes = notes;
        status.rejected = None;
        self.generation.set(status.generation);
        Ok(Reloaded {
            generation: status.generation,
            notes: said,
        })
    }

    /// Says what became of a reload.
    fn settle(&self, result: Result<Reloaded, NodeError>) -> Result<Reloaded, NodeError> {
        match &result {
            Ok(Reloaded { generation, .. }) => {
                tracing::info!(generation, "the configuration was reloaded");
            }
            Err(error) => {
                self.rejected.inc();
                let why = error.summary();
                tracing::error!(
                    error = why,
                    "the reload was rejected; the old configuration is in force"
                );
                self.status().rejected = Some(Rejected { at: now(), why });
            }
        }
        result
    }

    fn status(&self) -> MutexGuard<'_, ConfigStatus> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_metrics(mut self) -> Self {
        self.generation.set(1);
        self.registry.register(
            "watertight_config_generation",
            "Counts the configurations that were in force since the node started",
            self.generation.clone(),
        );
        self.registry.register(
            "watertight_config_rejected",
            "Reloads that were rejected because the configuration was wrong",
            self.rejected.clone(),
        );
        let build = Family::<Vec<(&str, &str)>, Gauge>::default();
        build
            .get_or_create(&vec![("version", env!("CARGO_PKG_VERSION"))])
            .set(1);
        self.registry.register(
            "watertight_build_info",
            "Always 1; the label tells the version",
            build,
        );
        process::register(&mut self.registry);
        self
    }
}

/// The listeners of `plan` that are opened once, without what is asked of them anew each time.
fn opened_once(plan: &Plan) -> [Option<Listener>; 3] {
    let find = |fixed: fn(&ListenerKind) -> Option<ListenerKind>| {
        let mut listeners = plan.listeners().iter();
        listeners.find_map(|listener| {
            Some(Listener {
                kind: fixed(&listener.kind)?,
                ..listener.clone()
            })
        })
    };
    let admin = find(|kind| match kind {
        ListenerKind::Admin(admin) => Some(ListenerKind::Admin(Admin {
            faults: false,
            ..admin.clone()
        })),
        _ => None,
    });
    let heartbeat = find(|kind| match kind {
        ListenerKind::Heartbeat { .. } => Some(kind.clone()),
        _ => None,
    });
    let gossip = find(|kind| match kind {
        ListenerKind::Gossip { .. } => Some(ListenerKind::Gossip { keys: Vec::new() }),
        _ => None,
    });
    [admin, heartbeat, gossip]
}

/// What differs between two plans that only a restart can change.
fn needs_restart(old: &Plan, new: &Plan) -> Option<&'static str> {
    let [admin_before, heartbeat_before, gossip_before] = opened_once(old);
    let [admin, heartbeat, gossip] = opened_once(new);
    let (before, after) = (old.node(), new.node());
    if before.id != after.id {
        Some("node.id")
    } else if before.region != after.region {
        Some("node.region")
    } else if before.data != after.data {
        Some("node.data")
    } else if before.threads != after.threads {
        Some("node.threads")
    } else if admin_before != admin {
        Some("listen.admin (its address, its limits, its TLS files or its token)")
    } else if heartbeat_before != heartbeat || old.heartbeat() != new.heartbeat() {
        Some("listen.heartbeat or heartbeat")
    } else if gossip_before != gossip || old.cluster() != new.cluster() {
        Some("listen.gossip (but for its keys) or cluster")
    } else if table_sizes(old) != table_sizes(new) {
        Some("throttling.keys or throttling.log_entries")
    } else if old.throttling().store != new.throttling().store {
        Some("stores.redis")
    } else {
        None
    }
}

/// The sizes of the tables that callers have places in.
fn table_sizes(plan: &Plan) -> (usize, usize) {
    let throttling = plan.throttling();
    (throttling.keys, throttling.log_entries)
}

#[expect(clippy::disallowed_methods, reason = "status tells the time of day")]
fn now() -> SystemTime {
    SystemTime::now()
}
