//! To the service and back: pick an upstream, send, and stream the answer down.
//!
//! Of two upstreams picked at random, the one with fewer requests pending gets the request (Azar et
//! al., *Balanced Allocations*, 1999; Mitzenmacher, *The Power of Two Choices*, 2001); upstreams whose
//! breakers refuse are left out, and those whose nodes are gone (`vital.rs`). A request of which nothing was sent is tried again, on another
//! upstream where there is one; a request that may have arrived never is.

pub(crate) mod connection;
pub(crate) mod headers;
pub(crate) mod upstream;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderName, Request, Response, Uri, Version, uri::PathAndQuery};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use watertight_base::Tick;
use watertight_guard::breaker::{Outcome, Settings};
use watertight_layers::{Forced, Modes};
use watertight_plan::{Protocol, Service};

use self::{
    connection::ConnectError,
    upstream::{Lease, Turn, Upstream},
};
use crate::{
    body::{BodyWatch, RequestBody},
    fault::Fault,
    faults::{Faults, Struck},
};

/// Times that a request of which nothing was sent is tried, at most.
const ATTEMPTS_MAX: usize = 4;

/// A service and the state of its upstreams.
#[derive(Debug)]
pub(crate) struct Upstreams {
    pub(crate) service: Arc<Service>,
    /// The field in which the service says what a request has cost.
    pub(crate) cost_field: Option<HeaderName>,
    pub(crate) all: Vec<Arc<Upstream>>,
    /// What was decided about breakers at run time.
    pub(crate) modes: Modes,
    /// What is injected on purpose.
    pub(crate) faults: Arc<Faults>,
}

/// Who is called first.
#[derive(Debug)]
pub(crate) struct Picked {
    upstream: Arc<Upstream>,
    turn: Turn,
    at: Tick,
}

/// The upstream that a request was sent to last, or was about to be: known also when there is no
/// answer.
#[derive(Debug, Default)]
pub(crate) struct Called(Mutex<Option<Arc<Upstream>>>);

impl Called {
    pub(crate) fn upstream(&self) -> Option<Arc<Upstream>> {
        self.called().clone()
    }

