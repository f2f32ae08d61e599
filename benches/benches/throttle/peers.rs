//! Decisions for each second of CPU, beside others who decide the same.

use std::{collections::HashMap, hint::black_box};

use limitador::{
    RateLimiter,
    limit::{Context, Limit, Namespace},
};
use watertight_benches::{compare_measured, cpu_ns, is_for_figures};

use super::envoy;

const KEYS: usize = 10_000;

/// limitador, asked for one of 10,000 users by a context that is at hand already.
struct Limitador {
    limiter: RateLimiter,
    namespace: Namespace,
    contexts: Vec<Context<'static>>,
}

impl Limitador {
    fn new() -> Self {
        let limiter = RateLimiter::new(KEYS as u64 * 2);
        let user = vec!["user".try_into().unwrap()];
        let no_condition = Vec::<limitador::limit::Predicate>::new();
        limiter.add_limit(Limit::new("bench", 1_000_000_000, 60, no_condition, user));
        let context = |user: usize| {
            let values = HashMap::from([("user".to_owned(), user.to_string())]);
            Context::from(values)
        };
        Self {
            limiter,
            namespace: "bench".into(),
            contexts: (0..KEYS).map(context).collect(),
        }
    }

    fn ask(&self, count: u32) -> f64 {
        let start = cpu_ns();
        let mut random = 1_usize;
        for _ in 0..count {
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let context = &self.contexts[(random >> 33) % KEYS];
            let answer = self
                .limiter
                .check_rate_limited_and_update(&self.namespace, context, 1);
            assert!(!black_box(answer).unwrap().limited);
        }
        cpu_ns() - start
    }
}

/// Prints who decides how often for a second of CPU, the best first. Ours takes so many nanoseconds.
pub(super) fn measure(ours: f64) {
    let limitador = Limitador::new();
    let (rounds, count) = if is_for_figures() {
        (15, 20_000)
    } else {
        (1, 10)
    };
    let ask: Box<dyn FnMut(u32) -> f64> = Box::new(|count| limitador.ask(count));
    let cost = compare_measured(
        "limitador, 10,000 users",
        rounds,
        count,
        &mut [("limitador 0.14, in memory", ask)],
    );
    let mut peers = vec![("ours", ours), ("limitador 0.14, in memory", cost[0])];
    if is_for_figures() {
        match envoy::filter_ns() {
            Ok(cost) => peers.push(("Envoy, local_ratelimit by descriptor", cost)),
            Err(why) => println!("\nEnvoy is not among the peers: {why}"),
        }
        peers.sort_by(|one, other| one.1.total_cmp(&other.1));
        println!("\ndecisions for each second of CPU, 10,000 keys; the first wins");
        for (name, cost) in peers {
            println!("{name:44} {:12.0}   ({cost:.0} ns each)", 1e9 / cost);
        }
    }
}
