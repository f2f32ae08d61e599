//! What follows for the balancer: who is gone is not called, and who is busy is called less.
//!
//! A node that both beats here and is a member of the cluster is gone if either says so, and as busy
//! as the busier of the two says. A node of which nobody knows anything counts as well: the balancer
//! may know it only by its answers. The front door is told at once when somebody's life changes, and
//! once a second otherwise, which also tells it of loads and after a reload.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::broadcast::Receiver,
    time::{MissedTickBehavior, interval},
};
use watertight_base::NodeId;
use watertight_cluster::{Beats, Handle};
use watertight_gateway::Vital;
use watertight_heartbeat::{Event, Life, Notice};

use crate::node::Node;

/// Begins to tell the front door, on the runtime that this is called on.
pub(super) fn tell(node: &Arc<Node>) {
    let heartbeat = node.heartbeat();
    let (beats, gossip) = (heartbeat.beats(), heartbeat.gossip());
    let task = keep_telling(
        Arc::downgrade(node),
        beats.map(Beats::notices),
        gossip.map(Handle::events),
    );
    tokio::spawn(task);
}

async fn keep_telling(
    node: Weak<Node>,
    mut notices: Option<Receiver<Notice>>,
    mut events: Option<Receiver<Event>>,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(node) = node.upgrade() {
        node.gateway().set_vitals(|id| vital(&node, id));
        drop(node);
        tokio::select! {
            () = changed(&mut notices) => {}
            () = changed(&mut events) => {}
            _ = ticks.tick() => {}
        }
    }
}

/// Waits until something has changed, and then for what changed with it.
async fn changed<T: Clone>(news: &mut Option<Receiver<T>>) {
    match news {
        // Who is told of less than all looks at all the same.
        Some(news) => drop(news.recv().await),
        None => std::future::pending().await,
    }
    while news.as_mut().is_some_and(|news| news.try_recv().is_ok()) {}
}

fn vital(node: &Node, id: &NodeId) -> Option<Vital> {
    let heartbeat = node.heartbeat();
    let beating = heartbeat.beats().and_then(|beats| beats.node(id));
    let beating = beating.map(|node| (node.life, node.metadata));
    let member = heartbeat.gossip().and_then(|gossip| gossip.member(id));
    let member = member.map(|member| (member.life, member.metadata));
    let known = beating.into_iter().chain(member).map(|(life, metadata)| {
        let load = metadata.and_then(|metadata| metadata.load);
        Vital {
            is_gone: matches!(life, Life::Dead | Life::Left),
            load: load.unwrap_or_default(),
        }
    });
    known.reduce(|one, other| Vital {
        is_gone: one.is_gone || other.is_gone,
        load: one.load.max(other.load),
    })
}

/// How often the front door is told, whether something has changed or not.
const EVERY: Duration = Duration::from_secs(1);
