//! The five laws of pools, for a shop that anything happens to, judged from outside: by who really
//! runs, and not by what the pools say of themselves. Each law's checker is run over a shop with the
//! bug planted that it is for.
//!
//! The shop has a tier-1 compartment that lends nothing and two below it that lend to each other, a
//! cap, a service that needs two pools beside others that need one of them, a reserve, and tenants
//! that flood, hang, time out, go away and panic. Reloads rename walls and take pools away and bring them back.

mod shop;

use std::time::Duration;

use watertight_sim::{Coverage, Found, Seeds, sometimes};

use self::shop::{BORROW_MAX, Bug, Shop, WALLS};

/// 10³ seeds with each change; a soak takes more.
const SEEDS: u64 = 1_000;
const EVENTS: u64 = 150;
/// Every so many seeds play for long enough that shares can be compared.
const LONG: u64 = 16;

fn run(seed: u64, bug: Bug) -> Result<(), String> {
    let mut shop = Shop::open(seed, bug);
    let events = if seed.is_multiple_of(LONG) {
        5 * EVENTS
    } else {
        EVENTS
    };
    for _ in 0..events {
        shop.event();
        walls_hold(&shop)?;
        index_holds(&mut shop)?;
        nobody_waits_in_vain(&shop)?;
        owners_wait_briefly(&shop)?;
    }
    let took = shop.shares();
    shop.close();
    fair(took)?;
    match shop.held() {
        0 => Ok(()),
        held => Err(format!("law 5: {held} seats are held by nobody")),
    }
}

/// Law 1.
fn walls_hold(shop: &Shop) -> Result<(), String> {
    let mut all = 0;
    let mut spare = 0;
    for wall in &WALLS {
        let running = shop.running(wall.services);
        all += running;
        sometimes!(running > wall.seats, "somebody borrows");
        if !wall.lends && running > wall.seats {
            return Err(format!("law 1: {running} run in {}", wall.name));
        }
        if wall.lends {
            spare += i64::from(wall.seats) - i64::from(running);
        }
    }
    let capped = shop.running(&["reports"]);
    sometimes!(capped == shop::CAP, "a cap is reached");
    if spare < 0 || all > shop::CAPACITY || capped > shop::CAP {
        return Err(format!(
            "law 1: {all} run, {capped} of them capped, {spare} to spare"
        ));
    }
    Ok(())
}

/// Law 1, of a pool that shrinks, goes, comes back and is renamed while people sit in it.
fn index_holds(shop: &mut Shop) -> Result<(), String> {
    match shop.too_many_in_index() {
        0 => Ok(()),
        more => Err(format!("law 1: {more} too many run in the index")),
    }
}

/// Law 2: whoever waits at a compartment that could seat him with what it lent, waits no longer than
/// the loans may last.
fn owners_wait_briefly(shop: &Shop) -> Result<(), String> {
    for wall in WALLS.iter().filter(|wall| wall.lends) {
        let waited = shop.waited_below_own_seats(wall);
        sometimes!(waited > Duration::ZERO, "an owner waits for what it lent");
        if waited > BORROW_MAX {
            return Err(format!(
                "law 2: {} waited {waited:?} for its own",
                wall.name
            ));
        }
    }
    Ok(())
}

/// Law 3, as far as it can be seen from outside: whoever needs one pool and has no cap does not wait
/// beside an idle seat, its own or one that may be lent to it; but for one that may be left to a
/// request for two pools.
fn nobody_waits_in_vain(shop: &Shop) -> Result<(), String> {
    let checkout = &WALLS[0];
    let waiting = shop.waiting("checkout");
    sometimes!(waiting > 0, "tier 1 waits");
    let idle = checkout
        .seats
        .saturating_sub(shop.running(checkout.services));
    if waiting > 0 && idle > 0 {
        return Err(format!("law 3: {waiting} wait beside {idle} idle seats"));
    }
    let waiting = shop.waiting("inventory") + shop.waiting("batch");
    let idle = shop.idle_of_lenders();
    let claimed = i64::from(shop.waiting("reports") > 0);
    sometimes!(
        waiting > 0 && idle > 0,
        "the last seat is left to a request for two pools"
    );
    match waiting > 0 && idle > claimed {
        true => Err(format!(
            "law 3: {waiting} wait beside {idle} seats that lenders have idle"
        )),
        false => Ok(()),
    }
}

/// Law 4: two tenants that wanted more all the time.
fn fair(took: [Duration; 2]) -> Result<(), String> {
    let [one, other] = took.map(|took| took.as_secs_f64());
    let jain = (one + other).powi(2) / (2.0 * (one * one + other * other));
    match one + other > 0.0 && jain < 0.95 {
        true => Err(format!("law 4: {took:?}, Jain {jain}")),
        false => Ok(()),
    }
}

fn search(seeds: Seeds, bug: Bug) -> Result<Coverage, Found> {
    seeds.search(|seed| run(seed, bug))
}

#[test]
fn the_laws_of_pools_hold_whatever_happens() {
    let coverage = Seeds::new(SEEDS).run(|seed| run(seed, Bug::None));
    coverage
        .require(&[
            "somebody borrows",
            "a cap is reached",
            "an owner waits for what it lent",
            "tier 1 waits",
            "the last seat is left to a request for two pools",
            "a loan is recalled",
            "a request panics",
            "a request times out",
            "a request for two pools sits",
            "a reload moves the walls",
            "a pool comes back around who runs",
        ])
        .unwrap();
}

#[test]
fn the_laws_of_pools_hold_where_they_once_did_not() {
    // A seat that came home while another pool was too full was lent again past its waiting owner.
    const ONCE: [u64; 1] = [4_922];
    for seed in ONCE {
        run(seed, Bug::None).unwrap();
    }
}

#[test]
fn each_checker_finds_the_bug_that_it_is_for() {
    let plants = [
        (Bug::RunsWithoutSeat, "law 1"),
        (Bug::IgnoresRecalls, "law 2"),
        (Bug::SitsOnGrants, "law 3"),
        (Bug::LendsNothing, "law 3"),
        (Bug::OneQueueForAll, "law 4"),
        // From outside, a seat that nobody gave back is an idle one.
        (Bug::ForgetsAfterPanic, "law 3"),
        (Bug::ForgetsSearch, "law 5"),
        (Bug::ForgetsAtReloads, "law 1"),
    ];
    for (bug, law) in plants {
        let found = search(Seeds::fixed(1, 200), bug).unwrap_err();
        assert!(found.what.starts_with(law), "{bug:?}: {}", found.what);
    }
}
