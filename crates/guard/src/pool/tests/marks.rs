//! Walls that are noted to fill up before they are full, over floods and random histories.

use std::collections::HashMap;

use proptest::prelude::*;
use watertight_base::Percent;

use super::{super::*, world::*};
use crate::alert::{self, Board, Key, Kind, Sample, Wall};

fn told_from(percent: f64, layout: Layout) -> Layout {
    layout.told_from(|_| Percent::try_from(percent).unwrap())
}

/// A database of 100 connections: checkout has 30, and the rest 50, of which recommendations may hold
/// 15 and reporting 10. Somebody wants to know from 70 % on.
fn database() -> Layout {
    let caps = [("recommendations", 15), ("reporting", 10)];
    let rest = compartment("rest", 50, &["recommendations", "reporting"], &caps);
    let critical = compartment("critical", 30, &["checkout"], &[]);
    let pool = pool("database", 100, 20, vec![critical, rest]);
    let services = ["checkout", "recommendations", "reporting"].map(service);
    told_from(70.0, Layout::new(vec![pool], &services).unwrap())
}

/// How somebody learns of a wall.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Look {
    /// By the notes that walls make.
    AtNotes,
    /// The bug: by what is held at the moment of a look.
    AtWhatIsHeld,
}

/// Seats of `part` held now, and those there are.
fn held_of(world: &World, (part, service): (&str, Option<&str>)) -> (u32, u32) {
    let views = world.pools.view(world.now);
    let part = views[0]
        .compartments
        .iter()
        .find(|it| it.id.as_str() == part);
    let part = part.unwrap();
    let Some(service) = service else {
        return (part.in_use, part.seats);
    };
    let slot = part
        .slots
        .iter()
        .find(|slot| slot.service.as_str() == service);
    let slot = slot.unwrap();
    (slot.in_use, slot.cap)
}

const PLACES: [(&str, Option<&str>); 3] = [
    ("critical", None),
    ("rest", Some("recommendations")),
    ("rest", Some("reporting")),
];

fn sample(place: (&str, Option<&str>), held: u32, wall: Wall) -> Sample {
    Sample {
        key: Key::new(Kind::CapFilling).with("place", place.1.unwrap_or(place.0)),
        value: held.into(),
        fires: wall.fires.into(),
        clears: wall.clears,
        says: String::new(),
    }
}

fn on_look(world: &mut World, look: Look, board: &mut Board) {
    let (mut effects, now) = (Vec::new(), world.now);
    let crossings = world.pools.take_crossings();
    for crossing in crossings.iter().filter(|_| look == Look::AtNotes) {
        let part = crossing.compartment.as_ref().unwrap().as_str();
        let place = (part, crossing.service.as_ref().map(ServiceId::as_str));
        let sample = sample(place, crossing.wall.fires, crossing.wall);
        board.on_crossing(crossing.at, sample, &mut effects);
    }
    let samples = PLACES.map(|place| {
        let (held, seats) = held_of(world, place);
        let wall = Wall::new(seats, Percent::try_from(70.0).unwrap()).unwrap();
        sample(place, held, wall)
    });
    board.on_samples(now, samples, &mut effects);
}

/// Recommendations and reporting flood, `pause_us` between two requests, while checkout holds a
/// few; somebody looks every second. What is wrong with the alerts of that.
fn flood(first_look_us: u64, pause_us: u64, look: Look) -> Result<(), String> {
    let mut world = World::new(database());
    let mut board = Board::new(alert::Settings::default());
    let mut next_look = Tick::ZERO + Duration::from_micros(first_look_us);
    let mut full = None;
    let names = ["recommendations", "reporting"].into_iter().cycle();
    for (number, name) in (0..40_u64).zip(names) {
        world.now = world.now + Duration::from_micros(pause_us);
        if world.now >= next_look {
            on_look(&mut world, look, &mut board);
            next_look = next_look + Duration::from_secs(1);
        }
        world.arrive(name, Class::Ordinary, number % 3);
        if number % 8 == 0 {
            world.arrive("checkout", Class::Ordinary, 1);
        }
        if held_of(&world, PLACES[1]) == (15, 15) {
            full.get_or_insert(world.now);
        }
    }
    world.now = world.now.max(next_look);
    on_look(&mut world, look, &mut board);
    let view = board.view();
    let began = |name: &str| {
        let about = |alert: &&alert::Alert| alert.key.labels["place"] == name;
        view.firing().find(about).map(|alert| alert.began)
    };
    let (began, checkout) = (began("recommendations"), began("critical"));
    if checkout.is_some() {
        return Err("checkout alerts".into());
    }
    match (began, full) {
        (Some(began), Some(full)) if began < full => Ok(()),
        other => Err(format!("alerted and full at {other:?}")),
    }
}

