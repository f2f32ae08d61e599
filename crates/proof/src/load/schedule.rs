//! When each request is to be sent: Poisson arrivals, fixed by the seed before the first one goes out.
//!
//! Every stream draws from a generator of its own, seeded with the seed and with who it is, not with its place in the
//! list. So a tenant sends the same requests at the same times in every phase, whatever the others do.

use super::{RATE_MAX_PER_S, Stream, whole_us};
use crate::Class;
use std::time::Duration;

/// One request that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// When, from the start.
    pub at: Duration,
    /// Which stream, by its place in the list.
    pub stream: usize,
}

/// All requests of the streams within the length, by their time, in whole microseconds. Two streams of the same tenant, service and path
/// would send at the same times.
#[must_use]
pub fn schedule(streams: &[Stream], seed: u64, length: Duration) -> Vec<Arrival> {
    let mut arrivals: Vec<_> = streams
        .iter()
        .enumerate()
        .flat_map(|(number, stream)| {
            times(stream, seed, length).map(move |at| Arrival { at, stream: number })
        })
        .collect();
    arrivals.sort_unstable();
    arrivals
}

fn times(stream: &Stream, seed: u64, length: Duration) -> impl Iterator<Item = Duration> {
    let mut random = fastrand::Rng::with_seed(seed ^ name_hash(stream));
    let (rate_per_s, length_s) = (stream.rate_per_s.min(RATE_MAX_PER_S), length.as_secs_f64());
    let mut at_s = 0.0;
    let next = move || {
        at_s += -(1.0 - random.f64()).ln() / rate_per_s;
        // Not for a rate of zero either, whose gaps are no numbers or endless.
        (at_s < length_s).then(|| whole_us(Duration::from_secs_f64(at_s)))
    };
    std::iter::from_fn(next)
}

/// FNV-1a over the names of the stream.
fn name_hash(stream: &Stream) -> u64 {
    // Who floods besides its ordinary requests sends them at times of their own.
    let class = if stream.class == Class::Noisy {
        "noisy"
    } else {
        ""
    };
    [stream.tenant.as_str(), &stream.service, &stream.path, class]
        .into_iter()
        .flat_map(|name| name.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(tenant: &str, rate_per_s: f64) -> Stream {
        Stream {
            tenant: tenant.to_owned(),
            class: Class::Standard,
            service: "checkout".to_owned(),
            tier: 1,
            path: "/checkout".to_owned(),
            rate_per_s,
            body_bytes: 0,
        }
    }

    #[test]
    fn nothing_is_sent_at_a_rate_of_zero() {
        assert_eq!(
            schedule(&[stream("acme", 0.0)], 1, Duration::from_secs(10)),
            []
        );
    }

    proptest! {
        #[test]
        fn a_seed_fixes_the_schedule(seed: u64) {
            let streams = [stream("acme", 40.0), stream("noisy", 100.0)];
            let length = Duration::from_secs(2);
            prop_assert_eq!(schedule(&streams, seed, length), schedule(&streams, seed, length));
        }

        #[test]
        fn nobody_else_changes_when_a_tenant_sends(seed: u64, rate_per_s in 0.0..500.0_f64) {
            let length = Duration::from_secs(2);
            let alone = schedule(&[stream("acme", 40.0)], seed, length);
            let beside = schedule(&[stream("noisy", rate_per_s), stream("acme", 40.0)], seed, length);
            let acme: Vec<_> = beside.iter().filter(|arrival| arrival.stream == 1).map(|a| a.at).collect();
            prop_assert_eq!(alone.iter().map(|a| a.at).collect::<Vec<_>>(), acme);
        }

        #[test]
        fn arrivals_are_ordered_and_within_the_length(seed: u64, length_ms in 0..3_000_u64) {
            let length = Duration::from_millis(length_ms);
            let arrivals = schedule(&[stream("acme", 90.0), stream("globex", 7.0)], seed, length);
            prop_assert!(arrivals.is_sorted());
            prop_assert!(arrivals.iter().all(|arrival| arrival.at < length));
        }

        #[test]
        fn the_mean_is_the_rate(seed: u64) {
            let count = schedule(&[stream("acme", 1_000.0)], seed, Duration::from_secs(10)).len();
            // Ten standard deviations of a Poisson count of 10,000.
            prop_assert!((9_000..=11_000).contains(&count), "{}", count);
        }
    }
}
