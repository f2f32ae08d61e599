//! One run: a set-up, a case, and what became of everybody's requests.
//!
//! The floods begin first and end last; what is counted lies between. The victims send the same
//! requests at the same times in every run of a round, and each takes as long at the backend, so
//! that a run differs from the calm one by what it is about and not by chance.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use watertight_proof::{
    Class,
    load::{self, Load, Measured, Stream},
};

use crate::{
    backend::Backend,
    case::{Busy, Case, Role, TENANTS, VICTIM_PATH, VICTIM_PER_S, VICTIMS},
    closed::Closed,
    set_up::Standing,
    slots::Manner,
};

/// Everything that was measured; all figures come from these.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Run {
    pub(crate) set_up: String,
    pub(crate) case: String,
    pub(crate) round: u64,
    pub(crate) window_s: f64,
    /// CPU time of the proxies; none where there are none.
    pub(crate) cpu_ns: Option<f64>,
    /// How late the generator was at most with a victim's request, in milliseconds.
    pub(crate) late_ms: f64,
    pub(crate) tenants: Vec<Tenant>,
    /// The time of each request of the victims, in microseconds; one that failed has the time-out.
    pub(crate) victims_us: Vec<u64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Requests that were to be sent.
    pub(crate) asked: u64,
    /// Those with a good answer.
    pub(crate) answered: u64,
    /// What the backend did for it, in slot-seconds.
    pub(crate) work_s: f64,
}

const TIMEOUT: Duration = Duration::from_secs(2);
/// Connections that a flood opens at one door at most.
const CONNECTIONS_MAX: usize = 2_000;
/// How much longer than the victims a flood asks.
const MARGIN: Duration = Duration::from_millis(500);

/// The floods of a case at the doors of a set-up.
struct Floods {
    /// When each began, and what it is.
    open: Vec<(Instant, load::Run)>,
    /// With the tenant, by its place.
    closed: Vec<(usize, Closed)>,
}

/// How far things were at one time.
struct Seen {
    at: Instant,
    work_s: [f64; TENANTS.len()],
    cpu_ns: Option<f64>,
    closed: Vec<[u64; 2]>,
}

/// Requests of each tenant: asked, and answered well.
type Counts = [[u64; 2]; TENANTS.len()];

/// Measures a case.
pub(crate) async fn run(
    (standing, backend): (&Standing, &Backend),
    case: &Case,
    round: u64,
    window: Duration,
) -> Run {
    let manner = match standing.is_split {
        true => Manner::Split,
        false => case.manner,
    };
    backend.begin(manner, round).await;
    let ramp = match case.busy {
        [] => Duration::ZERO,
        _ => Duration::from_secs(standing.ramp_s),
    };
    let floods = Floods::start(standing, case, round, ramp + window + MARGIN).await;
    // sleep: what a flood begins with is not what it is like.
    tokio::time::sleep(ramp).await;
    let mut quiet = Vec::new();
    for (number, door) in standing.doors.iter().enumerate() {
        let streams = quiet_streams(case, standing.doors.len());
        let seed = seed(round, number);
        let mut load = Load::new(*door, streams, seed, window);
        load.timeout = TIMEOUT;
        quiet.push(load.start().unwrap());
    }
    for load in &mut quiet {
        load.began().await.unwrap();
    }
    let before = Seen::now(standing, backend, &floods);
    tokio::time::sleep_until(before.at + window).await;
    let after = Seen::now(standing, backend, &floods);

    let mut counts = Counts::default();
    let (mut victims_us, mut late) = (Vec::new(), Duration::ZERO);
    for load in quiet {
        let measured = load.measured().await.unwrap();
        count(&measured, &mut counts, |_| true);
        let victims = measured
            .iter()
            .filter(|(stream, _)| stream.class == Class::Standard);
        let took = victims.map(|(_, outcome)| measured.counted_latency(outcome).as_micros());
        victims_us.extend(took.map(|us| u64::try_from(us).unwrap()));
        late = late.max(measured.late);
    }
    floods.count(&mut counts, &before, &after).await;
    Run {
        set_up: standing.name.to_owned(),
        case: case.name.to_owned(),
        round,
        window_s: (after.at - before.at).as_secs_f64(),
        cpu_ns: after
            .cpu_ns
            .zip(before.cpu_ns)
            .map(|(after, before)| after - before),
        late_ms: late.as_secs_f64() * 1e3,
        tenants: tenants(case, &counts, &before, &after),
        victims_us,
    }
}

