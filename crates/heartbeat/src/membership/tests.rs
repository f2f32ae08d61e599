//! The laws of membership in the small: a few members who hear each other at once. Whole clusters
//! under faults are in the world of `sim`.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Members who hear each other at once, on one clock.
struct Room {
    now: Tick,
    members: Vec<Membership>,
    /// Who neither hears nor is heard; its time goes on.
    away: Vec<usize>,
    events: Vec<(usize, Event)>,
    datagrams: Vec<Vec<u8>>,
}

fn id(place: usize) -> NodeId {
    format!("n{place}").parse().unwrap()
}

fn address(place: usize) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, u16::try_from(place).unwrap()).into()
}

fn spec(place: usize) -> MembershipSpec {
    let mut spec = MembershipSpec::new(id(place), address(place), 1, place as u64);
    spec.seeds = vec![address(0)];
    spec
}

impl Room {
    fn new(size: usize) -> Self {
        Self::with(size, |_| ())
    }

    fn with(size: usize, edit: impl Fn(&mut MembershipSpec)) -> Self {
        let member = |place| {
            let mut spec = spec(place);
            edit(&mut spec);
            Membership::new(spec, Tick::ZERO).unwrap()
        };
        let mut room = Self {
            now: Tick::ZERO,
            members: (0..size).map(member).collect(),
            away: Vec::new(),
            events: Vec::new(),
            datagrams: Vec::new(),
        };
        room.run(5 * S);
        room.events.clear();
        room
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let due = self.members.iter().map(Membership::next_wakeup).min();
            let due = due.unwrap().max(self.now);
            if due > end {
                break;
            }
            self.now = due;
            for place in 0..self.members.len() {
                if self.members[place].next_wakeup() <= self.now {
                    let mut effects = Vec::new();
                    self.members[place].on_tick(self.now, &mut effects);
                    self.carry(place, effects);
                }
            }
        }
        self.now = end;
    }

    fn carry(&mut self, from: usize, effects: Vec<Effect>) {
        let mut open: VecDeque<_> = effects.into_iter().map(|effect| (from, effect)).collect();
        while let Some((from, effect)) = open.pop_front() {
            let (to, datagram) = match effect {
                Effect::Event(event) => {
                    self.events.push((from, event));
                    continue;
                }
                Effect::Send { to, datagram } => (usize::from(to.port()), datagram),
            };
            self.datagrams.push(datagram.clone());
            if self.away.contains(&from) || self.away.contains(&to) || to >= self.members.len() {
                continue;
            }
            let mut effects = Vec::new();
            self.members[to].on_datagram(self.now, address(from), &datagram, &mut effects);
            open.extend(effects.into_iter().map(|effect| (to, effect)));
        }
    }

    fn life(&self, by: usize, of: usize) -> Option<Life> {
        self.members[by].life(&id(of))
    }

    fn saw(&self, by: usize, event: &Event) -> bool {
        self.events
            .iter()
            .any(|(who, seen)| *who == by && seen == event)
    }

    /// A message of one member reaches another.
    fn tell(&mut self, from: usize, to: usize, message: &Message, records: &[Record<'_>]) {
        let mut writer = self.members[from].writer(message);
        assert!(records.iter().all(|record| writer.push(record)));
        let mut effects = Vec::new();
        let datagram = writer.finish();
        self.members[to].on_datagram(self.now, address(from), &datagram, &mut effects);
        self.carry(to, effects);
    }
}

use super::wire::{Accusers, Claim, Profile, Record};

fn stamp(place: usize, generation: u64, incarnation: u32) -> Stamp {
    Stamp {
        key: Key::from(&id(place)),
        version: Version {
            generation,
            incarnation,
        },
    }
}

fn suspected(place: usize, incarnation: u32, accusers: &[usize]) -> Record<'static> {
    let keys: Vec<Key> = accusers
        .iter()
        .map(|place| Key::from(&id(*place)))
        .collect();
    Record {
        of: stamp(place, 1, incarnation),
        claim: Claim::Suspected(Accusers::new(&keys)),
    }
}

fn dead(place: usize, incarnation: u32, accuser: usize) -> Record<'static> {
    Record {
        of: stamp(place, 1, incarnation),
        claim: Claim::Dead {
            accuser: Key::from(&id(accuser)),
        },
    }
}

