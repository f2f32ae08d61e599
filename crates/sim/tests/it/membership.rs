use std::time::{Duration, Instant};
use watertight_base::Tick;
use watertight_heartbeat::{Event, Life, Lifeguard};
use watertight_sim::membership::Cluster;
use watertight_sim::{Fault, FaultPlan, Network};

#[test]
fn try_it() {
    for n in [128, 1000] {
        let t = Instant::now();
        let mut c = Cluster::new(1, n, Network::default(), |_, _| ());
        let ok = c.converge(Tick::ZERO + Duration::from_secs(300));
        let at = c.world.now();
        println!("n {n} converged {ok} at {at:?} cpu {:?}", t.elapsed());
    }
}

#[test]
fn e1() {
    let names = ["swim", "probe", "susp", "buddy", "lifeguard", "guard"];
    let n = 128;
    let mut totals = vec![[0_u64; 5]; 6];
    for (k, total) in totals.iter_mut().enumerate() {
        let t = Instant::now();
        for c in [4_usize, 16, 32] {
            for (d, i) in [
                (2_000_u64, 16_u64),
                (16_400, 1),
                (16_400, 64),
                (16_400, 4_096),
                (32_800, 64),
                (8_200, 256),
            ] {
                let mut cl = Cluster::new(1, n, Network::default(), |_, s| {
                    s.alpha = 5;
                    let on = |x| k == x || k >= 4;
                    s.lifeguard = Lifeguard {
                        probe: on(1),
                        suspicion: on(2),
                        buddy: on(3),
                    };
                    s.pause_guard = k == 5;
                });
                cl.world.run_for(Duration::from_secs(15));
                let sent = |c: &Cluster| {
                    c.up().fold((0, 0), |(a, b), p| {
                        let v = p.membership().unwrap().view(Tick::ZERO).counts;
                        (a + v.sent, b + v.sent_bytes)
                    })
                };
                let before = sent(&cl);
                let mut plan = FaultPlan::new();
                let (mut at, end) = (Duration::from_secs(15), Duration::from_secs(135));
                while at < end {
                    for place in 0..c {
                        plan = plan.at(
                            Tick::ZERO + at,
                            Fault::Block {
                                node: cl.members[place * n / c],
                                span: Duration::from_millis(d),
                            },
                        );
                    }
                    at += Duration::from_millis(d + i);
                }
                cl.world.follow(plan);
                cl.world.run_for(Duration::from_secs(120));
                let after = sent(&cl);
                let sick: Vec<String> = (0..c).map(|p| format!("n{}", p * n / c)).collect();
                for (place, peer) in cl.up().enumerate() {
                    let healthy = !sick.contains(&format!("n{place}"));
                    for s in &peer.sightings {
                        if let Event::Dead { id, .. } = &s.event {
                            if sick.contains(&id.to_string()) {
                                total[2] += 1;
                            } else {
                                total[0] += 1;
                                total[1] += u64::from(healthy);
                            }
                        }
                    }
                }
                total[3] += after.0 - before.0;
                total[4] += after.1 - before.1;
            }
        }
        println!(
            "{:10} fp {:6} fp- {:5} about sick {:7} msgs {} bytes {}  {:?}",
            names[k],
            total[0],
            total[1],
            total[2],
            total[3],
            total[4],
            t.elapsed()
        );
    }
}
