//! The laws of a monitor, with nodes that beat once a second unless they are silent.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// A monitor, and nodes that beat once a second unless they are silent.
struct Ward {
    now: Tick,
    monitor: Monitor,
    generations: Vec<u64>,
    sequence: u64,
    silent: Vec<usize>,
    notices: Vec<Notice>,
}

fn id(place: usize) -> NodeId {
    format!("n{place}").parse().unwrap()
}

fn spec() -> MonitorSpec {
    MonitorSpec {
        grace: 2 * S,
        ..MonitorSpec::default()
    }
}

impl Ward {
    fn new(nodes: usize) -> Self {
        Self::with(nodes, spec())
    }

    fn with(nodes: usize, spec: MonitorSpec) -> Self {
        let mut ward = Self {
            now: Tick::ZERO,
            monitor: Monitor::new(spec, Tick::ZERO).unwrap(),
            generations: vec![1; nodes],
            sequence: 0,
            silent: Vec::new(),
            notices: Vec::new(),
        };
        ward.run(5 * S);
        ward.notices.clear();
        ward
    }

    /// A round of beats each second, and ticks when they are due.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.sequence += 1;
            for place in 0..self.generations.len() {
                if !self.silent.contains(&place) {
                    self.beat(place);
                }
            }
            let next = self.now + S;
            while self.monitor.next_wakeup() < next {
                self.now = self.now.max(self.monitor.next_wakeup());
                self.monitor.on_tick(self.now, &mut self.notices);
            }
            self.now = next;
        }
    }

    fn beat(&mut self, place: usize) -> Received {
        self.beat_as(place, self.generations[place], Some(self.sequence))
    }

    fn beat_as(&mut self, place: usize, generation: u64, sequence: Option<u64>) -> Received {
        let id = id(place);
        let arrival = Arrival {
            id: &id,
            generation,
            sequence,
            interval: Some(S),
            metadata: None,
        };
        self.monitor.on_beat(self.now, &arrival, &mut self.notices)
    }

    fn node(&self, place: usize) -> NodeView {
        self.monitor.node(self.now, &id(place)).unwrap()
    }

    fn life(&self, place: usize) -> Life {
        self.node(place).life
    }

    fn deaths(&self) -> usize {
        let is_death = |notice: &&Notice| matches!(notice, Notice::Life { to: Life::Dead, .. });
        self.notices.iter().filter(is_death).count()
    }
}

#[test]
fn alive_means_a_beat_within_the_time_out_and_nothing_else() {
    let mut ward = Ward::new(3);
    ward.silent.push(1);
    let last = Tick::ZERO + 4 * S;
    for ms in [1_000, 3_900, 4_999] {
        ward.now = last + ms * MS;
        assert!(ward.node(1).is_alive, "{ms}");
    }
    ward.now = last + 5 * S;
    assert!(!ward.node(1).is_alive);
    assert_eq!(ward.node(1).age, 5 * S);
}

#[test]
fn one_missed_beat_kills_nobody_and_a_lasting_silence_suspects_and_then_buries() {
    let mut ward = Ward::new(3);
    ward.silent.push(1);
    ward.run(2 * S);
    assert_eq!(ward.life(1), Life::Alive);
    ward.run(3 * S);
    assert_eq!(ward.life(1), Life::Suspected);
    ward.run(5 * S);
    assert_eq!(ward.life(1), Life::Dead);
    assert_eq!(
        (ward.life(0), ward.life(2), ward.deaths()),
        (Life::Alive, Life::Alive, 1)
    );
}

#[test]
fn a_suspect_that_beats_is_alive_and_the_dead_need_two_beats() {
    let mut ward = Ward::new(3);
    ward.silent.push(1);
    ward.run(5 * S);
    ward.silent.clear();
    ward.run(S);
    assert_eq!(ward.life(1), Life::Alive);
    ward.silent.push(1);
    ward.run(10 * S);
    assert_eq!(ward.life(1), Life::Dead);
    ward.silent.clear();
    ward.run(S);
    assert_eq!(ward.life(1), Life::Dead);
    ward.run(S);
    assert_eq!(ward.life(1), Life::Alive);
}

