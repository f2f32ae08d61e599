//! The laws, over contenders whose orders and answers are lost and late, and whose clocks differ; and
//! what a contender does, step by step.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;
use watertight_base::Percent;

use super::*;

const MS: Duration = Duration::from_millis(1);
const TTL: Duration = Duration::from_secs(1);

/// Contenders and the store between them. Nothing arrives unless it is told to.
struct Play {
    /// In nanoseconds of no clock in particular.
    now: u64,
    store: Option<(u64, Vec<u8>)>,
    parties: Vec<Party>,
    /// What each said, in the order in which it was said.
    events: Vec<(usize, Event)>,
}

struct Party {
    lease: Lease,
    /// Parts of a million by which its clock runs.
    speed: u64,
    requests: Vec<Request>,
    answers: Vec<(Request, Said)>,
    /// When it sent the last of what it knows to have succeeded.
    proven: Option<Tick>,
    lost: BTreeSet<Token>,
}

#[derive(Clone)]
struct Request {
    number: u64,
    swap: Option<(Option<u64>, Vec<u8>)>,
    sent: Tick,
}

#[derive(Clone)]
enum Said {
    Found(Option<(u64, Vec<u8>)>),
    Swapped(u64),
    Conflict(Option<(u64, Vec<u8>)>),
}

impl Play {
    fn new(speeds: &[u64]) -> Self {
        let party = |(place, speed): (usize, &u64)| {
            let id = format!("n{place}").parse().unwrap();
            let spec = Spec::new(id, "shard 7", TTL);
            Party {
                lease: Lease::new(spec, 100 + place as u64, Tick::ZERO).unwrap(),
                speed: *speed,
                requests: Vec::new(),
                answers: Vec::new(),
                proven: None,
                lost: BTreeSet::new(),
            }
        };
        Self {
            now: 0,
            store: None,
            parties: speeds.iter().enumerate().map(party).collect(),
            events: Vec::new(),
        }
    }

    fn clock(&self, place: usize) -> Tick {
        let speed = u128::from(self.parties[place].speed);
        let shown = u128::from(self.now) * speed / 1_000_000;
        Tick::from_nanos(u64::try_from(shown).unwrap())
    }

    fn holds(&self, place: usize) -> Option<u64> {
        let token = self.parties[place].lease.holds(self.clock(place))?;
        Some(token.get())
    }

    /// Lets it do something, and notes what comes of it.
    fn with(&mut self, place: usize, act: impl FnOnce(&mut Lease, Tick, &mut Vec<Effect>)) {
        let (now, mut effects) = (self.clock(place), Vec::new());
        let party = &mut self.parties[place];
        act(&mut party.lease, now, &mut effects);
        for effect in effects {
            let (number, swap) = match effect {
                Effect::Read { number } => (number, None),
                Effect::Swap {
                    number,
                    expected,
                    value,
                } => (number, Some((expected, value))),
                Effect::Event(event) => {
                    if let Event::Lost { token, .. } = event {
                        party.lost.insert(token);
                    }
                    self.events.push((place, event));
                    continue;
                }
            };
            party.requests.push(Request {
                number,
                swap,
                sent: now,
            });
        }
    }

    /// Time passes for all, and those who are not frozen notice.
    fn pass(&mut self, span: Duration, is_frozen: impl Fn(usize) -> bool) {
        self.now += u64::try_from(span.as_nanos()).unwrap();
        for place in (0..self.parties.len()).filter(|place| !is_frozen(*place)) {
            if self.parties[place].lease.next_wakeup() <= self.clock(place) {
                self.with(place, |lease, now, effects| lease.on_tick(now, effects));
            }
        }
    }

