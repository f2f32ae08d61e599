//! One limit of 200 a second that three nodes count together by leases, asked for unevenly. The
//! store dies at 10 s, forgets all, and is back at 20 s.

use std::{sync::Arc, time::Duration};

use watertight_base::Tick;
use watertight_guard::throttle::{
    Algorithm, Quota,
    lease::{
        Answer, Ask, Batch, Leases, Ledger, Settings, Settled, Sharing, Standing, Taken, Verdict,
    },
};

use super::{
    Report,
    load::{self, SECOND},
};
use crate::{Address, Fault, FaultPlan, Network, Node, Outbox, World, plot::Chart};

const LIMIT: u64 = 200;
const LENGTH: Duration = Duration::from_secs(30);
const PARTS: u32 = 60;
const AWAY: std::ops::Range<u64> = 10..20;
/// What each node is asked for, a second.
const ASKED: [u64; 3] = [250, 100, 50];
const STEP: Duration = Duration::from_millis(5);

#[derive(Debug)]
struct Measured {
    all: Vec<Tick>,
    of_each: [Vec<Tick>; 3],
    /// Passed beyond burst + rate × span, in the span in which that was most.
    beyond: f64,
    /// The same until the store died.
    beyond_before: f64,
}

pub(super) fn run(seed: u64) -> Report {
    let measured = measure(seed);
    let sampled = |ticks: &[Tick]| load::per_second(ticks, LENGTH, PARTS);
    let title = "200 a second over three nodes: the store is away from 10 s to 20 s";
    let mut chart = Chart::new(title, 30.0, "s", "/s")
        .size(60, 3)
        .series("all nodes", &sampled(&measured.all));
    for (ticks, asked) in measured.of_each.iter().zip(ASKED) {
        chart = chart.series(&format!("the node asked for {asked}/s"), &sampled(ticks));
    }
    let average = |from, to| load::average(&measured.all, from, to);
    Report::new(seed)
        .chart(&chart)
        .figure("admitted with the store", average(2, AWAY.start), "/s")
        .figure(
            "admitted without it",
            average(AWAY.start + 1, AWAY.end),
            "/s",
        )
        .figure("admitted after that", average(AWAY.end + 2, 30), "/s")
        .figure(
            "beyond the limit with the store",
            measured.beyond_before,
            "",
        )
        .figure("beyond the limit in all", measured.beyond, "")
}

fn measure(seed: u64) -> Measured {
    let quota = load::quota(Algorithm::TokenBucket { burst: LIMIT }, LIMIT, SECOND);
    let mut world = World::new(seed, Network::default());
    let store = world.add(Party::Store(Ledger::default()));
    let gateways =
        ASKED.map(|asked| world.add(Party::Gateway(Box::new(Gateway::new(store, quota, asked)))));
    let crash = Fault::Crash {
        node: store,
        span: Duration::from_secs(AWAY.end - AWAY.start),
    };
    world.follow(FaultPlan::new().at(load::at(AWAY.start), crash));
    let mut of_each = [const { Vec::new() }; 3];
    world.run_for(LENGTH);
    for (gateway, passed) in gateways.iter().zip(&mut of_each) {
        if let Party::Gateway(gateway) = world.node(*gateway) {
            passed.clone_from(&gateway.passed);
        }
    }
    let mut all = of_each.concat();
    all.sort_unstable();
    let before = all.partition_point(|tick| *tick < load::at(AWAY.start));
    Measured {
        beyond: beyond(&all),
        beyond_before: beyond(&all[..before]),
        all,
        of_each,
    }
}

/// How far beyond its burst a bucket of the limit would have been drawn on.
fn beyond(passed: &[Tick]) -> f64 {
    let (mut level, mut most, mut last) = (0.0_f64, 0.0, Tick::ZERO);
    for now in passed {
        level = (level - (*now - last).as_secs_f64() * LIMIT as f64).max(0.0) + 1.0;
        (most, last) = (level.max(most), *now);
    }
    (most - LIMIT as f64).max(0.0)
}

#[derive(Clone, Debug)]
enum Message {
    Batch(Arc<Batch>),
    Answer(Answer),
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    Load,
    Poll(Tick),
}

#[derive(Debug)]
enum Party {
    Gateway(Box<Gateway>),
    Store(Ledger),
}

#[derive(Debug)]
struct Gateway {
    leases: Leases,
    store: Address,
    quota: Quota,
    /// Requests that come in each step, in thousandths, and those that are due.
    per_step: u64,
    due: u64,
    poll_at: Tick,
    passed: Vec<Tick>,
}