#[test]
fn a_restarted_node_is_back_at_once_and_its_older_messages_change_nothing() {
    let mut ward = Ward::new(3);
    ward.silent.push(1);
    ward.run(10 * S);
    assert_eq!(ward.beat_as(1, 2, Some(1)), Received::Counted);
    assert_eq!((ward.life(1), ward.node(1).generation), (Life::Alive, 2));
    let restarted = Notice::Restarted {
        id: id(1),
        generation: 2,
    };
    assert!(ward.notices.contains(&restarted));
    ward.now = ward.now + S;
    let before = ward.node(1);
    let known = 2;
    assert_eq!(ward.beat_as(1, 1, Some(99)), Received::Outdated { known });
    assert_eq!(ward.beat_as(1, 2, Some(1)), Received::Repeated);
    assert_eq!(ward.node(1), before);
    assert_eq!(ward.beat_as(1, 2, Some(2)), Received::Counted);
}

#[test]
fn who_does_not_count_its_beats_is_heard_each_time() {
    let mut ward = Ward::new(1);
    for _ in 0..3 {
        ward.now = ward.now + S;
        assert_eq!(ward.beat_as(7, 0, None), Received::Counted);
        assert_eq!(ward.node(7).age, Duration::ZERO);
    }
}

#[test]
fn when_nobody_is_heard_judgement_is_suspended_and_ages_go_on() {
    let mut ward = Ward::new(4);
    ward.silent = vec![0, 1, 2, 3];
    ward.run(60 * S);
    assert!(ward.monitor.is_suspended());
    assert_eq!(ward.notices, [Notice::Suspended]);
    assert!((0..4).all(|place| ward.life(place) == Life::Alive && !ward.node(place).is_alive));
    // Two come back: after the grace the others are judged.
    ward.silent = vec![2, 3];
    ward.run(S);
    assert!(ward.notices.contains(&Notice::Resumed) && ward.life(2) == Life::Alive);
    ward.run(8 * S);
    assert_eq!((ward.life(0), ward.life(2)), (Life::Alive, Life::Dead));
}

#[test]
fn silence_tells_of_a_node_only_while_somebody_else_is_heard() {
    let mut ward = Ward::new(2);
    let id = id(9);
    let slow = |sequence| Arrival {
        id: &id,
        generation: 1,
        sequence: Some(sequence),
        interval: Some(60 * S),
        metadata: None,
    };
    ward.monitor.on_beat(ward.now, &slow(1), &mut ward.notices);
    ward.silent = vec![0, 1];
    ward.run(30 * S);
    assert!(!ward.monitor.is_suspended(), "one is still on time");
    assert_eq!((ward.life(0), ward.life(1)), (Life::Alive, Life::Alive));
    ward.monitor.on_beat(ward.now, &slow(2), &mut ward.notices);
    ward.run(S);
    assert_eq!((ward.life(0), ward.life(1)), (Life::Dead, Life::Dead));
}

#[test]
fn who_is_alone_is_judged() {
    let mut ward = Ward::new(1);
    ward.silent.push(0);
    ward.run(12 * S);
    assert_eq!(ward.life(0), Life::Dead);
}

#[test]
fn who_announces_that_it_beats_less_is_not_missed() {
    let mut ward = Ward::new(3);
    let id = id(9);
    let arrival = Arrival {
        id: &id,
        generation: 1,
        sequence: Some(1),
        interval: Some(30 * S),
        metadata: None,
    };
    ward.monitor.on_beat(ward.now, &arrival, &mut ward.notices);
    ward.run(80 * S);
    assert_eq!((ward.life(9), ward.node(9).is_alive), (Life::Alive, false));
    ward.run(20 * S);
    assert_eq!(ward.life(9), Life::Suspected);
}

#[test]
fn who_dies_and_returns_again_and_again_is_not_trusted_until_it_is_steady() {
    let mut ward = Ward::new(3);
    for _ in 0..3 {
        ward.silent = vec![1];
        ward.run(8 * S);
        ward.silent.clear();
        ward.run(3 * S);
    }
    assert_eq!((ward.deaths(), ward.node(1).is_damped), (3, true));
    assert_eq!(ward.life(1), Life::Suspected);
    ward.run(60 * S);
    assert_eq!((ward.life(1), ward.node(1).is_damped), (Life::Alive, false));
}

