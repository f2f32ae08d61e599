//! A throttle for each target, and a bound on how many.
//!
//! A target is a host and a port, as the request names them. When the table is full, targets that
//! were not asked for a whole window make room, which forgets nothing; if there is none, those that
//! are new share one throttle. The search for idle ones goes through the whole table, so it is made
//! at most once in a twentieth of a window, whatever the traffic.

use std::{collections::HashMap, time::Duration};

use http::{header, request::Parts};
use watertight_base::Tick;

use super::{AdaptiveThrottle, ThrottleSettings};

/// The throttles of a client.
#[derive(Debug)]
pub(super) struct Targets {
    settings: ThrottleSettings,
    fresh: AdaptiveThrottle,
    own: HashMap<String, AdaptiveThrottle>,
    most: usize,
    shared: AdaptiveThrottle,
    next_search: Tick,
}

impl Targets {
    /// At most `most` targets with a throttle like `fresh` of their own.
    pub(super) fn new(settings: ThrottleSettings, fresh: AdaptiveThrottle, most: usize) -> Self {
        Self {
            settings,
            own: HashMap::new(),
            most,
            shared: fresh.clone(),
            fresh,
            next_search: Tick::ZERO,
        }
    }

    pub(super) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// The throttle of `target`, and whether it is the shared one.
    pub(super) fn throttle(&mut self, target: &str, now: Tick) -> (&mut AdaptiveThrottle, bool) {
        if !self.own.contains_key(target) {
            if self.own.len() >= self.most {
                self.make_room(now);
            }
            if self.own.len() >= self.most {
                return (&mut self.shared, true);
            }
            self.own.insert(target.to_owned(), self.fresh.clone());
        }
        match self.own.get_mut(target) {
            Some(throttle) => (throttle, false),
            None => (&mut self.shared, true),
        }
    }

    fn make_room(&mut self, now: Tick) {
        if now < self.next_search {
            return;
        }
        self.own.retain(|_, throttle| !throttle.is_idle(now));
        let pause = (self.settings.window / 20).max(Duration::from_millis(1));
        self.next_search = now + pause;
    }
}

/// Host and port, by the request's target or its `Host`; empty if neither says.
pub(super) fn target(head: &Parts) -> String {
    let host = match head.uri.authority() {
        // Credentials are no part of a target, and do not belong in messages.
        Some(authority) => authority.as_str().rsplit('@').next(),
        None => head
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok()),
    };
    host.unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn targets(most: usize) -> Targets {
        let settings = ThrottleSettings::default();
        Targets::new(settings, AdaptiveThrottle::new(settings).unwrap(), most)
    }

    #[test]
    fn a_bad_target_does_not_throttle_its_neighbour() {
        let mut targets = targets(2);
        for _ in 0..100 {
            let (throttle, shared) = targets.throttle("bad", Tick::ZERO);
            throttle.answered(Tick::ZERO, false);
            assert!(!shared);
        }
        let probability = |targets: &mut Targets, target| {
            targets
                .throttle(target, Tick::ZERO)
                .0
                .probability(Tick::ZERO)
        };
        assert!(probability(&mut targets, "bad") > 0.9);
        assert_eq!(probability(&mut targets, "good"), 0.0);
    }

    #[test]
    fn invented_targets_cost_no_memory_and_push_nobody_out() {
        let mut targets = targets(2);
        for number in 0..1_000 {
            let (throttle, shared) = targets.throttle(&number.to_string(), Tick::ZERO);
            throttle.answered(Tick::ZERO, false);
            assert_eq!(shared, number >= 2);
        }
        assert_eq!(targets.own.len(), 2);
        assert!(!targets.throttle("0", Tick::ZERO).1);
    }

    #[test]
    fn idle_targets_make_room() {
        let mut targets = targets(2);
        for target in ["a", "b", "c"] {
            let (throttle, _) = targets.throttle(target, Tick::ZERO);
            throttle.answered(Tick::ZERO, true);
        }
        let later = Tick::ZERO + Duration::from_secs(120);
        assert!(!targets.throttle("c", later).1);
    }

    #[test]
    fn a_search_for_idle_targets_that_found_none_is_not_made_again_at_once() {
        let mut targets = targets(1);
        targets
            .throttle("a", Tick::ZERO)
            .0
            .answered(Tick::ZERO, true);
        let at = |seconds| Tick::ZERO + Duration::from_secs(seconds);
        assert!(targets.throttle("b", at(119)).1, "a is not idle yet");
        assert!(targets.throttle("b", at(124)).1, "a is, but nobody looks");
        assert!(!targets.throttle("b", at(125)).1);
    }

    #[test]
    fn a_target_is_host_and_port_without_credentials() {
        let of = |uri: &str, host: Option<&str>| {
            let mut request = Request::get(uri);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            target(&request.body(()).unwrap().into_parts().0)
        };
        assert_eq!(
            of("http://User:pass@Shop.example:80/", None),
            "shop.example:80"
        );
        assert_eq!(of("http://shop.example/", Some("other")), "shop.example");
        assert_eq!(of("/cart", Some("Shop.Example")), "shop.example");
        assert_eq!(of("/cart", None), "");
    }
}
