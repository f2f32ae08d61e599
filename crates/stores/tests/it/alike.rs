//! The script and the ledger do the same: batches drawn at random, at times drawn at random.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use watertight_guard::throttle::Algorithm;
use watertight_guard::throttle::lease::{Batch, Ledger, Store as _, Terms, Want};

use crate::gateways::{SECOND, quota};
use crate::server::Server;

/// A small generator of its own: the run is the same each time.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[tokio::test]
async fn the_script_trades_as_the_ledger_does() {
    let server = Server::start().await;
    // The script's clock is ours, and keys go by that alone.
    let changes = [
        ("redis.call('TIME')", "{ redis.call('GET', 'clock') }"),
        ("clock[1] * 1000000 + clock[2]", "tonumber(clock[1])"),
        ("'PX', text(div(keep, 1000) + 1)", "'PX', '600000'"),
    ];
    let store = server.store(server.port).with_script(|script| {
        changes
            .iter()
            .fold(script.to_owned(), |script, (from, to)| {
                assert!(script.contains(from), "{from}");
                script.replace(from, to)
            })
    });
    let algorithms = [
        (Algorithm::TokenBucket { burst: 50 }, 30),
        (Algorithm::TokenBucket { burst: 7 }, 3_000_000),
        (Algorithm::LeakyBucket, 40),
        (Algorithm::FixedWindow, 60),
        (Algorithm::SlidingBuckets, 60),
        (Algorithm::SlidingLog, 30),
    ];
    let quotas = algorithms.map(|(algorithm, limit)| quota(algorithm, limit, SECOND));
    let other = quotas.map(|quota| quota.divided(3));
    let (mut ledger, mut draws) = (Ledger::default(), Draws(7));
    let numbers = AtomicU64::new(1);
    let mut now = 1_800_000_000_000_000_u64;
    for round in 0..3_000 {
        now += match draws.below(10) {
            0 => draws.below(2_000_000),
            1 => 0,
            _ => draws.below(60_000),
        };
        if draws.below(500) == 0 {
            // Somebody set the clock back.
            now -= 3_000_000;
        }
        let many = 1 + draws.below(4);
        let wants: Vec<_> = (0..many)
            .map(|_| {
                let at = usize::try_from(draws.below(6)).unwrap();
                let is_exact = matches!(at, 2 | 5) || draws.below(4) == 0;
                let (need, each) = (draws.below(30), 1 + draws.below(3));
                Want {
                    name: format!("key-{}", draws.below(2)).into(),
                    terms: Terms::new(if draws.below(50) == 0 {
                        &other[at]
                    } else {
                        &quotas[at]
                    }),
                    is_exact,
                    need: need * each,
                    each,
                    extra: draws.below(40),
                    have: if is_exact { 0 } else { draws.below(20) },
                    back: if is_exact { 0 } else { draws.below(20) },
                    spent: draws.below(60).saturating_sub(50),
                }
            })
            .collect();
        let number = match draws.below(20) {
            0 => 1,
            _ => numbers.fetch_add(1, Ordering::Relaxed),
        };
        let batch = Arc::new(Batch {
            node: draws.below(3),
            number,
            hold: Duration::from_millis(50),
            lease: SECOND,
            wants,
        });
        server_time(&server, now).await;
        let ours = ledger.trade(now, &batch);
        let theirs = store.trade(batch.clone()).await;
        let is_refused = |text: &str| text.contains("later batch");
        match (ours, theirs) {
            (Some(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{round} at {now}: {batch:?}"),
            (None, Err(failure)) if is_refused(&failure.0) => {}
            (ours, theirs) => panic!("{round} at {now}: {batch:?}: {ours:?}, {theirs:?}"),
        }
    }
}

async fn server_time(server: &Server, now: u64) {
    server
        .command(&["SET", "clock", &now.to_string()])
        .await
        .unwrap();
}
