//! One request of the storm, and what becomes of it.

use std::{panic::resume_unwind, pin::pin, sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::task::JoinError;
use watertight_guard::breaker::Outcome;
use watertight_layers::{Admission, Permit, What};

use super::{
    checker::Ledger,
    shop::{LISTED, SERVICES, UNLISTED},
};
use crate::{id, poll_once, who};

const PLANNED: &str = "planned";

/// A task ends well, aborted, or with the panic that was planned, and with no other.
pub(super) fn as_planned(ended: Result<(), JoinError>) -> Result<(), String> {
    match ended.map_err(JoinError::try_into_panic) {
        Ok(()) | Err(Err(_)) => Ok(()),
        Err(Ok(panic)) => match panic.downcast_ref::<&str>() {
            Some(&PLANNED) => Ok(()),
            Some(other) => Err((*other).to_owned()),
            None => Err("a task panicked".to_owned()),
        },
    }
}

/// How a request ends, if it is not refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// It is answered, after a while.
    Answered,
    /// Its task panics while it holds a seat.
    Panics,
    /// Its caller gives up after a while, wherever it is then.
    TimesOut,
    /// It asks, and is dropped at once.
    Dropped,
    /// Its task is aborted, wherever it is then.
    Aborted,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    tenant: &'static str,
    service: &'static str,
    pub(super) end: End,
    patience: Duration,
    /// None: it only yields.
    length: Option<Duration>,
    deadline: Duration,
    outcome: Outcome,
}

impl Request {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let tenants = [LISTED.as_slice(), UNLISTED.as_slice()].concat();
        let ends = [
            End::Answered,
            End::Panics,
            End::TimesOut,
            End::Dropped,
            End::Aborted,
        ];
        let outcomes = [Outcome::Success, Outcome::Success, Outcome::Failure];
        Self {
            tenant: tenants[rng.usize(..tenants.len())],
            service: SERVICES[rng.usize(..SERVICES.len())],
            end: ends[rng.usize(..ends.len())],
            patience: Duration::from_millis(rng.u64(..60)),
            length: Some(Duration::from_millis(rng.u64(..30))),
            deadline: Duration::from_millis(rng.u64(..120)),
            outcome: outcomes[rng.usize(..outcomes.len())],
        }
    }

    /// The same request where time is real.
    pub(super) fn hurried(self) -> Self {
        Self {
            patience: self.patience / 60,
            length: None,
            deadline: self.deadline / 30,
            ..self
        }
    }

    pub(super) async fn run(self, admission: Admission, ledger: Arc<Ledger>) {
        match self.end {
            End::TimesOut => {
                let called = self.call(&admission, &ledger);
                if tokio::time::timeout(self.patience, called).await.is_err() {
                    ledger.saw("let go");
                }
            }
            End::Dropped => {
                let mut called = pin!(self.call(&admission, &ledger));
                let _ = poll_once(called.as_mut());
            }
            End::Answered | End::Panics | End::Aborted => self.call(&admission, &ledger).await,
        }
    }

    async fn call(self, admission: &Admission, ledger: &Arc<Ledger>) {
        let service = id(self.service);
        let now = admission.clock().now();
        let what = What::new(&service, now + self.deadline);
        let who = who(admission, self.tenant);
        let Ok(permit) = admission.admit(&who, what, now).await else {
            ledger.saw("refused");
            return;
        };
        let mut held = Held::new(permit, self.service, ledger);
        match self.length {
            // sleep: the time that the call takes
            Some(length) => tokio::time::sleep(length).await,
            None => tokio::task::yield_now().await,
        }
        ledger.saw(self.end.label());
        if self.end == End::Panics {
            resume_unwind(Box::new(PLANNED));
        }
        held.permit.set_outcome(self.outcome);
    }
}

/// A permit that the ledger knows of. It leaves the ledger first, then its seat.
struct Held {
    service: &'static str,
    ledger: Arc<Ledger>,
    permit: Permit,
}

impl Held {
    fn new(permit: Permit, service: &'static str, ledger: &Arc<Ledger>) -> Self {
        ledger.enter(service);
        Self {
            service,
            ledger: Arc::clone(ledger),
            permit,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ledger.leave(self.service);
    }
}