    /// A request reaches the store, which answers.
    fn land(&mut self, place: usize, index: usize) {
        let request = self.parties[place].requests.remove(index);
        let version = self.store.as_ref().map(|(version, _)| *version);
        let said = match &request.swap {
            None => Said::Found(self.store.clone()),
            Some((expected, value)) if *expected == version => {
                let version = version.unwrap_or(0) + 1;
                self.store = Some((version, value.clone()));
                Said::Swapped(version)
            }
            Some(_) => Said::Conflict(self.store.clone()),
        };
        self.parties[place].answers.push((request, said));
    }

    /// An answer reaches whom it is for.
    fn hear(&mut self, place: usize, index: usize) {
        fn lent(found: &Option<(u64, Vec<u8>)>) -> Option<(u64, &[u8])> {
            let (version, value) = found.as_ref()?;
            Some((*version, value))
        }
        let (request, said) = self.parties[place].answers.remove(index);
        let answer = match &said {
            Said::Found(found) => Answer::Found(lent(found)),
            Said::Swapped(version) => Answer::Swapped { version: *version },
            Said::Conflict(found) => Answer::Conflict(lent(found)),
        };
        if matches!(said, Said::Swapped(_)) {
            let proven = &mut self.parties[place].proven;
            *proven = (*proven).max(Some(request.sent));
        }
        self.with(place, |lease, now, effects| {
            lease.on_answer(now, request.number, &answer, effects);
        });
    }

    /// All that is under way arrives, and what follows from it.
    fn settle(&mut self) {
        while let Some(place) = self
            .parties
            .iter()
            .position(|party| !party.requests.is_empty() || !party.answers.is_empty())
        {
            if !self.parties[place].requests.is_empty() {
                self.land(place, 0);
            } else {
                self.hear(place, 0);
            }
        }
    }

    /// So much time, in which all arrives at once.
    fn run(&mut self, span: Duration, is_frozen: impl Fn(usize) -> bool) {
        for _ in 0..span.as_millis() {
            self.pass(MS, &is_frozen);
            self.settle();
        }
    }

    fn said(&self, place: usize, event: &Event) -> bool {
        let mut events = self.events.iter();
        events.any(|(who, what)| *who == place && what == event)
    }

    fn record(&self) -> Record {
        Record::decode(&self.store.as_ref().unwrap().1).unwrap()
    }
}

/// One contender that holds the first term.
fn holding(contenders: usize) -> Play {
    let mut play = Play::new(&vec![1_000_000; contenders]);
    play.run(MS, |_| false);
    assert_eq!(play.holds(0), Some(1));
    play
}

#[test]
fn the_first_to_claim_holds_it_and_renews_while_the_others_watch() {
    let mut play = holding(3);
    for _ in 0..100 {
        play.run(100 * MS, |_| false);
        let holders = [0, 1, 2].map(|place| play.holds(place));
        assert_eq!(holders, [Some(1), None, None]);
    }
    assert!(play.said(
        2,
        &Event::Seen {
            holder: Some("n0".parse().unwrap()),
            token: Token::new(1),
        }
    ));
    let view = play.parties[2].lease.view(play.clock(2));
    assert_eq!(
        (view.standing, view.newest),
        (Standing::Watching, Token::new(1))
    );
    assert!(
        view.unchanged < Some(TTL / 2) && view.is_answered,
        "{view:?}"
    );
}

#[test]
fn it_is_taken_when_its_record_has_stood_for_its_time_to_live() {
    let mut play = holding(2);
    // The holder is frozen; the other has seen the record just now.
    play.run(TTL - 10 * MS, |place| place == 0);
    assert_eq!((play.holds(0), play.holds(1)), (None, None));
    play.run(20 * MS, |place| place == 0);
    assert_eq!((play.holds(0), play.holds(1)), (None, Some(2)));
    play.run(20 * MS, |_| false);
    let (token, why) = (Token::new(1), Loss::Expired);
    assert!(play.said(0, &Event::Lost { token, why }));
    assert_eq!((play.holds(0), play.holds(1)), (None, Some(2)));
}

