//! A node's part in limits that all nodes count together: over a store, which is an engine.

use std::sync::Arc;

use watertight_guard::throttle::lease::Cluster;
use watertight_layers::Clock;
use watertight_plan::LimitStore;

use crate::node::NodeError;

/// Joins those who count in `store`, with so many places for keys that are not named in the
/// configuration ([`Settings::keys`](watertight_guard::throttle::lease::Settings::keys)). The store need not be there: until it is, the node keeps to
/// its share.
///
/// # Errors
/// [`NodeError::Store`] when the store's settings are none.
#[cfg(feature = "engines")]
pub(crate) fn join(
    store: &LimitStore,
    keys: usize,
    clock: Clock,
) -> Result<Arc<dyn Cluster>, NodeError> {
    use watertight_guard::throttle::lease::Settings;
    use watertight_stores::{Redis, RedisSettings, Shared};

    let password = store.password.as_ref();
    let password = password.map(|password| String::from_utf8_lossy(password.expose()).into_owned());
    let redis = Redis::new(RedisSettings {
        url: store.url.clone(),
        password,
        prefix: store.prefix.clone(),
        timeout: store.timeout,
    });
    let redis = redis.map_err(|error| NodeError::Store(error.to_string()))?;
    let settings = Settings {
        timeout: store.timeout,
        nodes: store.nodes,
        keys,
        ..Settings::default()
    };
    let shared = Shared::start(Arc::new(redis), settings, move || clock.now());
    Ok(Arc::new(shared))
}

/// This binary has no engines.
///
/// # Errors
/// [`NodeError::Store`], always.
#[cfg(not(feature = "engines"))]
pub(crate) fn join(_: &LimitStore, _: usize, _: Clock) -> Result<Arc<dyn Cluster>, NodeError> {
    let why = "this binary was built without `engines`, and so knows no Redis";
    Err(NodeError::Store(why.to_owned()))
}