impl Seen {
    fn now(standing: &Standing, backend: &Backend, floods: &Floods) -> Self {
        Self {
            at: Instant::now(),
            work_s: backend.work_s(),
            cpu_ns: standing.cpu_ns(),
            closed: floods
                .closed
                .iter()
                .map(|(_, clients)| clients.counts())
                .collect(),
        }
    }
}

impl Floods {
    async fn start(standing: &Standing, case: &Case, round: u64, length: Duration) -> Self {
        let doors = standing.doors.len();
        let floods = || busy(case).filter(|(_, busy)| busy.role == Role::Flood);
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        for (number, door) in standing.doors.iter().enumerate() {
            for (tenant, busy) in floods().filter(|(_, busy)| busy.is_closed) {
                let clients = busy.under_way() / doors;
                let clients = Closed::start(*door, TENANTS[tenant], busy.path, clients);
                closed.push((tenant, clients));
            }
            let streams = floods()
                .filter(|(_, busy)| !busy.is_closed)
                .map(|(tenant, busy)| {
                    stream(tenant, Class::Noisy, busy.path, busy.per_s() / doors as f64)
                });
            let streams: Vec<_> = streams.collect();
            if !streams.is_empty() {
                let mut load = Load::new(*door, streams, seed(round, number), length);
                load.timeout = TIMEOUT;
                load.connections_max = CONNECTIONS_MAX;
                let mut load = load.start().unwrap();
                open.push((Instant::from_std(load.began().await.unwrap()), load));
            }
        }
        Self { open, closed }
    }

    /// Adds what they sent between the two.
    async fn count(self, counts: &mut Counts, before: &Seen, after: &Seen) {
        let closed = self
            .closed
            .iter()
            .zip(before.closed.iter().zip(&after.closed));
        for ((tenant, _), (before, after)) in closed {
            for (count, (before, after)) in counts[*tenant].iter_mut().zip(before.iter().zip(after))
            {
                *count += after - before;
            }
        }
        for (began, load) in self.open {
            let measured = load.measured().await.unwrap();
            count(&measured, counts, |at| {
                (before.at..after.at).contains(&(began + at))
            });
        }
    }
}

fn count(measured: &Measured, counts: &mut Counts, is_counted: impl Fn(Duration) -> bool) {
    for (stream, outcome) in measured
        .iter()
        .filter(|(_, outcome)| is_counted(outcome.at))
    {
        let tenant = TENANTS
            .iter()
            .position(|name| *name == stream.tenant)
            .unwrap();
        counts[tenant][0] += 1;
        counts[tenant][1] += u64::from(outcome.answer.is_success());
    }
}

/// What everybody in the case had between the two.
fn tenants(case: &Case, counts: &Counts, before: &Seen, after: &Seen) -> Vec<Tenant> {
    let victims = (0..VICTIMS).map(|tenant| (tenant, Role::Victim));
    let everybody = victims.chain(busy(case).map(|(tenant, busy)| (tenant, busy.role)));
    let had = everybody.map(|(tenant, role)| {
        let [asked, answered] = counts[tenant];
        Tenant {
            name: TENANTS[tenant].to_owned(),
            role,
            asked,
            answered,
            work_s: after.work_s[tenant] - before.work_s[tenant],
        }
    });
    had.collect()
}

/// Those who ask for much, by their place among the tenants.
fn busy(case: &Case) -> impl Iterator<Item = (usize, &'static Busy)> {
    (VICTIMS..).zip(case.busy)
}

/// Those whose answers are looked at one by one, at one of so many doors.
fn quiet_streams(case: &Case, doors: usize) -> Vec<Stream> {
    let share = |per_s: f64| per_s / doors as f64;
    let victims = (0..VICTIMS)
        .map(|tenant| stream(tenant, Class::Standard, VICTIM_PATH, share(VICTIM_PER_S)));
    let honest = busy(case)
        .filter(|(_, busy)| busy.role == Role::Honest)
        .map(|(tenant, busy)| stream(tenant, Class::Vip, busy.path, share(busy.per_s())));
    victims.chain(honest).collect()
}

fn stream(tenant: usize, class: Class, path: &str, rate_per_s: f64) -> Stream {
    Stream {
        tenant: TENANTS[tenant].to_owned(),
        class,
        service: "backend".to_owned(),
        tier: 1,
        path: path.to_owned(),
        rate_per_s,
        body_bytes: 0,
    }
}

/// Another one for each door, so that a tenant does not ask at all of them at the same times.
fn seed(round: u64, door: usize) -> u64 {
    round << 8 | door as u64
}
