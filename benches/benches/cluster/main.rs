//! Three gateways, one redis-server, a thousand tenants: how often the store is asked, what passes
//! beyond the limits, what it costs. The law that is held to figures here is tested in `sim`.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and stops where it cannot"
)]

mod load;
mod server;

use std::{sync::Arc, time::Duration};

use watertight_base::{Rate, Tick};
use watertight_benches::{Case, compare, is_for_figures};
use watertight_guard::throttle::{
    Algorithm, Quota,
    lease::{Ask, Cluster as _, Leases, Ledger, Settings, Sharing, Standing, Taken},
};
use watertight_stores::Shared;

use crate::{load::Load, server::Server};

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let span = Duration::from_secs(if is_for_figures() { 12 } else { 1 });
        println!("\nthree gateways, 1,000 tenants (Zipf) with 1,000/s each, 20,000 decisions/s");
        for sharing in [Sharing::Leased, Sharing::Exact] {
            steady(sharing, span).await;
        }
        lone(span).await;
        restart(span).await;
    });
    compare("one decision, its key leased", &mut [leased()]);
}

/// Bursts of 1,000 and 1,000 a second.
fn quota() -> Quota {
    let rate = Rate::new(1_000, Duration::from_secs(1)).unwrap();
    Quota::new(Algorithm::TokenBucket { burst: 1_000 }, rate).unwrap()
}

fn gateways(server: &Server) -> Vec<Arc<Shared>> {
    let settings = Settings {
        nodes: 3,
        ..Settings::default()
    };
    let start = |_| Arc::new(Shared::start(server.store(), settings, load::now));
    (0..3).map(start).collect()
}

async fn steady(sharing: Sharing, span: Duration) {
    let server = Server::start(None).await;
    let gateways = gateways(&server);
    let cpu = server.cpu_seconds().await;
    let run = Load::zipf(1_000, 20_000, sharing)
        .run(&gateways, span)
        .await;
    let cpu = server.cpu_seconds().await - cpu;
    let count = |of: fn(&watertight_guard::throttle::lease::View) -> u64| -> u64 {
        gateways.iter().map(|shared| of(&shared.view())).sum()
    };
    let trips = count(|view| view.trips);
    println!("\n{}", sharing.label());
    println!("  decisions                   {:>9}", run.decisions);
    println!("  round trips                 {trips:>9}");
    println!(
        "  decisions a trip            {:>9.1}   (target, leased: 50 and more)",
        run.decisions as f64 / trips as f64
    );
    println!(
        "  passed beyond the limits    {:>9}   (target, leased: 0)",
        run.beyond(&quota())
    );
    println!(
        "  decided alone, overflowed   {:>9} {:>9}",
        count(|view| view.alone),
        count(|view| view.tables.iter().map(|table| table.overflowed).sum())
    );
    println!(
        "  waited for the store        {:>8.1}%",
        100.0 * count(|view| view.asked) as f64 / run.decisions as f64
    );
    for (who, waits) in [
        ("within their limit", &run.waits_us),
        ("beyond it", &run.waits_beyond_us),
    ] {
        let ms = |percentile: usize| waits[(waits.len() - 1) * percentile / 100] as f64 / 1_000.0;
        let (p50, p90, p99) = (ms(50), ms(90), ms(99));
        println!(
            "  added latency, p50 p90 p99  {p50:>9.3} {p90:>9.3} {p99:>9.3} ms, tenants {who}"
        );
    }
    println!(
        "  CPU of Redis                {:>9.2} µs a decision",
        cpu * 1e6 / run.decisions as f64
    );
}

/// A tenant that asks for three times its limit, over all gateways and over one of them.
async fn lone(span: Duration) {
    println!("\na tenant alone, asking for 3,000/s of 1,000/s");
    for gateways_used in [3, 1] {
        let server = Server::start(None).await;
        let gateways = gateways(&server);
        let load = Load::zipf(1, 3_000, Sharing::Leased);
        let run = load.run(&gateways[..gateways_used], span).await;
        let (passed, seconds) = (run.passed_after_burst(), span.as_secs_f64() - 1.0);
        println!(
            "  over {gateways_used}: {:.1} % of the limit after the burst (target: 95 and more), {} beyond it",
            passed as f64 / seconds / 10.0,
            run.beyond(&quota())
        );
    }
}

/// The store is killed half way, and comes back empty.
async fn restart(span: Duration) {
    let server = Server::start(None).await;
    let gateways = gateways(&server);
    let load = Load::zipf(1_000, 20_000, Sharing::Leased);
    let mut run = load.run(&gateways, span / 3).await;
    let server = server.restart().await;
    run.add(load.run(&gateways, span / 3 * 2).await);
    println!("\nthe same load, and the store restarted empty");
    println!(
        "  on lease beyond one limit: {} (target: at most 1,000); decided alone: {}",
        run.beyond(&quota()),
        run.alone()
    );
    drop(server);
}

fn leased() -> Case<'static> {
    let (mut leases, mut ledger) = (Leases::new(1, Settings::default()), Ledger::default());
    let rate = Rate::new(1_000_000_000, Duration::from_secs(1)).unwrap();
    let quota = Quota::new(
        Algorithm::TokenBucket {
            burst: 1_000_000_000,
        },
        rate,
    )
    .unwrap();
    let (mut now, mut settled) = (Tick::from_nanos(1), Vec::new());
    let run = move |operations| {
        for _ in 0..operations {
            now = now + Duration::from_nanos(200);
            let ask = Ask {
                name: "tenant-1/rate",
                limit: "rate",
                quota: &quota,
                cost: 1,
                standing: Standing::Named,
                sharing: Sharing::Leased,
                binds: true,
            };
            let taken = leases.take(now, &ask);
            if matches!(taken, Taken::Ask(_)) || leases.next_wakeup() <= now {
                if let Some(batch) = leases.poll(now, &mut settled) {
                    let answer = ledger.trade(now.as_nanos() / 1_000 + 1, &batch).unwrap();
                    leases.on_answer(now, &answer, &mut settled);
                }
                settled.clear();
            }
        }
    };
    ("Leases::take, behind no lock", Box::new(run))
}
