//! What a whole admission costs, alone, with limits and with a long queue.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod core;
mod queue;

use std::{
    error::Error,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use watertight_base::{Rate, ServiceId, TenantId, Tick};
use watertight_benches::{Case, compare, instructions, is_for_figures, to_be_counted};
use watertight_guard::throttle::{Algorithm, Quota};
use watertight_layers::{Admission, Clock, What, Who};
use watertight_plan::{Count, Limit, Plan, Service, Tenant, TenantPlan};

use self::{
    core::Core,
    queue::{Asking, queue},
};

const TENANTS: usize = 10_000;
/// Tenants that ask in turn where the cost of finding one in memory is not what is asked.
const FEW: usize = 100;
/// Enough that nothing is refused.
const PER_SECOND: u32 = 100_000_000;

const WAITING: &str = "with 10,000 tenants waiting";
const THREE: &str = "uncontended, with three rate limits";
const ONE: &str = "uncontended, with one rate limit";
const NONE: &str = "uncontended";
const CORE_WAITING: &str = "the pools alone, 10,000 tenants waiting";
const CORE: &str = "the pools alone, uncontended";
const MANY: &str = "uncontended, 10,000 tenants in turn";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _timers = runtime.enter();
    if let Some((case, count)) = to_be_counted() {
        return counted(&case, count);
    }
    admissions()?;
    if is_for_figures() {
        println!("\ninstructions");
        for case in [WAITING, THREE, ONE, MANY, CORE_WAITING, CORE, NONE] {
            println!("{case:44} {:9.0}", instructions(case, 10_000, 20_000));
        }
    }
    Ok(())
}

/// Does what is to be counted.
fn counted(case: &str, operations: u32) -> Outcome<()> {
    match case {
        CORE => {
            let mut core = Core::new(100, FEW as u64)?;
            (0..operations).for_each(|_| core.pass());
            return Ok(());
        }
        CORE_WAITING => {
            let mut core = Core::waiting(TENANTS as u64)?;
            (0..operations).for_each(|_| core.serve_one());
            return Ok(());
        }
        _ => {}
    }
    let checkout: ServiceId = "checkout".parse()?;
    let mut limits = [NONE, ONE, "", THREE, MANY].iter();
    let limits = limits.position(|name| *name == case).map(|at| at % 4);
    let Some(limits) = limits else {
        let busy = admission(1, 0)?;
        let whos = whos(&busy)?;
        let mut queue = queue(Asking {
            admission: &busy,
            whos: &whos,
            service: &checkout,
        });
        (0..operations).for_each(|_| queue.serve_one());
        return Ok(());
    };
    let admission = admission(100, limits)?;
    let what = What::new(&checkout, Tick::MAX);
    let whos = whos(&admission)?;
    let few = if case == MANY { &whos } else { &whos[..FEW] };
    admit(&admission, few, what, operations);
    Ok(())
}

fn admissions() -> Outcome<()> {
    let checkout: ServiceId = "checkout".parse()?;
    let what = What::new(&checkout, Tick::MAX);
    let (plain, limited) = (admission(100, 0)?, admission(100, 1)?);
    let (plain_who, limited_who) = (whos(&plain)?, whos(&limited)?);
    let thrice = admission(100, 3)?;
    let thrice_who = whos(&thrice)?;
    let busy = admission(1, 0)?;
    let whos_busy = whos(&busy)?;
    let mut queue = queue(Asking {
        admission: &busy,
        whos: &whos_busy,
        service: &checkout,
    });
    let mut core = Core::new(100, FEW as u64)?;
    let mut core_waiting = Core::waiting(TENANTS as u64)?;
    let mut cases: [Case<'_>; 7] = [
        (
            WAITING,
            Box::new(|operations| (0..operations).for_each(|_| queue.serve_one())),
        ),
        (
            THREE,
            Box::new(|operations| admit(&thrice, &thrice_who[..FEW], what, operations)),
        ),
        (
            ONE,
            Box::new(|operations| admit(&limited, &limited_who[..FEW], what, operations)),
        ),
        (
            CORE_WAITING,
            Box::new(|operations| (0..operations).for_each(|_| core_waiting.serve_one())),
        ),
        (
            CORE,
            Box::new(|operations| (0..operations).for_each(|_| core.pass())),
        ),
        (
            MANY,
            Box::new(|operations| admit(&plain, &plain_who, what, operations)),
        ),
        (
            NONE,
            Box::new(|operations| admit(&plain, &plain_who[..FEW], what, operations)),
        ),
    ];
    compare("admit and drop", &mut cases);
    Ok(())
}

fn quota() -> Outcome<Quota> {
    let algorithm = Algorithm::TokenBucket {
        burst: PER_SECOND.into(),
    };
    let rate = Rate::new(PER_SECOND.into(), Duration::from_secs(1))?;
    Ok(Quota::new(algorithm, rate)?)
}

/// One compartment, where every tenant has a limit that it never reaches, or none.
fn admission(seats: u64, limits: usize) -> Outcome<Admission> {
    let limit = |number| -> Outcome<Limit> {
        let id = format!("rate-{number}").parse()?;
        Ok(Limit::new(id, Count::Rate(quota()?)))
    };
    let standard = TenantPlan {
        throttle: (0..limits).map(limit).collect::<Outcome<_>>()?,
        ..TenantPlan::default()
    };
    let tenant = Tenant {
        plan: "standard".parse()?,
        segment: None,
        throttle: Vec::new(),
    };
    let mut service = Service::new("checkout".parse()?, 1_u64.try_into()?);
    service.uses = vec!["database".parse()?];
    let mut plan = Plan::builder().plan("standard", standard)?;
    for name in tenants()? {
        plan = plan.tenant(name, tenant.clone());
    }
    let plan = plan.service(service).pool(core::pool(seats)?).build()?;
    Ok(Admission::new(Arc::new(plan), Clock::start()))
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