#[test]
fn who_begins_with_a_seed_knows_everybody_and_is_known_by_all() {
    let room = Room::new(6);
    let digests: Vec<u64> = room
        .members
        .iter()
        .map(|it| it.view(room.now).digest)
        .collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    assert_eq!(room.members[5].members(room.now).count(), 6);
}

#[test]
fn who_stays_away_is_suspected_then_dead_and_its_accuser_is_known() {
    let mut room = Room::new(5);
    room.away.push(3);
    room.run(40 * S);
    for by in [0, 1, 2, 4] {
        assert_eq!(room.life(by, 3), Some(Life::Dead));
        let accuser = room.members[by].member(room.now, &id(3)).unwrap().accuser;
        assert!(accuser.is_some_and(|accuser| accuser != id(3)));
    }
}

#[test]
fn who_hears_nobody_accuses_nobody_and_says_so() {
    let mut room = Room::new(5);
    room.away.push(3);
    room.run(60 * S);
    assert!((0..5).all(|of| room.life(3, of) == Some(Life::Alive)));
    assert!(room.saw(3, &Event::Deaf) && room.members[3].view(room.now).is_deaf);
    room.away.clear();
    room.run(90 * S);
    assert!(room.saw(3, &Event::Hearing));
    for by in 0..5 {
        assert!(
            (0..5).all(|of| room.life(by, of) == Some(Life::Alive)),
            "{by}"
        );
    }
}

#[test]
fn seeds_that_are_named_later_are_asked_at_once() {
    let mut room = Room::with(2, |spec| spec.seeds.clear());
    room.run(S);
    assert_eq!(room.life(0, 1), None);
    let now = room.now;
    room.members[1].set_seeds(now, vec![address(0)]);
    room.run(S);
    assert_eq!(
        (room.life(0, 1), room.life(1, 0)),
        (Some(Life::Alive), Some(Life::Alive))
    );
}

#[test]
fn of_two_the_others_silence_is_judged() {
    let mut room = Room::new(2);
    room.away.push(1);
    room.run(30 * S);
    assert_eq!(room.life(0, 1), Some(Life::Dead));
    room.away.clear();
    room.run(60 * S);
    assert_eq!(room.life(0, 1), Some(Life::Alive));
    assert!(
        !room.saw(0, &Event::Hearing),
        "it never said that it was deaf"
    );
}

#[test]
fn a_suspect_denies_with_a_higher_incarnation_and_is_trusted_by_all() {
    let mut room = Room::new(4);
    room.tell(1, 2, &Message::Gossip, &[suspected(3, 0, &[1])]);
    assert_eq!(room.life(2, 3), Some(Life::Suspected));
    room.run(3 * S);
    let accuser = Some(id(1));
    assert!(room.saw(
        3,
        &Event::Refuted {
            accuser: accuser.clone()
        }
    ));
    assert!(room.saw(2, &Event::Suspected { id: id(3), accuser }));
    assert!(room.saw(2, &Event::Trusted(id(3))));
    for by in 0..4 {
        let member = room.members[by].member(room.now, &id(3)).unwrap();
        assert_eq!((member.life, member.version.incarnation), (Life::Alive, 1));
    }
}

#[test]
fn every_accuser_of_a_record_confirms_and_the_dead_do_not_count() {
    let mut room = Room::new(7);
    room.away.push(6);
    room.tell(1, 2, &Message::Gossip, &[dead(5, 0, 1)]);
    room.tell(1, 2, &Message::Gossip, &[suspected(6, 0, &[5])]);
    assert_eq!(room.life(2, 6), Some(Life::Alive), "a dead one accuses");
    room.tell(1, 2, &Message::Gossip, &[suspected(6, 0, &[5, 1, 3, 4])]);
    let member = room.members[2].member(room.now, &id(6)).unwrap();
    assert_eq!((member.accusers, member.accuser), (3, Some(id(1))));
}

#[test]
fn what_is_older_changes_nothing() {
    let mut room = Room::new(4);
    room.tell(1, 3, &Message::Gossip, &[suspected(3, 4, &[1])]);
    room.run(5 * S);
    let own = room.members[3].own_version();
    assert_eq!(own.incarnation, 5);
    for old in [suspected(3, 4, &[1, 2]), dead(3, 4, 1)] {
        room.tell(1, 2, &Message::Gossip, &[old]);
        assert_eq!(room.life(2, 3), Some(Life::Alive));
    }
}

