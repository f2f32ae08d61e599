//! Where members are to be found: names are looked up at the start, and again while nobody is known.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use tokio::{net::lookup_host, time::interval};
use watertight_cluster::Handle;
use watertight_plan::Address;

/// How often names are looked up while nobody is known.
const EVERY: Duration = Duration::from_secs(10);

/// Begins to look, on the runtime that this is called on.
pub(super) fn find(handle: &Handle, seeds: Vec<Address>) {
    if !seeds.is_empty() {
        tokio::spawn(look_up(handle.clone(), seeds));
    }
}

async fn look_up(handle: Handle, seeds: Vec<Address>) {
    let mut ticks = interval(EVERY);
    loop {
        ticks.tick().await;
        if handle.view().present > 1 {
            continue;
        }
        let mut found: BTreeSet<SocketAddr> = BTreeSet::new();
        for seed in &seeds {
            match lookup_host((seed.host.as_str(), seed.port)).await {
                Ok(addresses) => found.extend(addresses),
                Err(error) => tracing::warn!(%seed, %error, "a seed cannot be looked up"),
            }
        }
        if !found.is_empty() {
            handle.set_seeds(found.into_iter().collect());
        }
    }
}
