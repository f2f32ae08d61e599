//! What the other monitors think: each is asked whom it misses, as often as nodes beat.
//!
//! One that does not answer agrees to nothing, so a monitor that is cut off from the others buries
//! nobody.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use watertight_base::NodeId;
use watertight_cluster::Beats;
use watertight_plan::{Heartbeat, Secret};

use crate::{
    client::{Access, Client},
    node::NodeError,
};

/// Begins to ask, on the runtime that this is called on.
///
/// # Errors
/// [`NodeError`] when a monitor cannot be asked whatever it answers.
pub(super) fn ask(
    beats: &Beats,
    heartbeat: &Heartbeat,
    key: Option<&Secret>,
) -> Result<(), NodeError> {
    for (place, monitor) in heartbeat.monitors.iter().enumerate() {
        let client = Client::new(&Access {
            node: Some(format!("http://{}", monitor.authority())),
            token: key.map(|key| String::from_utf8_lossy(key.expose()).into_owned()),
            ..Access::default()
        });
        let client = client.map_err(|error| NodeError::Heartbeat(error.to_string()))?;
        // Our own opinion has the place before.
        let asking = ask_one(beats.clone(), place + 1, client, heartbeat.monitor.interval);
        tokio::spawn(asking);
    }
    Ok(())
}

async fn ask_one(beats: Beats, monitor: usize, client: Client, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_heard = true;
    loop {
        ticks.tick().await;
        let asked = timeout(every * 2, client.get::<Vec<String>>("/v1/missed")).await;
        let asked = asked.map_err(|_| "it took too long".to_owned());
        let asked = asked.and_then(|missed| missed.map_err(|error| error.to_string()));
        let is_heard = asked.is_ok();
        match asked {
            Ok(missed) => {
                let missed = missed.iter().filter_map(|id| id.parse::<NodeId>().ok());
                beats.on_opinion(monitor, missed.collect());
                if !was_heard {
                    tracing::info!(monitor = client.node(), "another monitor is heard again");
                }
            }
            Err(why) if was_heard => tracing::warn!(
                monitor = client.node(),
                why,
                "another monitor does not say whom it misses"
            ),
            Err(_) => {}
        }
        was_heard = is_heard;
    }
}