#[test]
fn a_record_that_changed_is_waited_for_anew() {
    let mut play = holding(2);
    play.run(TTL / 2, |_| false);
    // It was renewed after a third of a second, and the other saw that right after.
    play.run(TTL / 6, |place| place == 0);
    play.run(TTL / 2, |place| place == 0);
    assert_eq!(play.holds(1), None);
    play.run(TTL / 2, |place| place == 0);
    assert_eq!(play.holds(1), Some(2));
}

#[test]
fn a_lost_answer_to_a_claim_is_found_out_and_claimed_with_the_next_token() {
    let mut play = Play::new(&[1_000_000]);
    play.pass(MS, |_| false);
    play.land(0, 0);
    play.hear(0, 0);
    play.land(0, 0);
    play.parties[0].answers.clear();
    assert_eq!(play.record().token, Token::new(1));
    play.run(TTL / 5, |_| false);
    assert_eq!((play.holds(0), play.record().token.get()), (Some(2), 2));
}

#[test]
fn a_lost_answer_to_a_renewal_costs_no_term() {
    let mut play = holding(2);
    for round in 0..20 {
        while play.parties[0].requests.is_empty() {
            play.pass(MS, |_| false);
            while !play.parties[1].requests.is_empty() {
                play.land(1, 0);
                play.hear(1, 0);
            }
        }
        // Every other time it is the request that is lost.
        match round % 2 {
            0 => play.land(0, 0),
            _ => play.parties[0].requests.clear(),
        }
        play.parties[0].answers.clear();
        play.run(TTL / 4, |_| false);
        assert_eq!(play.holds(0), Some(1));
    }
    assert!(play.parties[0].lease.view(Tick::ZERO).counts.unanswered >= 20);
}

#[test]
fn an_answer_that_comes_too_late_gives_nothing() {
    let mut play = Play::new(&[1_000_000]);
    play.pass(MS, |_| false);
    play.land(0, 0);
    play.hear(0, 0);
    play.land(0, 0);
    // It stands still, and then hears before it looks at the clock.
    play.pass(TTL - TTL / 10, |_| true);
    play.hear(0, 0);
    assert_eq!(play.holds(0), None);
    play.settle();
    assert_eq!(play.holds(0), Some(2));
}

#[test]
fn what_is_given_back_is_taken_with_the_next_token() {
    let mut play = holding(2);
    play.with(0, |lease, now, effects| lease.release(now, effects));
    assert_eq!(play.holds(0), None);
    play.settle();
    assert!(play.parties[0].lease.is_over() && play.said(0, &Event::Released));
    assert_eq!(
        (play.record().holder, play.record().token),
        (None, Token::new(1))
    );
    play.run(TTL / 2, |_| false);
    assert_eq!(play.holds(1), Some(2));
    assert_eq!(play.parties[0].lease.next_wakeup(), Tick::MAX);
}

#[test]
fn who_leaves_while_an_answer_is_under_way_gives_back_what_it_turns_out_to_hold() {
    let mut play = Play::new(&[1_000_000]);
    play.pass(MS, |_| false);
    play.land(0, 0);
    play.hear(0, 0);
    play.with(0, |lease, now, effects| lease.release(now, effects));
    assert!(!play.parties[0].lease.is_over());
    play.settle();
    assert!(play.parties[0].lease.is_over());
    assert_eq!((play.record().holder, play.holds(0)), (None, None));
}

#[test]
fn who_leaves_and_hears_nothing_is_gone_when_what_it_held_is_over() {
    let mut play = holding(1);
    play.with(0, |lease, now, effects| lease.release(now, effects));
    for _ in 0..TTL.as_millis() {
        assert!(!play.parties[0].lease.is_over());
        play.pass(MS, |_| false);
        play.parties[0].requests.clear();
    }
    assert!(play.parties[0].lease.is_over());
    let mut idle = Play::new(&[1_000_000]);
    idle.with(0, |lease, now, effects| lease.release(now, effects));
    assert!(idle.parties[0].lease.is_over());
}