#[test]
fn a_process_of_the_past_learns_so_wherever_its_successor_runs() {
    let mut room = Room::new(4);
    room.away.push(3);
    let mut again = spec(3);
    again.generation = 2;
    again.address = address(4);
    room.members.push(Membership::new(again, room.now).unwrap());
    // Long enough for all of this to be old news.
    room.run(300 * S);
    room.events.clear();
    room.away.clear();
    room.run(3 * S);
    let of_the_past = room.events.iter().filter(|(by, _)| *by == 3);
    let said: Vec<&Event> = of_the_past.map(|(_, event)| event).collect();
    assert!(
        said.contains(&&Event::Superseded { generation: 2 }),
        "{said:?}"
    );
    let accuses = |event: &&Event| matches!(event, Event::Suspected { .. } | Event::Dead { .. });
    assert!(!said.iter().any(accuses), "{said:?}");
}

#[test]
fn a_restarted_node_returns_with_a_higher_generation_and_its_past_changes_nothing() {
    let mut room = Room::new(4);
    room.away.push(3);
    room.run(40 * S);
    assert_eq!(room.life(0, 3), Some(Life::Dead));
    let mut again = spec(3);
    again.generation = 2;
    let zombie = std::mem::replace(
        &mut room.members[3],
        Membership::new(again, room.now).unwrap(),
    );
    room.away.clear();
    room.run(10 * S);
    assert!((0..3).all(|by| room.saw(by, &Event::Returned(id(3)))));
    for record in [dead(3, 9, 1), suspected(3, 9, &[1])] {
        room.tell(1, 2, &Message::Gossip, &[record]);
        assert_eq!(room.life(2, 3), Some(Life::Alive));
    }
    // The process from before wakes up: nobody listens, and it learns that its time is over.
    room.members[3] = zombie;
    room.run(10 * S);
    let superseded = |(by, event): &(usize, Event)| {
        *by == 3 && matches!(event, Event::Superseded { generation: 2 })
    };
    assert!(room.events.iter().any(superseded));
    assert!(room.members[3].view(room.now).is_superseded);
    let outdated = |member: &Membership| member.view(room.now).counts.outdated;
    assert!(room.members[..3].iter().map(outdated).sum::<u64>() > 0);
    assert_eq!(room.members[3].next_wakeup(), Tick::MAX);
    let member = room.members[0].member(room.now, &id(3)).unwrap();
    assert_eq!(member.version.generation, 2);
}

#[test]
fn who_leaves_is_gone_at_once_and_is_no_casualty() {
    let mut room = Room::new(5);
    let mut effects = Vec::new();
    room.members[2].leave(room.now, &mut effects);
    room.carry(2, effects);
    room.run(2 * S);
    room.away.push(2);
    room.run(60 * S);
    for by in [0, 1, 3, 4] {
        assert_eq!(room.life(by, 2), Some(Life::Left));
        assert!(room.saw(by, &Event::Left(id(2))));
    }
    let buried = |(_, event): &(usize, Event)| matches!(event, Event::Dead { .. });
    assert!(!room.events.iter().any(buried));
}

#[test]
fn after_a_pause_of_our_own_nobody_is_judged_for_what_was_not_heard() {
    let mut room = Room::new(4);
    room.tell(1, 2, &Message::Gossip, &[suspected(3, 0, &[1])]);
    // Member 2 stands still for a minute; the denial waits to be read.
    let later = room.now + 60 * S;
    let mut effects = Vec::new();
    room.members[2].on_tick(later, &mut effects);
    assert!(matches!(effects[0], Effect::Event(Event::Paused(late)) if late > 50 * S));
    assert_eq!(room.life(2, 3), Some(Life::Suspected));
    let judged = |effect: &Effect| matches!(effect, Effect::Event(Event::Dead { .. }));
    assert!(!effects.iter().any(judged));
    // Nor does its suspicion end soon: the minute does not count.
    room.now = later;
    room.away.push(3);
    room.run(3_200 * MS);
    assert_eq!(room.life(2, 3), Some(Life::Suspected));
}