    fn called(&self) -> MutexGuard<'_, Option<Arc<Upstream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upstreams {
    /// The settings of the breakers of upstreams. They have no ramp: calls come back to a service
    /// step by step, and of its upstreams the one with fewer calls pending is taken anyway.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            ramp_duration: Duration::ZERO,
            ..self.modes.settings(&self.service)
        }
    }

    /// Who said that none of them is called, if somebody did.
    pub(crate) fn forced(&self) -> Option<Forced> {
        self.modes.forced(&self.service)
    }

    /// How long every upstream is held back, if every one is.
    pub(crate) fn held_back(&self, now: Tick) -> Option<Duration> {
        let settings = self.settings();
        let waits = self
            .all
            .iter()
            .map(|upstream| upstream.held_back(now, &settings));
        waits
            .reduce(|least, wait| Some(least?.min(wait?)))
            .flatten()
    }

    /// Sends `request` and waits for the head of its answer, until `deadline` and as much longer as
    /// its body is held up by its pace. `first` is called first.
    ///
    /// `path` replaces the request's path and query. The lease holds the connection that the
    /// answer's body comes on. `called` learns who is called, before it is.
    pub(crate) async fn forward(
        &self,
        request: Box<Request<RequestBody>>,
        path: PathAndQuery,
        first: Picked,
        deadline: std::time::Instant,
        watch: &BodyWatch,
        called: &Called,
    ) -> Result<(Response<Incoming>, Lease), Fault> {
        let mut attempts = std::pin::pin!(self.attempt(request, path, first, called));
        let mut until = deadline;
        loop {
            if let Ok(result) = timeout_at(Instant::from_std(until), attempts.as_mut()).await {
                return result;
            }
            match deadline.checked_add(watch.paced()) {
                Some(later) if later > until => until = later,
                _ => return Err(Fault::UpstreamTimeout),
            }
        }
    }

    async fn attempt(
        &self,
        mut request: Box<Request<RequestBody>>,
        path: PathAndQuery,
        first: Picked,
        called: &Called,
    ) -> Result<(Response<Incoming>, Lease), Fault> {
        let mut failed: Vec<Arc<Upstream>> = Vec::new();
        let mut fresh = false;
        let now = first.at;
        let mut first = Some(first);
        for _ in 0..ATTEMPTS_MAX {
            let picked = first.take().or_else(|| self.pick(now, &failed));
            let picked = picked.ok_or_else(|| match failed.is_empty() {
                true => Fault::HeldBack(self.held_back(now).unwrap_or_default()),
                false => Fault::UpstreamConnect,
            });
            let Picked {
                upstream, mut turn, ..
            } = picked?;
            *called.called() = Some(Arc::clone(&upstream));
            let (service, patience) = (&self.service.id, self.service.connect_timeout);
            match self
                .faults
                .strike(service, &upstream.address, patience)
                .await
            {
                Struck::Spared => {}
                Struck::Answer(status) => return Err(Fault::Injected(status)),
                Struck::Unconnected => {
                    turn.record(Outcome::Failure);
                    failed.push(upstream);
                    continue;
                }
            }
            let lease = upstream.lease(turn, patience, fresh).await;
            let mut lease = match lease {
                Ok(lease) => lease,
                Err(error) => {
                    log_connect(&upstream, &error);
                    failed.push(upstream);
                    continue;
                }
            };
            aim(&mut request, &upstream.address, &path)?;
            match lease.send(request).await {
                Ok(response) => return Ok((response, lease)),
                Err(unanswered) => {
                    tracing::debug!(upstream = %upstream.address, error = %unanswered.error, "no answer");
                    // A kept connection was closed under us: the next one is new.
                    fresh = true;
                    request = Box::new(unanswered.request.ok_or(Fault::UpstreamReset)?);
                }
            }
        }
        Err(Fault::UpstreamConnect)
    }

    /// Picks who is called first.
    ///
    /// # Errors
    /// [`Fault::HeldBack`]: who came since the request was admitted took the last turns.
    pub(crate) fn first(&self, now: Tick) -> Result<Picked, Fault> {
        let held_back = || Fault::HeldBack(self.held_back(now).unwrap_or_default());
        self.pick(now, &[]).ok_or_else(held_back)
    }

    /// The less loaded of two upstreams that were not tried and may be called.
    fn pick(&self, now: Tick, failed: &[Arc<Upstream>]) -> Option<Picked> {
        let settings = &self.settings();
        let mut open: Vec<&Arc<Upstream>> = self
            .all
            .iter()
            .filter(|upstream| !failed.iter().any(|other| Arc::ptr_eq(other, upstream)))
            .filter(|upstream| upstream.held_back(now, settings).is_none())
            .collect();
        if open.iter().any(|upstream| !upstream.vital().is_gone) {
            open.retain(|upstream| !upstream.vital().is_gone);
        }
        while !open.is_empty() {
            let one = fastrand::usize(..open.len());
            let other = fastrand::usize(..open.len());
            let least = if open[other].is_lighter_than(open[one]) {
                other
            } else {
                one
            };
            let upstream = open.swap_remove(least);
            if let Some(turn) = upstream.turn(now, settings) {
                return Some(Picked {
                    upstream: Arc::clone(upstream),
                    turn,
                    at: now,
                });
            }
        }
        None
    }
}

/// Points a request at an upstream: HTTP/1.1 takes the path alone, HTTP/2 the whole URI.
fn aim(
    request: &mut Request<RequestBody>,
    to: &watertight_plan::Upstream,
    path: &PathAndQuery,
) -> Result<(), Fault> {
    match to.protocol {
        Protocol::Http1 => {
            *request.uri_mut() = Uri::from(path.clone());
            *request.version_mut() = Version::HTTP_11;
            if !request.headers().contains_key(http::header::HOST)
                && let Ok(host) = to.authority().try_into()
            {
                // HTTP/1.0 may leave it out, HTTP/1.1 may not.
                request.headers_mut().insert(http::header::HOST, host);
            }
        }
        Protocol::Http2 => {
            let host = request
                .headers()
                .get(http::header::HOST)
                .and_then(|host| host.to_str().ok());
            let authority = host.map_or_else(|| to.authority(), str::to_owned);
            *request.uri_mut() = Uri::builder()
                .scheme("http")
                .authority(authority)
                .path_and_query(path.clone())
                .build()
                .map_err(|_| Fault::BadRequest)?;
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(http::header::HOST);
        }
    }
    Ok(())
}

fn log_connect(upstream: &Upstream, error: &ConnectError) {
    tracing::debug!(upstream = %upstream.address, %error, "no connection");
}
