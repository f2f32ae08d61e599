//! Alerts of a node: looked for as often as the configuration says and whenever a wall fills up, and told
//! to the log, to metrics, to whoever asks, and to a webhook.
//!
//! Looking and sending are two tasks on the control runtime, away from the threads of requests; what
//! the webhook has to be told is the difference between what is so and what it was told
//! (`alerts/outbox.rs`), so neither waits for the other and nothing grows. A webhook that is away is tried again,
//! ever less often, up to once a minute; that is logged once, counted each time, and shown in status.
//!
//! A reload changes marks and the webhook; what fires goes on firing, unless what it is about went with
//! the reload: that is over at once, since a reload is followed by a look. Another webhook is told of
//! all that fires.

mod message;
mod metrics;
pub mod name;
mod nodes;
mod outbox;
mod post;
pub mod runbook;
mod upstreams;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use prometheus_client::registry::Registry;
use tokio::{sync::Notify, task::JoinSet, time};
use watertight_base::Tick;
use watertight_gateway::Gateway;
use watertight_guard::alert::{BoardView, Effect, Kind};
use watertight_layers::Alerts;
use watertight_plan::{Plan, Webhook};

use self::{
    message::Sender,
    metrics::Collected,
    outbox::{Outbox, Parcel},
};
use crate::node::Node;

/// What fires on a node, and what the webhook knows of it.
#[derive(Debug, Default)]
pub struct Alarm {
    alerts: Alerts,
    hook: Mutex<Hook>,
    /// Something has to be told.
    news: Notify,
    /// Another plan is in force.
    reloaded: Notify,
    /// Where people reach the admin listener, unless the configuration says otherwise.
    admin_url: OnceLock<String>,
}

/// What the webhook knows.
#[derive(Debug, Default)]
struct Hook {
    webhook: Option<Webhook>,
    outbox: Outbox,
    fired: [u64; Kind::ALL.len()],
    sent: u64,
    failed: u64,
    /// Why the last attempt failed, if it did.
    error: Option<String>,
}

/// All alerts, and how telling of them goes.
#[derive(Clone, Debug)]
pub struct AlarmView {
    /// The alerts.
    pub board: BoardView,
    /// How many began to fire so far, in the order of [`Kind::ALL`].
    pub fired: [u64; Kind::ALL.len()],
    /// How telling goes.
    pub hook: HookView,
}

/// How telling the webhook goes.
#[derive(Clone, Debug)]
pub struct HookView {
    /// Where it is, without its path. None: there is no webhook.
    pub to: Option<String>,
    /// Alerts of which it has still to be told something.
    pub waiting: usize,
    /// Notifications that it took.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Ends of alerts that it will never be told of.
    pub lost: u64,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}

impl Alarm {
    /// Looks once, and tells.
    pub fn look(&self, node: &Node) {
        let gateway = node.gateway();
        let (alerts, admission) = (&self.alerts, gateway.admission());
        let mut others = upstreams::samples(gateway);
        others.extend(nodes::samples(node.heartbeat()));
        let effects = alerts.evaluate_with(admission, others);
        self.tell(gateway, &effects);
    }

    /// Tells log, metrics and webhook what changed.
    fn tell(&self, gateway: &Gateway, effects: &[Effect]) {
        let plan = gateway.plan();
        let origin = gateway.admission().clock().origin_since_epoch();
        for effect in effects {
            log(effect, origin);
        }
        let board = self.alerts.view();
        let mut hook = self.hook();
        for effect in effects {
            if let Effect::Fired(alert) = effect
                && let Some(at) = Kind::ALL.iter().position(|kind| *kind == alert.key.kind)
            {
                hook.fired[at] += 1;
            }
        }
        let has_news = hook.learn(&plan, &board, effects);
        drop(hook);
        if has_news {
            self.news.notify_one();
        }
    }

    /// Lets whoever looks for ever look at once, because another plan is in force.
    pub(crate) fn reloaded(&self) {
        self.reloaded.notify_one();
    }

    /// What fires, and how telling of it goes.
    pub fn view(&self) -> AlarmView {
        let board = self.alerts.view();
        let hook = self.hook();
        AlarmView {
            board,
            fired: hook.fired,
            hook: HookView {
                to: hook
                    .webhook
                    .as_ref()
                    .map(|webhook| format!("http://{}", webhook.authority())),
                waiting: hook.outbox.waiting(),
                sent: hook.sent,
                failed: hook.failed,
                lost: hook.outbox.lost(),
                error: hook.error.clone(),
            },
        }
    }

    pub(crate) fn register(self: &Arc<Self>, registry: &mut Registry) {
        registry.register_collector(Box::new(Collected(Arc::downgrade(self))));
    }

    /// Under which address people reach the admin listener of a node that runs by `plan`; empty when
    /// there is none.
    pub fn external_url(&self, plan: &Plan) -> String {
        let configured = plan.alerting().external_url.as_ref();
        let url = configured.or_else(|| self.admin_url.get());
        url.cloned().unwrap_or_default()
    }

    async fn look_for_ever(&self, node: &Node) {
        loop {
            self.look(node);
            let next = time::Instant::now() + node.plan().alerting().every;
            let gateway = node.gateway();
            loop {
                tokio::select! {
                    () = self.alerts.crossed(gateway.admission()) => {
                        let effects = self.alerts.evaluate_walls(gateway.admission());
                        self.tell(gateway, &effects);
                    }
                    () = self.reloaded.notified() => break,
                    () = time::sleep_until(next) => break,
                }
            }
        }
    }

