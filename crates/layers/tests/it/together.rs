//! Limits that all nodes count, over a store that is in the same process, or is away.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use watertight_base::{Reason, Tick};
use watertight_guard::{
    pool::{CompartmentSpec, PoolSpec},
    throttle::{
        Algorithm,
        lease::{
            Ask, Cluster, Known, Leases, Ledger, Outcome, Settings, Settled, Sharing, Source,
            Taken, Verdict, View,
        },
    },
};
use watertight_layers::{Admission, Clock, Quotas, What};
use watertight_plan::{Across, Builder, By, Excess, Limit, LimitStore, Throttling};

use crate::{
    SECOND,
    delays::{come, most_in_half_a_second},
    id,
    limits::{MINUTE, ask, counted, passes, rate, service, shop},
};

/// A node whose batches arrive at once, if there is a store at all.
struct Together(Mutex<(Leases, Option<Ledger>)>);

impl Together {
    fn new(settings: Settings) -> Arc<Self> {
        let leases = Leases::new(1, settings);
        Arc::new(Self(Mutex::new((leases, Some(Ledger::default())))))
    }

    /// The same, whose store is away.
    fn alone(settings: Settings) -> Arc<Self> {
        let leases = Leases::new(1, settings);
        Arc::new(Self(Mutex::new((leases, None))))
    }

    /// Sends what is to be told, as the task does that carries batches.
    fn carry(&self, now: Tick) -> Settled {
        let (leases, ledger) = &mut *self.0.lock().unwrap();
        carry(leases, ledger, now)
    }
}

fn carry(leases: &mut Leases, ledger: &mut Option<Ledger>, now: Tick) -> Settled {
    let mut settled = Vec::new();
    let now = now.max(leases.next_wakeup());
    let Some(batch) = leases.poll(now, &mut settled) else {
        return settled;
    };
    let at_us = 1_800_000_000_000_000 + now.as_nanos() / 1_000;
    match ledger
        .as_mut()
        .and_then(|ledger| ledger.trade(at_us, &batch))
    {
        Some(answer) => assert!(leases.on_answer(now, &answer, &mut settled)),
        None => leases.on_failure(now, batch.number, &mut settled),
    }
    settled
}

impl Cluster for Together {
    fn take(&self, now: Tick, ask: &Ask<'_>) -> Outcome {
        let outcomes = self.take_all(now, std::slice::from_ref(ask));
        outcomes.into_iter().flatten().next().unwrap()
    }