#[test]
fn in_the_grace_after_a_pause_a_probe_without_an_answer_is_held_against_nobody() {
    let mut inconclusive = 0;
    for seed in 0..12 {
        let mut room = Room::with(4, |spec| spec.seed += 100 * seed);
        room.now = room.now + 60 * S;
        room.away.push(3);
        room.run(1_900 * MS);
        for member in &room.members {
            let counts = member.view(room.now).counts;
            assert_eq!((counts.pauses, counts.accusations), (1, 0));
            inconclusive += counts.inconclusive;
        }
    }
    assert!(inconclusive > 0);
}

#[test]
fn a_death_learned_by_comparing_tables_is_a_suspicion_first() {
    let mut room = Room::new(5);
    room.tell(1, 2, &Message::Records, &[dead(3, 0, 1)]);
    assert_eq!(room.life(2, 3), Some(Life::Suspected));
    room.tell(1, 2, &Message::Gossip, &[dead(4, 0, 1)]);
    assert_eq!(room.life(2, 4), Some(Life::Dead));
}

#[test]
fn what_a_node_says_of_itself_reaches_all() {
    let mut room = Room::new(4);
    let metadata = Metadata {
        load: Some(70),
        shards: vec!["a".into(), "b".into()],
        ..Metadata::default()
    };
    room.members[1].set_metadata(room.now, &metadata).unwrap();
    room.run(3 * S);
    for by in [0, 2, 3] {
        assert!(room.saw(by, &Event::Changed(id(1))));
        let member = room.members[by].member(room.now, &id(1)).unwrap();
        assert_eq!(member.metadata.as_ref(), Some(&metadata));
    }
}

#[test]
fn a_full_table_takes_nobody_in_and_counts() {
    let room = Room::with(6, |spec| spec.members_max = 4);
    for member in &room.members {
        assert!(member.members(room.now).count() <= 4);
    }
    assert!(room.members[0].view(room.now).counts.table_full > 0);
}

#[test]
fn a_name_that_does_not_make_its_key_is_refused() {
    let mut room = Room::new(2);
    let profile = Profile {
        id: "n9",
        address: address(9),
        metadata: &[],
    };
    let record = Record {
        of: stamp(8, 1, 0),
        claim: Claim::Alive(Some(profile)),
    };
    room.tell(1, 0, &Message::Gossip, &[record]);
    assert_eq!(room.members[0].members(room.now).count(), 2);
    assert_eq!(room.members[0].view(room.now).counts.malformed, 1);
}

#[test]
fn no_datagram_is_larger_than_it_may_be() {
    let long = Metadata {
        build: Some("b".repeat(500)),
        ..Metadata::default()
    };
    let mut room = Room::with(12, |spec| {
        spec.packet_max = 1_024;
        spec.metadata = long.clone();
    });
    room.away.push(3);
    room.run(30 * S);
    assert_eq!(room.members[0].members(room.now).count(), 12);
    assert!(
        room.datagrams
            .iter()
            .all(|datagram| datagram.len() <= 1_024)
    );
    assert!(room.datagrams.iter().any(|datagram| datagram.len() > 600));
}

#[test]
fn an_answered_probe_costs_two_datagrams_and_quiet_is_quiet() {
    let mut room = Room::new(10);
    room.run(60 * S);
    room.datagrams.clear();
    room.run(60 * S);
    let each = room.datagrams.len() / 10;
    // A question and its answer a second, and a comparison now and then.
    assert!((118..=130).contains(&each), "{each}");
}

#[test]
fn numbers_out_of_their_range_are_named() {
    type Edit = fn(&mut MembershipSpec);
    let wrong: [(&str, Edit); 6] = [
        ("interval", |spec| spec.interval = MS),
        ("timeout", |spec| spec.timeout = spec.interval),
        ("alpha", |spec| spec.alpha = 0),
        ("confirmations", |spec| spec.confirmations = 4),
        ("packet_max", |spec| spec.packet_max = 100),
        ("members_max", |spec| spec.members_max = 1),
    ];
    for (name, edit) in wrong {
        let mut spec = spec(0);
        edit(&mut spec);
        let refused = Membership::new(spec, Tick::ZERO).map(drop);
        let Err(Error::Membership { number, .. }) = refused else {
            panic!("{name}: {refused:?}");
        };
        assert_eq!(number, name);
    }
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    (0..6_usize, 0..4_u64, 0..4_u32)
        .prop_map(|(place, generation, incarnation)| stamp(place, generation, incarnation))
}