    async fn send_for_ever(&self, node: &Node) {
        loop {
            let (now, due) = (node.clock().now(), self.next_wakeup());
            // Nothing to do for a day is nothing to do.
            let pause = due.map_or(Duration::from_secs(86_400), |due| due - now);
            let _ = time::timeout(pause, self.news.notified()).await;
            while let Some((webhook, parcel)) = self.next(node.clock().now()) {
                let body = self.sender(node).message(&parcel).to_string();
                let result = post::post(&webhook, body.into_bytes()).await;
                self.settle(node.clock().now(), &webhook, &parcel, result);
            }
        }
    }

    fn next_wakeup(&self) -> Option<Tick> {
        let hook = self.hook();
        hook.outbox.next_wakeup(hook.webhook.as_ref()?.repeat)
    }

    fn next(&self, now: Tick) -> Option<(Webhook, Parcel)> {
        let hook = self.hook();
        let webhook = hook.webhook.as_ref()?;
        let parcel = hook.outbox.next(now, webhook.repeat)?;
        Some((webhook.clone(), parcel))
    }

    fn settle(&self, now: Tick, webhook: &Webhook, parcel: &Parcel, result: Result<(), String>) {
        let mut hook = self.hook();
        if !hook.is_same(webhook) {
            // A reload put another in its place, which does not know yet.
            return;
        }
        let was_away = hook.outbox.is_away();
        let to = webhook.authority();
        match result {
            Ok(()) => {
                hook.sent += 1;
                hook.error = None;
                hook.outbox.delivered(now, parcel);
                if was_away {
                    tracing::info!(
                        webhook = to,
                        "the webhook of alerts takes notifications again"
                    );
                }
            }
            Err(error) => {
                hook.failed += 1;
                hook.outbox.failed(now, jitter(now));
                if !was_away {
                    tracing::warn!(
                        webhook = to,
                        error,
                        "the webhook of alerts does not take notifications; they wait, and are tried again"
                    );
                }
                hook.error = Some(error);
            }
        }
    }

    fn sender(&self, node: &Node) -> Sender {
        let plan = node.plan();
        Sender {
            node: plan.node().id.to_string(),
            region: plan.node().region.as_ref().map(ToString::to_string),
            external_url: self.external_url(&plan),
            origin: node.clock().origin_since_epoch(),
        }
    }

    fn hook(&self) -> MutexGuard<'_, Hook> {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hook {
    /// Takes what happened to the webhook of `plan`. Returns whether there is something to tell.
    fn learn(&mut self, plan: &Plan, board: &BoardView, effects: &[Effect]) -> bool {
        let Some(webhook) = &plan.alerting().webhook else {
            self.leave("a reload took the webhook away");
            return false;
        };
        if self.is_same(webhook) {
            effects.iter().for_each(|effect| self.outbox.tell(effect));
            self.outbox.refresh(board.firing());
        } else {
            self.leave("a reload put another webhook in its place, which is told of what fires");
            self.outbox = Outbox::begun(board.firing());
        }
        self.webhook = Some(webhook.clone());
        self.outbox.waiting() > 0
    }

    /// Tells the webhook nothing any more.
    fn leave(&mut self, why: &str) {
        let (webhook, waiting) = (self.webhook.take(), self.outbox.waiting());
        if let Some(webhook) = webhook.filter(|_| waiting > 0) {
            let to = webhook.authority();
            tracing::warn!(
                webhook = to,
                waiting,
                "the webhook of alerts was not told of all: {why}"
            );
        }
        self.outbox = Outbox::default();
        self.error = None;
    }

    fn is_same(&self, other: &Webhook) -> bool {
        self.webhook.as_ref().is_some_and(|webhook| {
            let place = |webhook: &Webhook| (webhook.authority(), webhook.path.clone());
            place(webhook) == place(other)
        })
    }
}

/// Looks and tells, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    node: Arc<Node>,
    _tasks: JoinSet<()>,
}

impl Watch {
    /// Begins to look at `node`, on the runtime that this is called on. `admin_url` is where its admin
    /// listener is, if it has one.
    pub fn start(node: &Arc<Node>, admin_url: Option<String>) -> Self {
        if let Some(url) = admin_url {
            // A node has one admin listener for as long as it runs.
            let _ = node.alarm().admin_url.set(url);
        }
        let mut tasks = JoinSet::new();
        let (looking, sending) = (Arc::clone(node), Arc::clone(node));
        tasks.spawn(async move { looking.alarm().look_for_ever(&looking).await });
        tasks.spawn(async move { sending.alarm().send_for_ever(&sending).await });
        Self {
            node: Arc::clone(node),
            _tasks: tasks,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.node.alarm().hook().leave("the node stops");
    }
}

fn log(effect: &Effect, origin: Duration) {
    let time = |tick: Tick| {
        humantime::format_rfc3339_micros(UNIX_EPOCH + origin + (tick - Tick::ZERO)).to_string()
    };
    match effect {
        Effect::Fired(alert) => tracing::warn!(
            alert = alert.key.kind.label(),
            severity = alert.key.kind.severity().label(),
            labels = ?alert.key.labels,
            value = alert.value,
            threshold = alert.fires,
            began = time(alert.began),
            "alert: {}",
            alert.says
        ),
        Effect::Resolved(alert) => tracing::info!(
            alert = alert.key.kind.label(),
            labels = ?alert.key.labels,
            peak = alert.peak,
            threshold = alert.fires,
            began = time(alert.began),
            "alert over: {}",
            alert.says
        ),
    }
}

/// 0 to 1, another one each time: nodes that lost one webhook do not come back to it at once.
fn jitter(now: Tick) -> f64 {
    let mixed = now.as_nanos().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    mixed as f64 / f64::from(1_u32 << 24)
}