impl Node for Party {
    type Message = Message;
    type Timer = Timer;

    fn on_start(&mut self, now: Tick, out: &mut Outbox<Self>) {
        if let Self::Gateway(gateway) = self {
            gateway.leases = Leases::new(out.rng().u64(1..1 << 40), Settings::default());
            out.after(STEP, Timer::Load);
            gateway.go_on(now, Settled::new(), out);
        }
    }

    fn on_message(&mut self, now: Tick, from: Address, message: Message, out: &mut Outbox<Self>) {
        match (self, message) {
            (Self::Gateway(gateway), Message::Answer(answer)) => {
                let mut settled = Settled::new();
                gateway.leases.on_answer(now, &answer, &mut settled);
                gateway.go_on(now, settled, out);
            }
            (Self::Store(ledger), Message::Batch(batch)) => {
                if let Some(answer) = ledger.trade(now.as_nanos() / 1_000, &batch) {
                    out.send(from, Message::Answer(answer));
                }
            }
            (Self::Gateway(_), Message::Batch(_)) | (Self::Store(_), Message::Answer(_)) => {}
        }
    }

    fn on_timer(&mut self, now: Tick, timer: Timer, out: &mut Outbox<Self>) {
        let Self::Gateway(gateway) = self else {
            return;
        };
        match timer {
            Timer::Load => gateway.load(now, out),
            Timer::Poll(at) if at == gateway.poll_at => {
                gateway.poll_at = Tick::MAX;
                gateway.go_on(now, Settled::new(), out);
            }
            Timer::Poll(_) => {}
        }
    }

    fn on_crash(&mut self) {
        if let Self::Store(ledger) = self {
            *ledger = Ledger::default();
        }
    }
}

impl Gateway {
    fn new(store: Address, quota: Quota, asked: u64) -> Self {
        Self {
            leases: Leases::new(0, Settings::default()),
            store,
            quota,
            per_step: asked * crate::chance::nanos(STEP) / 1_000_000,
            due: 0,
            poll_at: Tick::MAX,
            passed: Vec::new(),
        }
    }

    fn load(&mut self, now: Tick, out: &mut Outbox<Party>) {
        out.after(STEP, Timer::Load);
        self.due += self.per_step / 2 + out.rng().u64(..=self.per_step);
        while self.due >= 1_000 {
            self.due -= 1_000;
            let ask = Ask {
                name: "a-tenant",
                limit: "rate",
                quota: &self.quota,
                cost: 1,
                sharing: Sharing::Leased,
                standing: Standing::Named,
                binds: true,
            };
            if let Taken::Now(verdict) = self.leases.take(now, &ask) {
                self.note(now, &verdict);
            }
        }
        self.go_on(now, Settled::new(), out);
    }

    fn go_on(&mut self, now: Tick, mut settled: Settled, out: &mut Outbox<Party>) {
        if let Some(batch) = self.leases.poll(now, &mut settled) {
            out.send(self.store, Message::Batch(batch));
        }
        for (_, verdict) in &settled {
            self.note(now, verdict);
        }
        let wakeup = self.leases.next_wakeup().max(now + Duration::from_nanos(1));
        if wakeup < self.poll_at {
            self.poll_at = wakeup;
            out.at(wakeup, Timer::Poll(wakeup));
        }
    }

    fn note(&mut self, now: Tick, verdict: &Verdict) {
        if verdict.decision.allowed {
            self.passed.push(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_admit_the_limit_and_without_the_store_each_node_keeps_to_its_share() {
        for seed in 1..4 {
            let measured = measure(seed);
            let average = |from, to| load::average(&measured.all, from, to);
            assert!(measured.beyond_before < 1.0, "{}", measured.beyond_before);
            assert!(
                (190.0..=201.0).contains(&average(3, 10)),
                "{}",
                average(3, 10)
            );
            // A third of the limit each; one of the nodes does not want its own.
            assert!(
                (170.0..=184.0).contains(&average(12, 20)),
                "{}",
                average(12, 20)
            );
            assert!(
                (190.0..=201.0).contains(&average(23, 30)),
                "{}",
                average(23, 30)
            );
            // What a restart that forgets all may cost: a burst; and what was used alone.
            let most = (LIMIT + LIMIT * (AWAY.end - AWAY.start)) as f64;
            assert!(measured.beyond <= most, "{}", measured.beyond);
        }
    }
}