proptest! {
    #[test]
    fn the_alert_on_a_cap_begins_before_a_flood_fills_it_and_checkout_has_none(
        first_look_us in 0_u64..1_000_000,
        pause_us in 1_u64..100_000,
    ) {
        prop_assert_eq!(flood(first_look_us, pause_us, Look::AtNotes), Ok(()));
    }

    #[test]
    fn the_checker_sees_alerts_that_wait_for_a_look(
        first_look_us in 100_000_u64..1_000_000,
        pause_us in 1_u64..1_000,
    ) {
        let wrong = flood(first_look_us, pause_us, Look::AtWhatIsHeld);
        prop_assert!(wrong.is_err());
    }

    #[test]
    fn each_wall_notes_the_first_seat_that_brought_it_up_to_its_mark(
        events in prop::collection::vec((0_usize..8, 0_u64..4, 0_usize..40), 1..120),
    ) {
        let mut world = World::new(told_from(60.0, layout(3)));
        let mut before = walls(&world);
        let mut expected: Vec<(String, Tick)> = Vec::new();
        // A seat that is handed on at the mark: seen from outside, nothing happened.
        let mut handed_on: Vec<String> = Vec::new();
        for (what, tenant, which) in events {
            world.now = world.now + Duration::from_millis(1);
            let news = expected.len();
            match what {
                0..5 => drop(world.arrive(SERVICES[what], Class::Ordinary, tenant)),
                5 | 6 if !world.seats.is_empty() => world.release(which % world.seats.len()),
                _ if which < 4 => {
                    let certain = |it: &(String, Tick)| !handed_on.contains(&it.0);
                    let taken = world.pools.take_crossings().into_iter();
                    let taken = taken.map(|it| (name(&it), it.at));
                    let mut taken: Vec<_> = taken.filter(certain).collect();
                    expected.retain(certain);
                    taken.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(&taken, &std::mem::take(&mut expected));
                    handed_on.clear();
                    continue;
                }
                _ => continue,
            }
            let after = walls(&world);
            for (name, (held, seats)) in &after {
                let mark = Wall::new(*seats, Percent::try_from(60.0).unwrap()).unwrap().fires;
                let crossed = before[name].0 < mark && *held >= mark;
                if matches!(what, 5 | 6) && before[name].0 == mark && *held >= mark {
                    handed_on.push(name.clone());
                }
                if crossed && !expected.iter().any(|(other, _)| other == name) {
                    expected.push((name.clone(), world.now));
                }
            }
            let has_news = world.pools.has_news();
            prop_assert!(!handed_on.is_empty() || has_news == (expected.len() > news));
            before = after;
        }
    }
}

fn name(crossing: &Crossing) -> String {
    let part = crossing.compartment.as_ref().map_or("", |id| id.as_str());
    let service = crossing.service.as_ref().map_or("", |id| id.as_str());
    format!("{}/{part}/{service}", crossing.pool)
}

/// What is held of each wall, and its seats.
fn walls(world: &World) -> HashMap<String, (u32, u32)> {
    let mut walls = HashMap::new();
    for pool in world.pools.view(world.now) {
        walls.insert(format!("{}//", pool.id), (pool.in_use, pool.capacity));
        for part in pool.compartments {
            let id = format!("{}/{}/", pool.id, part.id);
            walls.insert(id.clone(), (part.in_use, part.seats));
            for slot in part.slots.iter().filter(|slot| slot.cap < part.seats) {
                walls.insert(format!("{id}{}", slot.service), (slot.in_use, slot.cap));
            }
        }
    }
    walls
}

#[test]
fn a_note_outlives_a_reload_unless_the_mark_moves_up() {
    for (percent, notes) in [(70.0, 1), (50.0, 1), (90.0, 0)] {
        let mut world = World::new(database());
        for tenant in 0..11 {
            world.arrive("recommendations", Class::Ordinary, tenant);
        }
        let layout = told_from(percent, database());
        world.pools.reload(world.now, layout, &mut world.effects);
        assert!(world.pools.has_news());
        let crossings = world.pools.take_crossings();
        assert_eq!(crossings.len(), notes, "{percent}: {crossings:?}");
    }
}

#[test]
fn where_nobody_wants_to_know_nothing_is_noted() {
    let mut world = World::new(layout(1));
    for tenant in 0..20 {
        world.arrive("checkout", Class::Ordinary, tenant);
    }
    assert!(!world.pools.has_news());
    assert_eq!(world.pools.take_crossings(), []);
}