fn any_claim() -> impl Strategy<Value = (u8, Vec<u64>)> {
    (0..5_u8, prop::collection::vec(any::<u64>(), 1..5))
}

proptest! {
    #[test]
    fn garbage_is_counted_and_changes_nothing(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut room = Room::new(3);
        let before: Vec<_> = room.members[1].members(room.now).collect();
        let mut effects = Vec::new();
        let mut garbage = garbage;
        if let Some(version) = garbage.first_mut() {
            *version = 0xff;
        }
        room.members[1].on_datagram(room.now, address(7), &garbage, &mut effects);
        prop_assert_eq!(effects, vec![]);
        prop_assert_eq!(room.members[1].view(room.now).counts.malformed, 1);
        let after: Vec<_> = room.members[1].members(room.now).collect();
        prop_assert_eq!(after, before);
    }

    #[test]
    fn records_read_back(
        of in any_stamp(),
        (kind, keys) in any_claim(),
        metadata in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        let keys: Vec<Key> = keys.into_iter().map(Key).collect();
        let profile = Profile { id: "n1", address: address(1), metadata: &metadata };
        let claim = match kind {
            0 => Claim::Alive(None),
            1 => Claim::Alive(Some(profile)),
            2 => Claim::Suspected(Accusers::new(&keys)),
            3 => Claim::Dead { accuser: keys[0] },
            _ => Claim::Left,
        };
        let record = Record { of, claim };
        let mut writer = Writer::new(of, &Message::Gossip, 1_024);
        prop_assert!(writer.push(&record));
        let datagram = writer.finish();
        let mut reader = Reader::new(&datagram);
        prop_assert_eq!(reader.message(), Ok((of, Message::Gossip)));
        prop_assert_eq!(reader.record(), Ok(Some(record)));
        prop_assert_eq!(reader.record(), Ok(None));
        // Cut anywhere, it is refused or shorter, and never read beyond.
        for length in 0..datagram.len() {
            let mut reader = Reader::new(&datagram[..length]);
            let whole = reader.message().is_ok() && matches!(reader.record(), Ok(Some(_)));
            prop_assert!(!whole);
        }
    }

    #[test]
    fn no_claims_in_no_order_break_the_laws(
        claims in prop::collection::vec((any_stamp(), any_claim(), any::<bool>(), 0..4_000_u64), 0..60),
    ) {
        let mut room = Room::with(3, |spec| spec.members_max = 5);
        let mut known = room.members[0].members(room.now).map(|it| (it.id, (it.version, it.life)))
            .collect::<std::collections::HashMap<_, _>>();
        for (of, (kind, keys), is_sync, wait_ms) in claims {
            room.now = room.now + MS * u32::try_from(wait_ms).unwrap();
            let keys: Vec<Key> = keys.into_iter().map(Key).collect();
            let names: Vec<NodeId> = (0..6).map(id).collect();
            let own = names.iter().find(|id| Key::from(*id) == of.key).unwrap();
            let profile = Profile { id: own.as_str(), address: address(1), metadata: &[] };
            let claim = match kind {
                0 => Claim::Alive(None),
                1 => Claim::Alive(Some(profile)),
                2 => Claim::Suspected(Accusers::new(&keys)),
                3 => Claim::Dead { accuser: keys[0] },
                _ => Claim::Left,
            };
            let message = if is_sync { Message::Records } else { Message::Gossip };
            let mut writer = room.members[1].writer(&message);
            writer.push(&Record { of, claim });
            let datagram = writer.finish();
            let mut effects = Vec::new();
            let member = &mut room.members[0];
            member.on_datagram(room.now, address(1), &datagram, &mut effects);
            member.on_tick(room.now, &mut effects);
            let view = member.view(room.now);
            let all: Vec<_> = member.members(room.now).collect();
            prop_assert!(all.len() <= 5);
            let present = all.iter().filter(|it| it.life.is_present() || it.id == id(0)).count();
            prop_assert_eq!(view.present, present);
            let suspects = all.iter().filter(|it| it.life == Life::Suspected).count();
            prop_assert_eq!(view.suspected, suspects);
            for member in all {
                let new = (member.version, member.life);
                let old = known.insert(member.id.clone(), new);
                prop_assert!(old.is_none_or(|old| old <= new), "{:?}: {:?} {:?}", member.id, old, new);
            }
        }
    }
}
