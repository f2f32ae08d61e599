//! A named pool with a size, for whoever uses the library directly.

use std::{future::pending, pin::pin};

use watertight_base::TenantId;
use watertight_guard::pool::PoolView;
use watertight_layers::{Bulkhead, BulkheadError, Bulkheads, Divided};

use super::*;

fn acme() -> TenantId {
    id("acme")
}

fn database() -> Bulkheads {
    Divided::new("database", 100)
        .compartment("critical", 30, ["checkout"])
        .compartment("rest", 50, ["recommendations", "reporting"])
        .cap("recommendations", 15)
        .cap("reporting", 10)
        .reserve(20)
        .build()
        .unwrap()
}

fn waiting_in(pool: &PoolView) -> u32 {
    pool.compartments.iter().map(|part| part.waiting).sum()
}

#[tokio::test(start_paused = true)]
async fn a_named_pool_with_a_size_is_one_line() {
    let licence = Bulkhead::new("licence", 3).unwrap();
    let mut seats = Vec::new();
    for _ in 0..3 {
        seats.push(licence.acquire(&acme()).await.unwrap());
    }
    assert_eq!(licence.view().in_use, 3);
    let refused = licence.acquire(&acme()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::DeadlineExceeded);
    seats.pop();
    licence.acquire(&acme()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_that_is_dropped_or_panics_gives_its_seat_back() {
    let licence = Bulkhead::new("licence", 1).unwrap();
    {
        let acme = acme();
        let mut running = pin!(licence.run(&acme, pending::<()>()));
        assert!(poll_once(running.as_mut()).is_pending());
        assert_eq!(licence.view().in_use, 1);
    }
    assert_eq!(licence.view().in_use, 0);
    let panicking = licence.clone();
    let task =
        tokio::spawn(async move { panicking.run(&acme(), async { panic!("on purpose") }).await });
    assert!(task.await.is_err());
    assert_eq!(licence.run(&acme(), async { 7 }).await.unwrap(), 7);
    assert_eq!(licence.view().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_the_work_runs_before_there_is_a_seat() {
    let licence = Bulkhead::new("licence", 1).unwrap();
    let _held = licence.acquire(&acme()).await.unwrap();
    let began = std::cell::Cell::new(false);
    let refused = licence.run(&acme(), async { began.set(true) }).await;
    assert!(refused.is_err());
    assert!(!began.get());
}

#[tokio::test(start_paused = true)]
async fn no_service_takes_another_ones_seats_and_no_one_passes_its_cap() {
    let database = database();
    let bulkhead = |name| database.bulkhead(name).unwrap().within(Duration::ZERO);
    let mut held = Vec::new();
    for (service, most) in [("recommendations", 15), ("reporting", 10), ("checkout", 30)] {
        let service = bulkhead(service);
        for _ in 0..most {
            held.push(service.acquire(&acme()).await.unwrap());
        }
        assert!(
            service.acquire(&acme()).await.is_err(),
            "{most} are the most"
        );
    }
    let operations = bulkhead("checkout").operations();
    for _ in 0..20 {
        held.push(operations.acquire(&acme()).await.unwrap());
    }
    assert!(operations.acquire(&acme()).await.is_err());
    assert_eq!(operations.view().in_use, 75);
    held.clear();
    assert_eq!(operations.view().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_has_no_patience_is_refused_at_once_and_leaves_no_place() {
    let licence = Bulkhead::new("licence", 1).unwrap();
    let hasty = licence.within(Duration::ZERO);
    let held = hasty.acquire(&acme()).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert!(hasty.acquire(&acme()).await.is_err());
    assert!(begun.elapsed() < Duration::from_millis(2));
    assert_eq!(waiting_in(&licence.view()), 0);
    drop(held);
    hasty.acquire(&acme()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn as_many_wait_as_the_queues_say_and_no_more() {
    for (queue, total, tenants, most) in [(8, 15, 4, 15), (128, 3, 1, 3), (8, 100, 1, 8)] {
        let licences = Divided::new("licence", 1)
            .compartment("licence", 1, ["licence"])
            .queue(queue)
            .queue_total(total)
            .build()
            .unwrap();
        let licence = licences.bulkhead("licence").unwrap();
        let _held = licence.operations().acquire(&acme()).await.unwrap();
        let mut waiting = Vec::new();
        for number in 0..100 {
            let tenant = id(&format!("tenant-{}", number % tenants));
            let licence = licence.clone();
            let mut asked = Box::pin(async move { licence.acquire(&tenant).await.is_ok() });
            if poll_once(asked.as_mut()).is_pending() {
                waiting.push(asked);
            }
        }
        assert_eq!(waiting.len(), most, "queue {queue}, in all {total}");
    }
}

#[tokio::test(start_paused = true)]
async fn tenants_take_turns() {
    let licence = Bulkhead::new("licence", 1).unwrap();
    let (acme, globex): (TenantId, TenantId) = (id("acme"), id("globex"));
    let held = licence.acquire(&acme).await.unwrap();
    let mut flood: Vec<_> = (0..50).map(|_| Box::pin(licence.acquire(&acme))).collect();
    for waiting in &mut flood {
        assert!(poll_once(waiting.as_mut()).is_pending());
    }
    let mut other = pin!(licence.acquire(&globex));
    assert!(poll_once(other.as_mut()).is_pending());
    assert_eq!(waiting_in(&licence.view()), 51);
    // Unlisted tenants have a hand of queues each, and every queue has its turn.
    let mut holder = Some(held);
    for _ in 0..12 {
        tokio::time::advance(Duration::from_millis(20)).await;
        drop(holder.take());
        if poll_once(other.as_mut()).is_ready() {
            return;
        }
        for index in 0..flood.len() {
            if let Poll::Ready(seat) = poll_once(flood[index].as_mut()) {
                holder = Some(seat.unwrap());
                drop(flood.swap_remove(index));
                break;
            }
        }
        assert!(holder.is_some(), "a seat is free, and nobody has it");
    }
    panic!("globex waits behind acme's flood");
}

#[tokio::test(start_paused = true)]
async fn head_room_is_kept_from_a_tenant_whose_work_is_slow() {
    let room = |share: f64| share.try_into().unwrap();
    let licence = |share| {
        Divided::new("licence", 8)
            .compartment("licence", 8, ["licence"])
            .head_room(room(share))
            .build()
            .unwrap()
            .bulkhead("licence")
            .unwrap()
            .within(Duration::ZERO)
    };
    let (kept, all) = (licence(25.0), licence(0.0));
    let globex: TenantId = id("globex");
    let mut held = Vec::new();
    for seats in [&kept, &all] {
        while let Ok(seat) = seats.acquire(&acme()).await {
            held.push(seat);
            tokio::time::advance(SECOND).await;
        }
    }
    assert_eq!((kept.view().in_use, all.view().in_use), (6, 8));
    kept.acquire(&globex).await.unwrap();
}

#[test]
fn walls_that_cannot_stand_are_refused_by_name() {
    let database = || Divided::new("database", 10).compartment("critical", 6, ["checkout"]);
    let overbooked = database().compartment("rest", 5, ["reporting"]).build();
    let said = overbooked.unwrap_err().to_string();
    assert!(said.contains("gives out more than it has"), "{said}");
    let stranger = database().cap("reporting", 3).build().unwrap_err();
    assert!(matches!(stranger, BulkheadError::UnknownService { .. }));
    assert!(database().cap("checkout", 7).build().is_err());
    assert!(database().build().unwrap().bulkhead("reporting").is_err());
    assert!(Bulkhead::new("a pool", 3).is_err());
    assert!(Bulkhead::new("licence", 0).is_err());
}
