//! Upstreams that are not called, of services and of pools of connections, as samples of the alert
//! `breaker-open`. Admission does not know them, the front door does.

use watertight_gateway::{Gateway, UpstreamBreakerView};
use watertight_guard::alert::{Key, Kind, Sample};

/// Upstreams whose breakers refuse.
pub(super) fn samples(gateway: &Gateway) -> Vec<Sample> {
    let mut samples = Vec::new();
    for service in gateway.services() {
        let id = &service.service.id;
        let key = || Key::new(Kind::BreakerOpen).with("service", id);
        for upstream in &service.upstreams {
            let who = (upstream.address.as_str(), id.to_string());
            let fails = "does not answer";
            samples.extend(sample(key(), who, fails, &upstream.breaker));
        }
    }
    for pool in gateway.tcp() {
        let key = || Key::new(Kind::BreakerOpen).with("pool", &pool.pool);
        for upstream in &pool.upstreams {
            let who = (upstream.address.as_str(), format!("pool {}", pool.pool));
            let fails = "takes no connections";
            samples.extend(sample(key(), who, fails, &upstream.breaker));
        }
    }
    samples
}

/// What is to be told of the upstream at `address` of somebody, if its breaker refuses.
fn sample(
    key: Key,
    (address, of): (&str, String),
    fails: &str,
    breaker: &UpstreamBreakerView,
) -> Option<Sample> {
    let why = || {
        let opening = breaker.opening.as_ref();
        opening.map_or_else(String::new, |opening| format!(": {}", opening.why()))
    };
    breaker.is_refusing().then(|| Sample {
        key: key.with("upstream", address),
        value: 1.0,
        fires: 1.0,
        clears: 1.0,
        says: match breaker.forced {
            Some(forced) => format!("{address} of {of} is not called: {}", forced.says()),
            None => format!("{address} of {of} {fails}, and is not called{}", why()),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::{path::Path, sync::Arc};

    use watertight_layers::{Clock, Order};

    use super::*;
    use crate::config;

    const SHOP: &str = r#"
[node]
id = "a"
[listen]
traffic.bind = "127.0.0.1:0"
admin.bind = "127.0.0.1:0"
[services.checkout]
tier = 1
routes = ["/cart"]
upstreams = ["http://127.0.0.1:9"]
"#;

    const CACHE: &str = r#"
[services.worker]
tier = 3
uses = ["cache"]
[pools.cache]
kind = "tcp"
upstreams = ["127.0.0.1:9"]
capacity = 4
compartments.all = { services = ["worker"], seats = 4, binds = { worker = "127.0.0.1:0" } }
"#;

    fn alerted(config: &str, order: Option<Order>) -> Vec<String> {
        let loaded = config::parse("shop", config, Path::new(""), &|_| None).unwrap();
        let gateway = Gateway::start(Arc::new(loaded.plan), Clock::start()).unwrap();
        if let Some(order) = order {
            let checkout = "checkout".parse().unwrap();
            gateway.admission().order_breaker(&checkout, order).unwrap();
        }
        let samples = samples(&gateway).into_iter();
        samples.map(|sample| sample.says).collect()
    }

    #[test]
    fn an_upstream_that_somebody_forced_open_is_told_of_in_the_same_words_as_its_service() {
        let ordered = alerted(SHOP, Some(Order::ForcedOpen));
        let words = "http://127.0.0.1:9 of checkout is not called: forced open by";
        assert_eq!(ordered, [format!("{words} an operator")]);
        let forced = format!("{SHOP}[services.checkout.breaker]\nstate = \"forced-open\"\n");
        let configured = alerted(&forced, None);
        assert_eq!(configured, [format!("{words} the configuration")]);
        assert!(alerted(SHOP, None).is_empty());
    }

    #[test]
    fn an_upstream_of_a_pool_of_connections_is_told_of_like_one_of_a_service() {
        let cache = format!("{SHOP}{CACHE}");
        assert!(alerted(&cache, None).is_empty());
        let forced = alerted(&format!("{cache}breaker.state = \"forced-open\"\n"), None);
        let words = "127.0.0.1:9 of pool cache is not called: forced open by the configuration";
        assert_eq!(forced, [words]);
    }
}
