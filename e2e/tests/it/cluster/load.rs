//! The load: clients that ask all the time, and remember what they were answered.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use watertight_e2e::{
    client::{Client, get},
    wait,
};

use super::bound::Span;
use crate::settings::run;

/// Clients of several nodes, on a thread of their own, until they are told to stop.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    begun: Instant,
    is_done: AtomicBool,
    answers: Mutex<Vec<Answer>>,
}

/// An answer. Times are since the load began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) node: usize,
    pub(super) sent: Duration,
    pub(super) answered: Duration,
    /// 0 when no whole answer came.
    pub(super) status: u16,
    /// Whether it said how much of the limit is left.
    pub(super) says_limit: bool,
}

impl Load {
    /// Asks each of `nodes` on behalf of `acme`: on so many connections, each at most once in
    /// `pace`.
    pub(super) fn start(nodes: &[SocketAddr], connections: usize, pace: Duration) -> Self {
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            is_done: AtomicBool::new(false),
            answers: Mutex::default(),
        });
        let (asked, nodes) = (shared.clone(), nodes.to_vec());
        let clients = std::thread::spawn(move || {
            run(async {
                let mut clients = Vec::new();
                for (node, to) in nodes.iter().enumerate() {
                    for _ in 0..connections {
                        clients.push(tokio::spawn(ask(asked.clone(), node, *to, pace)));
                    }
                }
                for client in clients {
                    client.await.expect("a client ends in peace");
                }
            });
        });
        Self {
            shared,
            clients: Some(clients),
        }
    }

    /// Waits until that many more were admitted.
    pub(super) fn admits(&self, more: usize) {
        let admitted = || admitted(&self.answers()).len();
        let goal = admitted() + more;
        wait::until("requests are admitted", wait::SOON * 2, || {
            (admitted() >= goal).then_some(())
        });
    }

    /// How long it has been going.
    pub(super) fn elapsed(&self) -> Duration {
        self.shared.begun.elapsed()
    }

    /// Stops it, and returns all that was answered.
    pub(super) fn stop(mut self) -> Vec<Answer> {
        self.shared.is_done.store(true, Ordering::SeqCst);
        let clients = self.clients.take().expect("it is stopped once");
        clients.join().expect("the clients end in peace");
        self.answers()
    }

    fn answers(&self) -> Vec<Answer> {
        self.shared.answers.lock().unwrap().clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_done.store(true, Ordering::SeqCst);
    }
}

/// When those that were let in were sent and answered.
pub(super) fn admitted<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Vec<Span> {
    let good = answers.into_iter().filter(|answer| answer.status == 200);
    good.map(|answer| (answer.sent, answer.answered)).collect()
}

async fn ask(shared: Arc<Shared>, node: usize, to: SocketAddr, pace: Duration) {
    let mut client = Client::http1(to).await;
    let mut turns = interval(pace);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.is_done.load(Ordering::SeqCst) {
        turns.tick().await;
        let sent = shared.begun.elapsed();
        let reply = client.ask(get("/x", "acme")).await.ok();
        let answered = shared.begun.elapsed();
        let is_broken = reply.is_none();
        shared.answers.lock().unwrap().push(Answer {
            node,
            sent,
            answered,
            status: reply.as_ref().map_or(0, |reply| reply.status),
            says_limit: reply.is_some_and(|reply| !reply.header("ratelimit").is_empty()),
        });
        if is_broken {
            client = Client::http1(to).await;
        }
    }
}
