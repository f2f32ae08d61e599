//! Runs a node's leases: one task carries batches and answers, whoever asks holds the lock briefly.

use std::{
    collections::{HashMap, hash_map::RandomState},
    fmt,
    future::Future,
    hash::BuildHasher as _,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use watertight_base::Tick;
use watertight_guard::throttle::{
    Quota,
    lease::{
        Answer, Ask, Batch, Cluster, Failure, Known, Leases, Outcome, Settings, Settled, Sharing,
        Standing, Store, Taken, Ticket, Verdict, View,
    },
};

/// A node's part in limits that nodes count together. Dropping it ends its task.
pub struct Shared {
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

struct Inner {
    state: Mutex<State>,
    /// Somebody waits who was not waited for before.
    asked: Notify,
    now: Box<dyn Fn() -> Tick + Send + Sync>,
}

struct State {
    leases: Leases,
    waiting: HashMap<Ticket, oneshot::Sender<Verdict>>,
    failure: Option<Failure>,
}

impl Shared {
    /// Starts to share limits through `store`. `now` is the clock of those who ask. Runs on the
    /// tokio runtime that it is called on.
    pub fn start(
        store: Arc<dyn Store>,
        settings: Settings,
        now: impl Fn() -> Tick + Send + Sync + 'static,
    ) -> Self {
        // The seed of a hash map is random, and drawn anew by each process and each call.
        let node = RandomState::new().hash_one(0) >> 12;
        let inner = Arc::new(Inner {
            state: Mutex::new(State {
                leases: Leases::new(node, settings),
                waiting: HashMap::new(),
                failure: None,
            }),
            asked: Notify::new(),
            now: Box::new(now),
        });
        let task = tokio::spawn(carry(inner.clone(), store));
        Self { inner, task }
    }

    /// What the store's last failure was. Forgotten when it answers again.
    pub fn failure(&self) -> Option<Failure> {
        self.inner.lock().failure.clone()
    }
}

impl Cluster for Shared {
    fn take(&self, now: Tick, ask: &Ask<'_>) -> Outcome {
        let mut state = self.inner.lock();
        let taken = state.leases.take(now, ask);
        state.outcome(&self.inner, ask, taken)
    }

    fn take_all(&self, now: Tick, asks: &[Ask<'_>]) -> Vec<Option<Outcome>> {
        let mut state = self.inner.lock();
        let taken = state.leases.take_all(now, asks);
        let both = asks.iter().zip(taken);
        let outcomes = both.map(|(ask, taken)| Some(state.outcome(&self.inner, ask, taken?)));
        outcomes.collect()
    }

    fn peek(&self, now: Tick, ask: &Ask<'_>) -> Option<Known> {
        self.inner.lock().leases.peek(now, ask)
    }

    fn refund(&self, now: Tick, ask: &Ask<'_>, verdict: &Verdict) {
        if self.inner.lock().leases.refund(now, ask, verdict) {
            self.inner.asked.notify_one();
        }
    }

    fn view(&self) -> View {
        self.inner.lock().leases.view()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("view", &self.view())
            .finish_non_exhaustive()
    }
}

/// A request that waits; dropped before its verdict, it no longer does.
struct Waiting {
    verdict: oneshot::Receiver<Verdict>,
    ticket: Ticket,
    name: Box<str>,
    quota: Quota,
    standing: Standing,
    inner: Arc<Inner>,
}

impl Waiting {
    fn ask(&self) -> Ask<'_> {
        Ask {
            name: &self.name,
            limit: "",
            quota: &self.quota,
            cost: 0,
            sharing: Sharing::Leased,
            standing: self.standing,
            binds: true,
        }
    }
}

impl Future for Waiting {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Verdict> {
        match Pin::new(&mut self.verdict).poll(context) {
            Poll::Ready(Ok(verdict)) => Poll::Ready(verdict),
            // The task has ended with the node: nobody is let in unseen.
            Poll::Ready(Err(_)) => Poll::Ready(Verdict::REFUSED),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        if state.waiting.remove(&self.ticket).is_some() {
            state.leases.cancel(&self.ask(), self.ticket);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the leases, and tells those whom that settles.
    fn change<R>(&self, change: impl FnOnce(&mut State, Tick, &mut Settled) -> R) -> (R, Duration) {
        let now = (self.now)();
        let mut settled = Vec::new();
        let mut state = self.lock();
        let was_away = state.leases.view().is_away;
        let result = change(&mut state, now, &mut settled);
        let turned = state.leases.view().is_away != was_away;
        let why = state.failure.clone().filter(|_| turned);
        let wakeup = state.leases.next_wakeup() - now;
        let told = settled
            .into_iter()
            .filter_map(|(ticket, verdict)| Some((state.waiting.remove(&ticket)?, verdict)));
        let told: Vec<_> = told.collect();
        drop(state);
        match why {
            Some(why) => {
                tracing::warn!(%why, "the store of limits is away; this node keeps to its share")
            }
            None if turned => tracing::info!("the store of limits is back"),
            None => {}
        }
        for (sender, verdict) in told {
            // Whoever has gone meanwhile has what it asked for, and does not use it.
            let _ = sender.send(verdict);
        }
        (result, wakeup)
    }
}

type Flight<'a> = Pin<Box<dyn Future<Output = (u64, Result<Answer, Failure>)> + Send + 'a>>;

async fn carry(inner: Arc<Inner>, store: Arc<dyn Store>) {
    let mut flight: Option<Flight<'_>> = None;
    loop {
        let (batch, wakeup) = inner.change(|state, now, settled| {
            let failures = state.leases.view().failures;
            let batch = state.leases.poll(now, settled);
            let is_overdue = state.leases.view().failures > failures;
            if is_overdue {
                state.failure = Some(Failure("no answer in time".to_owned()));
            }
            (batch, is_overdue)
        });
        let (batch, is_overdue) = batch;
        if is_overdue {
            flight = None;
        }
        if let Some(batch) = batch {
            flight = Some(Box::pin(send(&*store, batch)));
            continue;
        }
        tokio::select! {
            (number, answer) = landing(&mut flight) => {
                flight = None;
                inner.change(|state, now, settled| state.land(now, number, answer, settled));
            }
            () = inner.asked.notified() => {}
            () = tokio::time::sleep(wakeup.min(WAKEUP_MAX)) => {}
        }
    }
}

async fn send(store: &dyn Store, batch: Arc<Batch>) -> (u64, Result<Answer, Failure>) {
    let number = batch.number;
    (number, store.trade(batch).await)
}

async fn landing(flight: &mut Option<Flight<'_>>) -> (u64, Result<Answer, Failure>) {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}

impl State {
    fn outcome(&mut self, inner: &Arc<Inner>, ask: &Ask<'_>, taken: Taken) -> Outcome {
        let ticket = match taken {
            Taken::Now(verdict) => return Outcome::Now(verdict),
            Taken::Ask(ticket) => ticket,
        };
        let (sender, verdict) = oneshot::channel();
        self.waiting.insert(ticket, sender);
        inner.asked.notify_one();
        Outcome::Later(Box::pin(Waiting {
            verdict,
            ticket,
            name: ask.name.into(),
            quota: *ask.quota,
            standing: ask.standing,
            inner: Arc::clone(inner),
        }))
    }

    fn land(
        &mut self,
        now: Tick,
        number: u64,
        answer: Result<Answer, Failure>,
        settled: &mut Settled,
    ) {
        self.failure = match answer {
            Ok(answer) if self.leases.on_answer(now, &answer, settled) => None,
            Ok(_) => {
                self.leases.on_failure(now, number, settled);
                Some(Failure(
                    "an answer that fits no question; is it our store?".to_owned(),
                ))
            }
            Err(failure) => {
                self.leases.on_failure(now, number, settled);
                Some(failure)
            }
        };
    }
}

const WAKEUP_MAX: Duration = Duration::from_secs(1);
