//! How busy the node says it is: as full as the fullest of its pools.
//!
//! Others are told when that has changed by a tenth, or by less after ten seconds: each change is news
//! to a whole cluster.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use super::metadata;
use crate::node::Node;

/// Begins to tell, on the runtime that this is called on.
pub(super) fn tell(node: &Arc<Node>) {
    tokio::spawn(keep_telling(Arc::downgrade(node)));
}

async fn keep_telling(node: Weak<Node>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut told, mut since) = (0, 0);
    loop {
        ticks.tick().await;
        let Some(node) = node.upgrade() else {
            return;
        };
        since += 1;
        let load = load(&node);
        let is_news = load.abs_diff(told) >= STEP || (load != told && since >= PATIENCE);
        if is_news && node.heartbeat().say(&metadata(&node.plan(), load)).is_ok() {
            (told, since) = (load, 0);
        }
    }
}

/// How full the fullest pool is, in percent.
fn load(node: &Node) -> u16 {
    let pools = node.gateway().admission().pools();
    let full = pools.iter().map(|pool| {
        let (held, seats) = (u64::from(pool.in_use), u64::from(pool.capacity));
        u16::try_from(held * 100 / seats.max(1)).unwrap_or(u16::MAX)
    });
    full.max().unwrap_or(0)
}

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);
/// A change that is told at once, in points of a hundred.
const STEP: u16 = 10;
/// Looks after which a smaller one is told.
const PATIENCE: u32 = 10;