#[test]
fn a_death_needs_a_majority_of_monitors() {
    let mut ward = Ward::with(
        3,
        MonitorSpec {
            monitors: 3,
            ..spec()
        },
    );
    ward.silent.push(1);
    // An opinion that is old does not count, nor a stranger's.
    ward.monitor.on_opinion(ward.now, 2, vec![id(1)]);
    ward.run(20 * S);
    assert_eq!((ward.life(1), ward.node(1).missed_by), (Life::Suspected, 1));
    assert_eq!(ward.monitor.opinion(), [id(1)]);
    ward.monitor.on_opinion(ward.now, 3, vec![id(1)]);
    ward.monitor.on_opinion(ward.now, 0, vec![id(1)]);
    ward.run(2 * S);
    assert_eq!(ward.life(1), Life::Suspected);
    ward.monitor.on_opinion(ward.now, 2, vec![id(1)]);
    assert_eq!(ward.node(1).missed_by, 2);
    ward.run(2 * S);
    assert_eq!(ward.life(1), Life::Dead);
}

#[test]
fn a_restarted_monitor_remembers_and_grants_a_grace() {
    let mut ward = Ward::new(4);
    ward.silent.push(1);
    ward.run(12 * S);
    let (remembered, rest) = ward.monitor.remember_page(ward.now, 0, 10);
    assert_eq!(rest, None);
    // Down for a minute; node 3 has died meanwhile.
    ward.monitor = Monitor::new(spec(), ward.now).unwrap();
    for mut node in remembered {
        node.age += 60 * S;
        assert!(ward.monitor.restore(ward.now, node));
    }
    ward.notices.clear();
    assert_eq!((ward.life(0), ward.life(1)), (Life::Alive, Life::Dead));
    assert!(!ward.node(0).is_alive);
    ward.now = ward.now + S;
    ward.monitor.on_tick(ward.now, &mut ward.notices);
    assert_eq!(ward.notices, []);
    ward.silent.push(3);
    ward.run(S);
    assert_eq!((ward.life(3), ward.deaths()), (Life::Alive, 0));
    ward.run(9 * S);
    assert_eq!((ward.life(3), ward.deaths()), (Life::Dead, 1));
    assert_eq!((ward.life(0), ward.life(2)), (Life::Alive, Life::Alive));
}

#[test]
fn who_leaves_is_no_casualty_and_the_forgotten_make_room() {
    let mut ward = Ward::with(
        2,
        MonitorSpec {
            nodes_max: 2,
            forget_after: Duration::from_mins(1),
            ..spec()
        },
    );
    assert_eq!(ward.beat_as(5, 1, None), Received::Full);
    assert!(
        !ward
            .monitor
            .on_leave(ward.now, &id(1), 7, &mut ward.notices)
    );
    assert!(
        ward.monitor
            .on_leave(ward.now, &id(1), 1, &mut ward.notices)
    );
    ward.silent.push(1);
    ward.run(30 * S);
    assert_eq!((ward.life(1), ward.deaths()), (Life::Left, 0));
    ward.run(40 * S);
    assert_eq!(ward.monitor.node(ward.now, &id(1)), None);
    assert!(ward.notices.contains(&Notice::Forgotten { id: id(1) }));
    assert_eq!(ward.beat_as(5, 1, None), Received::Counted);
    assert_eq!(ward.monitor.node(ward.now, &id(1)), None);
}

#[test]
fn numbers_out_of_their_range_are_named() {
    type Edit = fn(&mut MonitorSpec);
    let wrong: [(&str, Edit); 4] = [
        ("timeout", |spec| spec.timeout = MS),
        ("recovery", |spec| spec.recovery = 0),
        ("monitors", |spec| spec.monitors = 0),
        ("nodes_max", |spec| spec.nodes_max = 0),
    ];
    for (name, edit) in wrong {
        let mut spec = spec();
        edit(&mut spec);
        let refused = Monitor::new(spec, Tick::ZERO).map(drop);
        let Err(Error::Monitor { number, .. }) = refused else {
            panic!("{name}: {refused:?}");
        };
        assert_eq!(number, name);
    }
}