#[test]
fn a_record_that_nobody_can_read_is_reported_and_left_alone() {
    let mut play = Play::new(&[1_000_000]);
    play.store = Some((7, b"something else".to_vec()));
    play.run(10 * TTL, |_| false);
    assert_eq!(play.events, [(0, Event::Unreadable { version: 7 })]);
    assert_eq!(play.store, Some((7, b"something else".to_vec())));
    let counts = play.parties[0].lease.view(play.clock(0)).counts;
    assert!(
        (20..40).contains(&counts.reads) && counts.swaps == 0,
        "{counts:?}"
    );
}

#[test]
fn a_record_that_somebody_removed_ends_the_term_and_tokens_go_on() {
    let mut play = holding(1);
    play.store = None;
    play.run(TTL / 2, |_| false);
    let (token, why) = (Token::new(1), Loss::Taken);
    assert!(play.said(0, &Event::Lost { token, why }));
    assert_eq!(play.holds(0), Some(2));
}

#[test]
fn a_process_of_the_same_name_is_another() {
    let mut play = holding(2);
    let spec = Spec::new("n0".parse().unwrap(), "shard 7", TTL);
    play.parties[1].lease = Lease::new(spec, 999, play.clock(1)).unwrap();
    play.run(TTL - 10 * MS, |place| place == 0);
    assert_eq!(play.holds(1), None);
    play.run(20 * MS, |place| place == 0);
    assert_eq!(play.holds(1), Some(2));
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let good = Spec::new("n0".parse().unwrap(), "shard 7", TTL);
    assert_eq!(good.check(), Ok(()));
    let wrong = |edit: fn(&mut Spec)| {
        let mut spec = good.clone();
        edit(&mut spec);
        Lease::new(spec, 1, Tick::ZERO).unwrap_err().to_string()
    };
    assert!(wrong(|spec| spec.ttl = 99 * MS).starts_with("`ttl` of a lease is 100 ms"));
    assert!(wrong(|spec| spec.ttl = 2 * Duration::from_hours(1)).contains("`ttl`"));
    assert!(wrong(|spec| spec.margin = Percent::WHOLE).contains("`margin`"));
    assert!(wrong(|spec| spec.timeout = TTL / 2).contains("`timeout`"));
    assert!(wrong(|spec| spec.guards = "a\nb".to_owned()).contains("`guards`"));
}

/// What breaks the first four laws after any steps. A step is what is done, to whom, and how much of
/// it.
fn broken(steps: &[(u8, u8, u16)], speeds: &[u64]) -> [Option<String>; 4] {
    let mut play = Play::new(speeds);
    let mut laws = [const { None }; 4];
    for (what, who, amount) in steps {
        let place = usize::from(*who) % speeds.len();
        let (requests, answers) = {
            let party = &play.parties[place];
            (party.requests.len(), party.answers.len())
        };
        let index = usize::from(*amount);
        match what % 12 {
            0 => play.pass(MS * u32::from(*amount), |other| other == place),
            1 => play.pass(MS * u32::from(*amount % 400), |other| other == place),
            2..=4 => play.pass(MS * u32::from(*amount % 40), |_| false),
            5 | 6 if requests > 0 => play.land(place, index % requests),
            7 | 8 if answers > 0 => play.hear(place, index % answers),
            9 if requests > 0 => drop(play.parties[place].requests.remove(index % requests)),
            10 if answers > 0 => drop(play.parties[place].answers.remove(index % answers)),
            _ => play.settle(),
        }
        judge(&play, &mut laws);
    }
    laws
}

