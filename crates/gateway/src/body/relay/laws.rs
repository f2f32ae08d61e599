//! The quota of buffered bytes, held against random histories of one tenant's answers, and bugs
//! planted to be found.
//!
//! Judged from outside: by what was passed on and read. Whoever waits is only asked again when he
//! was woken, so a wake-up that is lost shows as an answer that stands still.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Wake, Waker},
};

use bytes::Buf;
use http_body_util::BodyExt;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::*;

const QUOTA: u64 = 40;
const CAPACITY: usize = 64;
const RELAYS: usize = 5;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bug {
    /// Frames are passed on whether there is room for them in the quota or not.
    ReadsAhead,
    /// What was not read when its reader left counts for ever.
    Forgets,
    /// Where the quota is used up, a frame waits for others' readers, with nothing before it.
    Starves,
}

#[derive(Clone, Debug)]
enum Step {
    /// An upstream has so many bytes for one of the readers.
    Send(usize, usize),
    Read(usize),
    /// A reader goes away, and another comes.
    Leave(usize),
}

/// An answer on its way.
struct Answer {
    sender: Option<RelaySender>,
    sending: Option<(Sending, usize)>,
    body: ResponseBody,
    /// The lengths of frames that were passed on and not read.
    inside: VecDeque<usize>,
    woken: Arc<Woken>,
    /// What a bug counts by itself.
    aside: VecDeque<HeldBytes>,
}

type Sending = Pin<Box<dyn Future<Output = (RelaySender, bool)>>>;

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Answer {
    fn new(buffer: &Buffer, bug: Option<Bug>) -> Self {
        let buffer = match bug {
            Some(Bug::ReadsAhead) => Buffer::of(u64::MAX),
            _ => buffer.clone(),
        };
        let (sender, body) = relay(CAPACITY, SizeHint::default(), buffer);
        Self {
            sender: Some(sender),
            sending: None,
            body,
            inside: VecDeque::new(),
            woken: Arc::default(),
            aside: VecDeque::new(),
        }
    }

    fn send(&mut self, bytes: usize) {
        let Some(sender) = self.sender.take() else {
            return;
        };
        let frame = Frame::data(Bytes::from(vec![7; bytes]));
        let sending = async move {
            let is_read = sender.send(frame).await;
            (sender, is_read)
        };
        self.sending = Some((Box::pin(sending), bytes));
        self.woken.0.store(true, Ordering::Release);
    }

    /// Goes on sending if it was woken. Whether anything came of it.
    fn go_on(&mut self, buffer: &Buffer, bug: Option<Bug>) -> bool {
        let Some((sending, bytes)) = &mut self.sending else {
            return false;
        };
        let waits = bug == Some(Bug::Starves) && !buffer.has_room(*bytes as u64);
        if waits || !self.woken.0.swap(false, Ordering::AcqRel) {
            return false;
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        let Poll::Ready((sender, _)) = sending.as_mut().poll(&mut Context::from_waker(&waker))
        else {
            return false;
        };
        if bug == Some(Bug::ReadsAhead) {
            self.aside.push_back(buffer.hold(*bytes as u64));
        }
        self.inside.push_back(*bytes);
        (self.sender, self.sending) = (Some(sender), None);
        true
    }

    fn read(&mut self) -> Result<(), String> {
        let Some(bytes) = self.inside.pop_front() else {
            return Ok(());
        };
        self.aside.pop_front();
        let mut frame = std::pin::pin!(self.body.frame());
        match frame.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(frame))) if frame.data_ref().map(Buf::remaining) == Some(bytes) => {
                Ok(())
            }
            other => Err(format!("read {other:?} instead of {bytes} bytes")),
        }
    }
}

/// The law: a tenant's readers have no more bytes buffered than its quota, but for one frame each,
/// and no reader waits for another.
fn broken(answers: &[Answer], buffer: &Buffer) -> Option<String> {
    let sizes = || answers.iter().map(|answer| &answer.inside);
    let inside: usize = sizes().flatten().sum();
    if buffer.in_use() != inside as u64 {
        return Some(format!("{} counted, {inside} there", buffer.in_use()));
    }
    let one_each: usize = sizes().filter_map(VecDeque::front).sum();
    if inside as u64 > QUOTA + one_each as u64 {
        return Some(format!("{inside} bytes, {one_each} of them one each"));
    }
    let too_full =
        |frames: &&VecDeque<usize>| frames.len() > 1 && frames.iter().sum::<usize>() > CAPACITY;
    if let Some(frames) = sizes().find(too_full) {
        return Some(format!("{frames:?} in one relay"));
    }
    let waits = |answer: &&Answer| answer.sending.is_some() && answer.inside.is_empty();
    answers
        .iter()
        .find(waits)
        .map(|_| "a reader who has read everything waits for others to read".to_owned())
}

fn play(steps: &[Step], bug: Option<Bug>) -> Result<(), String> {
    let buffer = Buffer::of(QUOTA);
    let new = || Answer::new(&buffer, bug);
    let mut answers: Vec<Answer> = (0..RELAYS).map(|_| new()).collect();
    let last = (0..RELAYS).map(Step::Leave);
    for step in steps.iter().cloned().chain(last) {
        match step {
            Step::Send(to, bytes) => answers[to].send(bytes),
            Step::Read(from) => answers[from].read()?,
            Step::Leave(which) => {
                let left = std::mem::replace(&mut answers[which], new());
                if bug == Some(Bug::Forgets) {
                    std::mem::forget(left.body);
                }
            }
        }
        while answers.iter_mut().any(|answer| answer.go_on(&buffer, bug)) {}
        broken(&answers, &buffer).map_or(Ok(()), Err)?;
    }
    Ok(())
}

fn histories() -> impl Strategy<Value = Vec<Step>> {
    let relay = || 0..RELAYS;
    let bytes = prop_oneof![8 => 1..24_usize, 1 => 60..90_usize];
    let step = prop_oneof![
        6 => (relay(), bytes).prop_map(|(to, bytes)| Step::Send(to, bytes)),
        4 => relay().prop_map(Step::Read),
        1 => relay().prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn a_tenants_answers_hold_no_more_than_its_quota_and_one_frame_each_and_all_get_on(
        steps in histories(),
    ) {
        play(&steps, None).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn the_checker_finds_bugs_planted_in_the_quota_of_bytes() {
    for (bug, said) in [
        (Bug::ReadsAhead, "one each"),
        (Bug::Forgets, "counted"),
        (Bug::Starves, "waits for others"),
    ] {
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let found = TestRunner::new_with_rng(config, rng).run(&histories(), |steps| {
            play(&steps, Some(bug)).map_err(TestCaseError::fail)
        });
        let found = found.unwrap_err().to_string();
        assert!(found.contains(said), "{bug:?}: {found}");
    }
}