proptest! {
    #[test]
    fn a_beat_reads_back_and_garbage_does_not_panic(
        id in "[a-z0-9]{0,64}",
        generation in any::<u64>(),
        sequence in any::<u64>(),
        ms in prop::option::of(1..u64::MAX),
        metadata in prop::collection::vec(any::<u8>(), 0..512),
        is_farewell in any::<bool>(),
        garbage in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let interval = ms.map(Duration::from_millis);
        let beat = BeatDatagram {
            id: &id,
            generation,
            sequence,
            interval,
            is_farewell,
            metadata: &metadata,
        };
        let mut bytes = Vec::new();
        beat.encode(&mut bytes);
        prop_assert!(bytes.len() <= BeatDatagram::LENGTH_MAX);
        prop_assert_eq!(BeatDatagram::decode(&bytes), Ok(beat));
        for length in 0..bytes.len() {
            prop_assert!(BeatDatagram::decode(&bytes[..length]).is_err());
        }
        let _ = BeatDatagram::decode(&garbage);
    }

    #[test]
    fn whatever_comes_the_laws_of_a_monitor_hold(
        events in prop::collection::vec((0..6_usize, 0..3_u64, 0..9_u64, 0..9_000_u64, 0..8_u8), 0..120),
    ) {
        let mut ward = Ward::with(0, MonitorSpec { nodes_max: 4, ..spec() });
        let mut known: HashMap<NodeId, (u64, u64)> = HashMap::new();
        let mut lives: HashMap<NodeId, Life> = HashMap::new();
        for (place, generation, sequence, wait_ms, kind) in events {
            ward.now = ward.now + MS * u32::try_from(wait_ms).unwrap();
            match kind {
                0 => drop(ward.monitor.on_leave(ward.now, &id(place), generation, &mut ward.notices)),
                1..4 => ward.monitor.on_tick(ward.now, &mut ward.notices),
                _ => drop(ward.beat_as(place, generation, Some(sequence))),
            }
            let mut suspended = false;
            for notice in ward.notices.drain(..) {
                match notice {
                    Notice::Life { id, from, to } => {
                        prop_assert_eq!(lives.get(&id).copied(), from);
                        prop_assert!(to != Life::Dead || from == Some(Life::Suspected));
                        prop_assert!(to != Life::Dead || !suspended);
                        lives.insert(id, to);
                    }
                    Notice::Forgotten { id } => {
                        let last = lives.remove(&id);
                        prop_assert!(last.is_some_and(|life| !life.is_present()));
                        known.remove(&id);
                    }
                    Notice::Suspended => suspended = true,
                    _ => {}
                }
            }
            let nodes: Vec<NodeView> = ward.monitor.nodes(ward.now).collect();
            let present = nodes.iter().filter(|node| node.life.is_present()).count();
            prop_assert_eq!(ward.monitor.count_of_nodes(), (nodes.len(), present));
            for life in [Life::Alive, Life::Suspected, Life::Dead, Life::Left] {
                let count = nodes.iter().filter(|node| node.life == life).count();
                prop_assert_eq!(ward.monitor.count_of(life), count);
            }
            prop_assert!(nodes.len() <= 4);
            let mut paged = Vec::new();
            let mut from = Some(0);
            while let Some(place) = from {
                let (page, next) = ward.monitor.page(ward.now, place, 2);
                prop_assert!(!page.is_empty() || nodes.is_empty());
                paged.extend(page);
                from = next;
            }
            prop_assert_eq!(&paged, &nodes);
            for node in nodes {
                let new = (node.generation, node.sequence);
                let old = known.insert(node.id.clone(), new);
                prop_assert!(old.is_none_or(|old| old <= new), "{:?}", node.id);
                prop_assert_eq!(lives.get(&node.id), Some(&node.life));
                prop_assert_eq!(node.is_alive, node.age < spec().timeout);
            }
        }
    }
}