fn judge(play: &Play, laws: &mut [Option<String>; 4]) {
    let [one, growing, over, counted] = laws;
    let places = 0..play.parties.len();
    let holders: Vec<_> = places
        .filter_map(|it| Some((it, play.holds(it)?)))
        .collect();
    if holders.len() > 1 {
        *one = Some(format!("{holders:?} hold it at once"));
    }
    let terms = play.events.iter().filter_map(|(_, event)| match event {
        Event::Held { token } => Some(token),
        _ => None,
    });
    if !terms.is_sorted_by(|one, next| one < next) {
        *growing = Some(format!("{:?}", play.events));
    }
    for (place, token) in holders {
        let party = &play.parties[place];
        if party.lost.contains(&Token::new(token)) {
            *over = Some(format!("{place} holds {token} again"));
        }
        let valid = Duration::from_millis(900);
        if party
            .proven
            .is_none_or(|sent| play.clock(place) >= sent + valid)
        {
            *counted = Some(format!("{place} holds {token} since {:?}", party.proven));
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(u8, u8, u16)>> {
    prop::collection::vec((any::<u8>(), any::<u8>(), 0..3_000_u16), 0..300)
}

/// No clock faster than another by more than 1.05 / 0.95, which is less than 1 / 0.9.
fn speeds() -> impl Strategy<Value = Vec<u64>> {
    let speed = prop_oneof![Just(950_000), Just(1_050_000), 950_000..1_050_000_u64];
    prop::collection::vec(speed, 2..4)
}

proptest! {
    #[test]
    fn two_never_hold_it_at_once(steps in steps(), speeds in speeds()) {
        prop_assert_eq!(&broken(&steps, &speeds)[0], &None);
    }

    #[test]
    fn tokens_only_grow(steps in steps(), speeds in speeds()) {
        prop_assert_eq!(&broken(&steps, &speeds)[1], &None);
    }

    #[test]
    fn a_lost_term_does_not_come_back(steps in steps(), speeds in speeds()) {
        prop_assert_eq!(&broken(&steps, &speeds)[2], &None);
    }

    #[test]
    fn belief_is_counted_from_before_the_order_was_sent(steps in steps(), speeds in speeds()) {
        prop_assert_eq!(&broken(&steps, &speeds)[3], &None);
    }

    #[test]
    fn a_fence_admits_nothing_older_than_what_it_has_seen(tokens in prop::collection::vec(0..20_u64, 0..50)) {
        let (mut fence, mut newest) = (Fence::default(), Token::NONE);
        for token in tokens.into_iter().map(Token::new) {
            let admitted = fence.admit(token);
            let expected = if token < newest { Err(Stale { token, newest }) } else { Ok(()) };
            prop_assert_eq!(admitted, expected);
            newest = newest.max(token);
            prop_assert_eq!(fence.newest(), newest);
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written(
        place in prop::option::of(0..1_000_u32),
        numbers in any::<[u64; 2]>(),
        ttl_ns in 100_000_000..3_600_000_000_000_u64,
        guards in "[ -~äλ]{0,40}",
    ) {
        let record = Record {
            holder: place.map(|place| format!("n{place}").parse().unwrap()),
            token: Token::new(numbers[0]),
            ttl: Duration::from_nanos(ttl_ns),
            process: numbers[1],
            guards,
        };
        prop_assert_eq!(Record::decode(&record.encode()), Some(record));
    }

    #[test]
    fn what_is_written_otherwise_is_no_record(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        at in 0..200_usize,
        byte in any::<u8>(),
    ) {
        prop_assert_eq!(Record::decode(&bytes), None);
        let record = Record {
            holder: Some("n1".parse().unwrap()),
            token: Token::new(12),
            ttl: TTL,
            process: 7,
            guards: String::new(),
        };
        let mut changed = record.encode();
        let at = at % changed.len();
        changed[at] = byte;
        // It is none, or one that is written just so.
        let written = Record::decode(&changed).map(|it| it.encode());
        prop_assert!(written.is_none_or(|written| written == changed));
        changed.truncate(at);
        prop_assert_eq!(Record::decode(&changed), None);
    }
}
