//! The script and the ledger do the same: batches drawn at random, at times drawn at random.

use std::sync::Arc;
use std::time::Duration;

use watertight_guard::throttle::Algorithm;
use watertight_guard::throttle::lease::{
    Answer, Batch, Claim, Ledger, Part, Store as _, Terms, Undo, Want,
};
use watertight_stores::Redis;

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
    assert_eq!(difference(&[], 3_000).await, None);
}

#[tokio::test]
async fn a_script_that_differs_is_found() {
    let bugs = [
        // What is out drains.
        ("math.max(left, out(account) * account[1])", "left"),
        // What goes back goes back twice.
        (
            "give_back(account, back * unit)",
            "give_back(account, 2 * back * unit)",
        ),
        // What drained is undone as well.
        ("least - (now - at) * terms.gain", "least"),
        // What went back goes back again.
        (
            "account[4] - parts, (account[8] + parts) % ROUND",
            "account[4] - parts, account[8]",
        ),
        // A grant is undone that the key has forgotten.
        ("at < account[7] or ", ""),
        // A batch that comes late counts.
        ("if number <= last then", "if false then"),
        // A lease of a window outlives it.
        (
            "return math.min(lease, rest - up(rest, MARGIN))",
            "return lease",
        ),
        // A claim is charged as far as there is something.
        (
            "is_granted and (lack == 0 or ARGV[at + 2] == '0')",
            "is_granted",
        ),
        // A claim that may do without some of it is refused.
        ("(lack == 0 or ARGV[at + 2] == '0')", "lack == 0"),
        // What a claim holds of a lease is not out.
        (
            "if not want.exact then put_out(account, terms, 0, units) end",
            "",
        ),
    ];
    for bug in bugs {
        assert!(
            difference(&[bug], 600).await.is_some(),
            "{bug:?} goes unseen"
        );
    }
}

/// Where the script with these changes and the ledger part, within so many batches.
async fn difference(bugs: &[(&str, &str)], rounds: u64) -> Option<String> {
    let server = Server::start().await;
    let store = stopped(&server, bugs);
    let (mut ledger, mut draws) = (Ledger::default(), Draws(7));
    let mut counted = Vec::new();
    let mut now = 1_800_000_000_000_000_u64;
    for round in 0..rounds {
        now += match draws.below(10) {
            0 => draws.below(2_000_000),
            1 => 0,
            _ => draws.below(60_000),
        };
        // Now and then one comes late.
        let number = if draws.below(20) == 0 { 1 } else { round + 1 };
        let batch = Arc::new(drawn(&mut draws, number, &counted));
        let clock = now.to_string();
        server.command(&["SET", "clock", &clock]).await.unwrap();
        let ours = ledger.trade(now, &batch);
        let theirs = store.trade(batch.clone()).await;
        let is_alike = match (&ours, &theirs) {
            (Some(ours), Ok(theirs)) => ours == theirs,
            (None, Err(failure)) => failure.0.contains("later batch"),
            _ => false,
        };
        if let Some(answer) = &ours {
            remember(&mut counted, &batch, answer);
        }
        if !is_alike {
            return Some(format!("{round} at {now}: {batch:?}: {ours:?}, {theirs:?}"));
        }
    }
    None
}

/// A store whose clock is ours, and whose keys go by that alone.
fn stopped(server: &Server, bugs: &[(&str, &str)]) -> Redis {
    let changes = [
        ("redis.call('TIME')", "{ redis.call('GET', 'clock') }"),
        ("clock[1] * 1000000 + clock[2]", "tonumber(clock[1])"),
        ("'PX', text(div(keep, 1000) + 1)", "'PX', '600000'"),
    ];
    server.store(server.port).with_script(|script| {
        let mut script = script.to_owned();
        for (from, to) in changes.iter().chain(bugs) {
            assert!(script.contains(from), "{from}");
            script = script.replace(from, to);
        }
        script
    })
}

/// What may be undone later: what was counted when it was granted.
fn remember(counted: &mut Vec<(Arc<str>, Undo)>, batch: &Batch, answer: &Answer) {
    for (want, grant) in batch.wants.iter().zip(&answer.grants) {
        let undo = Undo {
            units: grant.units,
            at_us: answer.at_us,
            mark: grant.mark,
        };
        if want.is_exact && undo.units > 0 {
            counted.push((want.name.clone(), undo));
        }
    }
    let old = counted.len().saturating_sub(40);
    counted.drain(..old);
}

fn drawn(draws: &mut Draws, number: u64, counted: &[(Arc<str>, Undo)]) -> Batch {
    let limits = [
        (Algorithm::TokenBucket { burst: 50 }, 30, SECOND),
        (Algorithm::TokenBucket { burst: 7 }, 3_000_000, SECOND),
        // The largest numbers: a year, and parts that do not come out even.
        (
            Algorithm::TokenBucket { burst: 99_999_989 },
            99_999_989,
            YEAR,
        ),
        (Algorithm::LeakyBucket, 40, SECOND),
        (Algorithm::FixedWindow, 60, SECOND),
        (Algorithm::SlidingBuckets, 60, SECOND),
        (Algorithm::SlidingLog, 30, SECOND),
    ];
    let mut wants = Vec::new();
    for _ in 0..1 + draws.below(4) {
        let at = usize::try_from(draws.below(limits.len() as u64)).unwrap();
        let (algorithm, limit, period) = limits[at];
        let is_exact = matches!(at, 3 | 6) || draws.below(4) == 0;
        let scale = if at == 2 { 1_000_000 } else { 1 };
        let (need, each) = (draws.below(30), 1 + draws.below(3));
        let name = Arc::from(format!("key-{at}-{}", draws.below(2)));
        let known = counted.iter().filter(|(other, _)| *other == name);
        let known: Vec<_> = known.map(|(_, undo)| *undo).collect();
        let undo = match draws.below(2) {
            0 if !known.is_empty() => {
                known[usize::try_from(draws.below(known.len() as u64)).unwrap()]
            }
            _ => Undo::default(),
        };
        wants.push(Want {
            name,
            undo,
            terms: Terms::new(&quota(algorithm, limit, period)),
            is_exact,
            need: need * each * scale,
            each,
            extra: draws.below(40) * scale,
            have: if is_exact { 0 } else { draws.below(20) },
            back: if is_exact { 0 } else { draws.below(20) },
            spent: draws.below(60).saturating_sub(50),
        });
    }
    let claims = (0..draws.below(3))
        .map(|_| claimed(draws, &wants))
        .collect();
    Batch {
        node: draws.below(3),
        number,
        hold: Duration::from_millis(50),
        lease: SECOND,
        wants,
        claims,
    }
}

/// What is claimed of some of the keys of a batch.
fn claimed(draws: &mut Draws, wants: &[Want]) -> Claim {
    let mut parts = Vec::<Part>::new();
    for (at, want) in wants.iter().enumerate() {
        let is_other = |part: &Part| wants[part.want].name != want.name;
        if draws.below(3) > 0 && parts.iter().all(is_other) {
            parts.push(Part {
                want: at,
                units: draws.below(8),
                binds: draws.below(4) > 0,
            });
        }
    }
    Claim { parts }
}

const YEAR: Duration = Duration::from_secs(365 * 86_400);