    fn take_all(&self, now: Tick, asks: &[Ask<'_>]) -> Vec<Option<Outcome>> {
        let (leases, ledger) = &mut *self.0.lock().unwrap();
        let taken = leases.take_all(now, asks);
        let is_asked = |taken: &Option<Taken>| matches!(taken, Some(Taken::Ask(_)));
        let mut settled = Settled::new();
        while settled.is_empty() && taken.iter().any(is_asked) {
            settled = carry(leases, ledger, now);
        }
        let verdict_of = |ticket| settled.iter().find(|(other, _)| *other == ticket);
        let outcomes = taken.into_iter().map(|taken| match taken? {
            Taken::Now(verdict) => Some(Outcome::Now(verdict)),
            Taken::Ask(ticket) => Some(Outcome::Now(verdict_of(ticket).unwrap().1)),
        });
        outcomes.collect()
    }

    fn peek(&self, now: Tick, ask: &Ask<'_>) -> Option<Known> {
        self.0.lock().unwrap().0.peek(now, ask)
    }

    fn refund(&self, now: Tick, ask: &Ask<'_>, verdict: &Verdict) {
        let (leases, ledger) = &mut *self.0.lock().unwrap();
        if leases.refund(now, ask, verdict) {
            carry(leases, ledger, now);
        }
    }

    fn view(&self) -> View {
        self.0.lock().unwrap().0.view()
    }
}

fn shared(limit: Limit, sharing: Sharing) -> Limit {
    Limit {
        across: Across::Cluster(sharing),
        ..limit
    }
}

fn open(builder: Builder, cluster: &Arc<Together>) -> Admission {
    let store = LimitStore {
        url: "redis://127.0.0.1:6379".to_owned(),
        password: None,
        prefix: LimitStore::PREFIX_DEFAULT.to_owned(),
        timeout: LimitStore::TIMEOUT_DEFAULT,
        nodes: 1,
    };
    let throttling = Throttling {
        store: Some(store),
        ..Throttling::default()
    };
    let plan = Arc::new(builder.throttling(throttling).build().unwrap());
    Admission::with_cluster(
        plan,
        Clock::start(),
        Arc::clone(cluster) as Arc<dyn Cluster>,
    )
}

/// A service that limits by address, and two that limit by tenant.
fn flooded(sharing: Sharing) -> Builder {
    let mut front = service("front", 2);
    front.throttle = vec![Limit {
        by: vec![By::Address],
        ..shared(rate("address", 5, HOUR), sharing)
    }];
    let tenants = [("leased", Sharing::Leased), ("alone", Sharing::Local)];
    let tenants = tenants.map(|(name, sharing)| {
        let mut own = service(name, 2);
        own.throttle = vec![shared(rate(name, 10, HOUR), sharing)];
        own
    });
    let [leased, alone] = tenants;
    shop(Vec::new())
        .service(front)
        .service(leased)
        .service(alone)
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn invented_addresses_lock_out_no_listed_tenant_and_refill_no_limit_of_theirs() {
    let settings = Settings {
        keys: 64,
        ..Settings::default()
    };
    for sharing in [Sharing::Leased, Sharing::Exact, Sharing::Local] {
        let cluster = Together::alone(settings);
        let admission = open(flooded(sharing), &cluster);
        cluster.carry(admission.clock().now());
        let listed = ["acme", "globex"].map(|name| admission.who(&id(name)).unwrap());
        for path in ["/leased", "/alone"] {
            assert_eq!(passes(&admission, &listed[0], path).await, 10);
        }
        for number in 0..5_000_u32 {
            let mut invented = admission.who(&id("acme")).unwrap();
            invented.address = Some(IpAddr::from(number.to_be_bytes()));
            let _ = ask(&admission, &invented, "/front").await;
        }
        let tables = cluster.view().tables;
        let full = if sharing == Sharing::Local { 4 } else { 2 };
        let mut live = [2, 0, 0, 0, 0];
        live[full] = 64;
        assert_eq!(tables.map(|table| table.live), live);
        let anybody = tables[full];
        assert_eq!(anybody.overflowed, 5_000 - 64);
        assert_eq!(admission.keyed().together.unwrap(), tables);
        assert!(anybody.places == 64 && (64 * 480..64 * 4_000).contains(&anybody.bytes));
        for path in ["/leased", "/alone"] {
            let passed = [
                passes(&admission, &listed[0], path).await,
                passes(&admission, &listed[1], path).await,
            ];
            assert_eq!(passed, [0, 10], "{path}, flooded at {sharing:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_be_invented_is_counted_among_the_invented() {
    for (by, user, tenant, expected) in [
        (vec![By::Tenant], None, "acme", 0),
        (vec![By::Route, By::Tenant], None, "acme", 0),
        // All unlisted tenants have one name.
        (vec![By::Tenant], None, "nobody-listed-me", 0),
        (vec![By::Key], None, "acme", 0),
        (vec![By::Key], None, "nobody-listed-me", 2),
        (vec![By::User], Some("ann"), "acme", 1),
        (vec![By::User], Some("ann"), "nobody-listed-me", 2),
        (vec![By::User], None, "nobody-listed-me", 2),
        (vec![By::Address, By::Tenant], None, "acme", 2),
    ] {
        let cluster = Together::new(Settings::default());
        let limit = Limit {
            by: by.clone(),
            ..shared(rate("rate", 10, MINUTE), Sharing::Leased)
        };
        let admission = open(shop(vec![limit]), &cluster);
        let mut who = admission.who(&id(tenant)).unwrap();
        who.user = user.map(Arc::from);
        assert!(ask(&admission, &who, "/cart").await.is_ok());
        let live = cluster.view().tables.map(|table| table.live);
        let mut one = [0; 5];
        one[expected] = 1;
        assert_eq!(live, one, "{by:?} {user:?} {tenant}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_limit_of_the_cluster_refuses_is_charged_to_no_other() {
    for sharing in [Sharing::Exact, Sharing::Leased] {
        let cluster = Together::new(Settings::default());
        let narrow = Limit {
            by: vec![By::Global],
            ..shared(rate("narrow", 5, HOUR), sharing)
        };
        let wide = shared(rate("wide", 100, HOUR), sharing);
        let admission = open(shop(vec![wide]).limit(narrow), &cluster);
        let acme = admission.who(&id("acme")).unwrap();
        let mut passed = 0;
        let mut told = Vec::new();
        for _ in 0..25 {
            match ask(&admission, &acme, "/cart").await {
                Ok(_) => passed += 1,
                Err(refusal) => told = left(&refusal.quotas),
            }
        }
        assert_eq!((passed, told), (5, vec![95, 0]), "{sharing:?}");
        // The next answer of the store says the same.
        let cart = service("cart", 1);
        let what = What::new(&cart.id, Tick::MAX);
        let said = admission.explain(&acme, what, admission.clock().now());
        assert_eq!(left(&said.quotas), [95, 0], "{sharing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_limits_of_a_request_that_the_store_counts_are_asked_in_one_trip() {
    let cluster = Together::new(Settings::default());
    let everybody = |name, limit| Limit {
        by: vec![By::Global],
        ..shared(rate(name, limit, HOUR), Sharing::Exact)
    };
    let trial = Limit {
        is_shadow: true,
        ..everybody("trial", 2)
    };
    let own = shared(rate("own", 50, HOUR), Sharing::Exact);
    let builder = shop(vec![own]).limit(everybody("all", 7)).limit(trial);
    let admission = open(builder, &cluster);
    let acme = admission.who(&id("acme")).unwrap();
    for number in 1..=7 {
        let permit = ask(&admission, &acme, "/cart").await.unwrap();
        assert_eq!(left(permit.quotas()), [50 - number, 7 - number]);
        assert_eq!(cluster.view().trips, number);
    }
    for _ in 0..5 {
        let refusal = ask(&admission, &acme, "/cart").await.unwrap_err();
        assert_eq!(refusal.reason, Reason::TenantRate);
        assert!(refusal.retry_after > SECOND * 300);
        assert_eq!(left(&refusal.quotas), [43, 0]);
    }
    // What is known to be used up is no reason to ask.
    assert_eq!(cluster.view().trips, 7);
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_refuses_is_charged_to_no_limit_of_the_cluster() {
    for sharing in [Sharing::Exact, Sharing::Leased, Sharing::Local] {
        let cluster = Together::new(Settings::default());
        let mut seats =
            CompartmentSpec::new(id("all"), 1_u64.try_into().unwrap(), vec![id("seat")]);
        (seats.queue, seats.max_wait) = (1, Duration::from_millis(100));
        let pool = PoolSpec {
            id: id("pool"),
            capacity: 1_u64.try_into().unwrap(),
            adaptive: None,
            reserve: 0,
            compartments: vec![seats],
        };
        let mut seat = service("seat", 2);
        seat.uses = vec![id("pool")];
        let limit = shared(rate("rate", 100, HOUR), sharing);
        let admission = open(shop(vec![limit]).service(seat).pool(pool), &cluster);
        let acme = admission.who(&id("acme")).unwrap();
        let mut served = 0;
        for _ in 0..5 {
            let all = std::array::from_fn::<_, 8, _>(|_| ask(&admission, &acme, "/seat"));
            let mut held = Vec::new();
            for asked in all {
                held.extend(asked.await.ok());
            }
            served += held.len();
        }
        assert_eq!(served, 5);
        let permit = ask(&admission, &acme, "/seat").await.unwrap();
        assert_eq!(left(permit.quotas()), [94], "{sharing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_used_up_together_is_explained_as_what_becomes_of_the_request() {
    for sharing in [Sharing::Exact, Sharing::Leased, Sharing::Local] {
        let cluster = Together::new(Settings::default());
        let limit = shared(rate("rate", 5, HOUR), sharing);
        let admission = open(shop(vec![limit]), &cluster);
        let acme = admission.who(&id("acme")).unwrap();
        let explain = || {
            let cart = id("cart");
            let what = What::new(&cart, Tick::MAX);
            admission.explain(&acme, what, admission.clock().now())
        };
        let before = explain();
        assert_eq!(before.refusal(), None);
        assert_eq!(before.asks_store(), sharing != Sharing::Local);
        assert_eq!(passes(&admission, &acme, "/cart").await, 5);
        for _ in 0..3 {
            let said = explain();
            assert_eq!(said.refusal(), Some(Reason::TenantRate), "{sharing:?}");
            let decision = said.limits[0].decision.unwrap();
            assert!(decision.remaining == 0 && decision.wait > SECOND * 600);
            if let Some(Source::Answer { age }) = said.limits[0].source {
                assert!(age < SECOND * 20);
            }
            tokio::time::advance(SECOND * 3 / 2).await;
        }
        assert!(ask(&admission, &acme, "/cart").await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn headers_tell_of_the_more_specific_limit_first_whoever_counts_it() {
    let cluster = Together::new(Settings::default());
    let mut own = service("own", 2);
    own.throttle = vec![
        shared(rate("a", 9, HOUR), Sharing::Exact),
        rate("b", 8, HOUR),
    ];
    let of_plan = vec![
        rate("c", 7, HOUR),
        shared(rate("d", 6, HOUR), Sharing::Leased),
    ];
    let everybody = shared(rate("e", 1, HOUR), Sharing::Local);
    let builder = shop(of_plan).service(own).limit(rate("f", 5, HOUR));
    let admission = open(builder.limit(everybody), &cluster);
    let acme = admission.who(&id("acme")).unwrap();
    let names = |quotas: &Quotas| -> String {
        let names = quotas.iter().map(|state| state.limit.to_string());
        names.collect()
    };
    let permit = ask(&admission, &acme, "/own").await.unwrap();
    assert_eq!(names(permit.quotas()), "abcdfe");
    assert_eq!(left(permit.quotas()), [8, 7, 6, 5, 4, 0]);
    let refusal = ask(&admission, &acme, "/own").await.unwrap_err();
    assert_eq!(names(&refusal.quotas), "abcdfe");
    assert_eq!(left(&refusal.quotas), [8, 7, 6, 5, 4, 0]);
}

/// What headers say is left of each limit.
fn left(quotas: &Quotas) -> Vec<u64> {
    quotas
        .iter()
        .map(|state| state.decision.remaining)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_all_nodes_counts_who_leaves_another_limits_line_when_it_leaves() {
    for sharing in [Sharing::Leased, Sharing::Exact, Sharing::Local] {
        let paced = Limit {
            excess: Excess::Delay {
                max_wait: MINUTE,
                queue: 100,
            },
            ..counted("paced", Algorithm::FixedWindow, 10, SECOND * 20)
        };
        let rate = counted("rate", Algorithm::TokenBucket { burst: 5 }, 5, SECOND);
        let together = Together::new(Settings::default());
        let admission = open(shop(vec![paced, shared(rate, sharing)]), &together);
        let passed = come(&admission, 60, Duration::from_millis(250)).await;
        let most = most_in_half_a_second(&passed);
        assert!(most <= 8, "{sharing:?} {most}");
        assert!(passed.len() >= 15, "{sharing:?} {}", passed.len());
    }
}

#[tokio::test(start_paused = true)]
async fn users_whose_names_look_alike_share_no_limit() {
    for sharing in [Sharing::Leased, Sharing::Exact, Sharing::Local] {
        let cluster = Together::new(Settings::default());
        let limit = Limit {
            by: vec![By::User],
            ..shared(rate("rate", 2, HOUR), sharing)
        };
        let admission = open(shop(vec![limit]), &cluster);
        let long = "n".repeat(100);
        let users = [
            format!("{long}1"),
            format!("{long}2"),
            " 1".to_owned(),
            "\u{201}".to_owned(),
        ];
        for user in users {
            let mut who = admission.who(&id("acme")).unwrap();
            who.user = Some(Arc::from(user.as_str()));
            let passed = passes(&admission, &who, "/cart").await;
            assert_eq!(passed, 2, "{sharing:?} {user:?}");
        }
    }
}
