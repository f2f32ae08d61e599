//! What a decision costs: a whole admission, alone and with a long queue, and one token bucket
//! beside governor's.

mod queue;

use std::{
    collections::HashMap,
    error::Error,
    hint::black_box,
    num::NonZeroU32,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use governor::RateLimiter;
use watertight_base::{Rate, ServiceId, TenantId, Tick};
use watertight_benches::{Case, compare};
use watertight_guard::{
    pool::{CompartmentSpec, PoolSpec},
    throttle::{Quota, TokenBucket},
};
use watertight_layers::{Admission, Clock, What, Who};
use watertight_plan::{Limit, Plan, Service, Tenant, TenantPlan};

use self::queue::Queue;

const TENANTS: usize = 10_000;
const HOUR: Duration = Duration::from_secs(3_600);
/// Enough that nothing is refused.
const PER_SECOND: u32 = 100_000_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _timers = runtime.enter();
    admissions()?;
    buckets()
}

fn admissions() -> Outcome<()> {
    let checkout: ServiceId = "checkout".parse()?;
    let what = What::new(&checkout, Tick::MAX);
    let (plain, limited) = (admission(100, 0)?, admission(100, 1)?);
    let (plain_who, limited_who) = (whos(&plain)?, whos(&limited)?);
    let busy = admission(1, 0)?;
    let whos_busy = whos(&busy)?;
    let mut queue = Queue::new(busy, whos_busy, checkout.clone());
    let mut cases: [Case<'_>; 3] = [
        (
            "with 10,000 tenants waiting",
            Box::new(|operations| (0..operations).for_each(|_| queue.serve_one())),
        ),
        (
            "uncontended, with one rate limit",
            Box::new(|operations| admit(&limited, &limited_who, what, operations)),
        ),
        (
            "uncontended",
            Box::new(|operations| admit(&plain, &plain_who, what, operations)),
        ),
    ];
    compare("admit and drop", &mut cases);
    Ok(())
}

/// One limit, 10,000 tenants: find the tenant's bucket, read the clock, take a token.
fn buckets() -> Outcome<()> {
    let names = tenants()?;
    let quota = Quota::new(
        Rate::new(PER_SECOND.into(), Duration::from_secs(1))?,
        PER_SECOND.into(),
    )?;
    let clock = Clock::start();
    let buckets: HashMap<_, _> = names
        .iter()
        .map(|name| (name.clone(), TokenBucket::default()))
        .collect();
    let per_second = NonZeroU32::new(PER_SECOND).ok_or("a rate of 0")?;
    let governor = RateLimiter::keyed(governor::Quota::per_second(per_second));
    let direct = RateLimiter::direct(governor::Quota::per_second(per_second));
    let alone = TokenBucket::default();
    let mut turns = names.iter().cycle();
    let mut governor_turns = names.iter().cycle();
    let mut keyed: [Case<'_>; 2] = [
        (
            "watertight",
            Box::new(|operations| {
                for name in turns.by_ref().take(operations as usize) {
                    black_box(buckets[name].take(clock.now(), &quota, 1));
                }
            }),
        ),
        (
            "governor",
            Box::new(|operations| {
                for name in governor_turns.by_ref().take(operations as usize) {
                    let _ = black_box(governor.check_key(name));
                }
            }),
        ),
    ];
    compare("token bucket, keyed by 10,000 tenants", &mut keyed);
    let now = clock.now();
    let mut single: [Case<'_>; 3] = [
        (
            "watertight, the clock read before",
            Box::new(|operations| {
                for _ in 0..operations {
                    black_box(alone.take(now, &quota, 1));
                }
            }),
        ),
        (
            "watertight",
            Box::new(|operations| {
                for _ in 0..operations {
                    black_box(alone.take(clock.now(), &quota, 1));
                }
            }),
        ),
        (
            "governor",
            Box::new(|operations| {
                for _ in 0..operations {
                    let _ = black_box(direct.check());
                }
            }),
        ),
    ];
    compare("token bucket, one", &mut single);
    Ok(())
}

/// One compartment, where every tenant has a limit that it never reaches, or none.
fn admission(seats: u64, limits: usize) -> Outcome<Admission> {
    let limit = Limit {
        id: "rate".parse()?,
        rate: Rate::new(PER_SECOND.into(), Duration::from_secs(1))?,
        burst: PER_SECOND.into(),
    };
    let standard = TenantPlan {
        throttle: vec![limit; limits],
        ..TenantPlan::default()
    };
    let tenant = Tenant {
        plan: "standard".parse()?,
        segment: None,
    };
    let mut compartment =
        CompartmentSpec::new("all".parse()?, seats.try_into()?, vec!["checkout".parse()?]);
    compartment.max_wait = HOUR;
    let pool = PoolSpec {
        id: "database".parse()?,
        capacity: seats.try_into()?,
        reserve: 0,
        compartments: vec![compartment],
    };
    let mut service = Service::new("checkout".parse()?, 1_u64.try_into()?);
    service.uses = vec!["database".parse()?];
    let mut plan = Plan::builder().plan("standard", standard)?;
    for name in tenants()? {
        plan = plan.tenant(name, tenant.clone());
    }
    let plan = plan.service(service).pool(pool).build()?;
    Ok(Admission::new(Arc::new(plan), Clock::start())?)
}

fn tenants() -> Outcome<Vec<TenantId>> {
    let names = (0..TENANTS).map(|number| format!("tenant-{number}"));
    Ok(names.map(|name| name.parse()).collect::<Result<_, _>>()?)
}

fn whos(admission: &Admission) -> Outcome<Vec<Who>> {
    let whos = tenants()?.into_iter().map(|name| admission.who(&name));
    Ok(whos
        .collect::<Result<_, _>>()
        .map_err(|reason| reason.sentence())?)
}

fn admit(admission: &Admission, whos: &[Who], what: What<'_>, operations: u32) {
    for who in whos.iter().cycle().take(operations as usize) {
        let admitted = pin!(admission.admit(who, what, admission.clock().now()));
        let verdict = admitted.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(black_box(verdict), Poll::Ready(Ok(_))));
    }
}
