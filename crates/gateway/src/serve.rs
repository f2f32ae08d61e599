//! The way of a request: who, what, may it, forward, answer, record once.
//!
//! Whatever is short is done where the request came in, on the front runtime: who, what, and may it. So
//! a refusal at once, and what is served instead of one, costs no change of threads. A request that may
//! pass moves to its tier's runtime (`serve/admitted.rs`), as one pointer and its permit; one that has
//! to wait for that moves there as well, and is awake where it is needed when its turn comes. The answer
//! comes back. A tier that burns its threads is thus in the way of its own requests alone: nothing in
//! front waits for it.
//!
//! Dropping gives everything back, wherever a request is. A client that goes away drops what waits
//! here and aborts what runs there; a task that panics there drops what it holds, and is answered for
//! here.

mod admitted;
pub(crate) mod less;

use std::{future::poll_fn, sync::Arc, task::Poll};

use http::{HeaderMap, Request, Response, Uri, Version, header, request::Parts, uri::PathAndQuery};
use hyper::body::Incoming;
use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle};
use tracing::Instrument as _;
use watertight_base::{Reason, Tier};
use watertight_layers::{Permit, Refusal, What, Who};
use watertight_plan::ListenLimits;

use crate::{
    body::ResponseBody,
    fault::Fault,
    forward::{
        Upstreams,
        headers::{self, REQUEST_ID},
    },
    listen::{Peer, UnderWay},
    path,
    record::Record,
    serve::less::instead,
    shared::{Current, Shared},
};

/// A traffic listener's way in.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) shared: Arc<Shared>,
    /// Only services of this tier.
    pub(crate) tier: Option<Tier>,
    pub(crate) limits: ListenLimits,
}

/// A request whose tenant and service are known, on its way through the stages.
///
/// Its head is as the client sent it until [`Stages::dress`].
struct Stages {
    door: Arc<Door>,
    current: Arc<Current>,
    peer: Peer,
    head: Parts,
    body: Incoming,
    path: PathAndQuery,
    who: Who,
    upstreams: Arc<Upstreams>,
    under_way: Arc<UnderWay>,
    record: Record,
}

/// Stops what runs for a client that went away.
struct AbortOnDrop(Option<AbortHandle>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

type Answer = Response<ResponseBody>;

impl Door {
    /// Answers a request.
    pub(crate) async fn serve(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Answer {
        match self.begin(request, peer) {
            // On the heap: this future is moved about before it runs.
            Ok(stages) => Box::pin(stages.run()).await,
            Err(answer) => *answer,
        }
    }

    fn begin(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Result<Box<Stages>, Box<Answer>> {
        let (head, body) = request.into_parts();
        let mut record = Record::begin(&self.shared.recorder, peer.address, &head.method);
        let (version, tenancy) = (head.version, Arc::clone(&peer.tenancy));
        let reason = match self.identify(head, &peer, &mut record) {
            Ok(known) => return Ok(known.on_its_way(self, body, peer, record)),
            Err(NotServed::Fault(fault)) => {
                record.failed(fault);
                return Err(Box::new(fault.into_response()));
            }
            Err(NotServed::Refused(reason)) => reason,
        };
        record.refused_early(reason);
        let tenant = record.tenant.clone();
        let refusal = Refusal {
            tenant,
            ..Refusal::early(reason)
        };
        let mut answer: Answer = refusal.into_response(&record.method);
        // HTTP/2 has other words for it.
        if tenancy.is_closing() && version < Version::HTTP_2 {
            let close = header::HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        Err(Box::new(answer))
    }

    /// Who and what.
    fn identify(
        &self,
        mut head: Parts,
        peer: &Peer,
        record: &mut Record,
    ) -> Result<Known, NotServed> {
        let current = self.shared.current.load_full();
        let is_trusted = current.identifier.is_trusted(peer.address);
        record.request_id = Some(headers::request_id(&head, is_trusted));
        headers::settle_host(&mut head)?;
        headers::check_transfer_encoding(&head.headers)?;
        let normal = path::normalise(head.uri.path()).map_err(|_| Fault::BadRequest)?;
        record.path = normal.clone().into_owned();
        let identified = current.identifier.identify(&head, &normal, peer.address)?;
        record.tenant = Some(identified.tenant.clone());
        let mut who = self.shared.admission.who(&identified.tenant)?;
        who.class = identified.class.unwrap_or(who.class);
        who.address = Some(identified.client);
        who.key = identified.key;
        who.user = identified.user;
        record.is_listed = who.is_listed;
        let upstreams = self
            .route(&current, &identified.path)
            .ok_or(Fault::NotFound)?;
        record.service = Some(Arc::clone(&upstreams.service));
        let under_way = Arc::new(peer.tenancy.begin(&who, is_trusted)?);
        let path = with_query(&identified.path, &head.uri).ok_or(Fault::BadRequest)?;
        if content_length(&head.headers).is_some_and(|length| length > self.limits.max_body_bytes) {
            return Err(Fault::TooLarge.into());
        }
        Ok(Known {
            current,
            head,
            path,
            who,
            upstreams,
            under_way,
        })
    }

    fn route(&self, current: &Current, path: &str) -> Option<Arc<Upstreams>> {
        let service = current.plan.routes().service_of(path)?;
        let upstreams = current.services.get(service)?;
        let here = self.tier.is_none_or(|tier| tier == upstreams.service.tier);
        here.then(|| Arc::clone(upstreams))
    }
}

/// Why a request does not get as far as admission.
enum NotServed {
    Fault(Fault),
    Refused(Reason),
}

impl From<Fault> for NotServed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Reason> for NotServed {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// What is known of a request before it is under way.
struct Known {
    current: Arc<Current>,
    head: Parts,
    path: PathAndQuery,
    who: Who,
    upstreams: Arc<Upstreams>,
    under_way: Arc<UnderWay>,
}

impl Known {
    fn on_its_way(
        self,
        door: &Arc<Door>,
        body: Incoming,
        peer: Peer,
        record: Record,
    ) -> Box<Stages> {
        Box::new(Stages {
            door: Arc::clone(door),
            current: self.current,
            peer,
            head: self.head,
            body,
            path: self.path,
            who: self.who,
            upstreams: self.upstreams,
            under_way: self.under_way,
            record,
        })
    }
}

impl Stages {
    /// May it? Whoever may not is answered here, if that is known at once, everybody else by its tier.
    async fn run(self: Box<Self>) -> Answer {
        let (door, under_way) = (Arc::clone(&self.door), Arc::clone(&self.under_way));
        let service = &self.upstreams.service;
        let runtime = door.shared.runtimes.of(service.tier);
        let span =
            tracing::debug_span!("request", service = %service.id, tenant = %self.who.tenant);
        // All work is on the heap: a task is moved when it begins and when it ends.
        let mut verdict = Box::pin(self.judge());
        let at_once = poll_fn(|context| Poll::Ready(verdict.as_mut().poll(context))).await;
        let answer = match at_once {
            Poll::Ready((mut stages, Err(refusal))) => Some(instead(&mut stages, refusal)),
            Poll::Ready((stages, Ok(permit))) => {
                drop(verdict);
                let work = |reply| Box::pin(stages.forward(permit, reply)).instrument(span);
                elsewhere(runtime, work).await
            }
            Poll::Pending => {
                let work = |reply| Box::pin(wait(verdict, reply)).instrument(span);
                elsewhere(runtime, work).await
            }
        };
        let mut answer = answer.unwrap_or_else(|| Fault::UpstreamReset.into_response());
        answer.extensions_mut().insert(under_way);
        answer
    }

    async fn judge(self: Box<Self>) -> (Box<Self>, Result<Permit, Refusal>) {
        let verdict = self.admit().await;
        (self, verdict)
    }

    async fn admit(&self) -> Result<Permit, Refusal> {
        let service = &self.upstreams.service;
        let now = self.record.begun();
        let what = What {
            service: &service.id,
            path: self.path.path(),
            deadline: now + service.timeout,
            held_back: self.upstreams.held_back(now),
        };
        let admission = &self.door.shared.admission;
        admission.admit(&self.who, what, now).await
    }

    /// Makes the head what the service is to see. Done once, and only where that matters: most
    /// refusals need none of it.
    fn dress(&mut self) {
        let Self {
            door,
            current,
            head,
            ..
        } = self;
        let less = door
            .shared
            .admission
            .less_fields(&self.upstreams.service.id);
        let tenant = &self.who.tenant;
        headers::towards_upstream(head, &self.peer, tenant, &current.identifier, &less);
        if let Some(id) = &self.record.request_id {
            head.headers.insert(REQUEST_ID, id.clone());
        }
    }
}

/// The rest of the way of a request that has to wait for its verdict.
async fn wait(
    verdict: impl Future<Output = (Box<Stages>, Result<Permit, Refusal>)>,
    reply: oneshot::Sender<Answer>,
) {
    match verdict.await {
        (stages, Ok(permit)) => stages.forward(permit, reply).await,
        (mut stages, Err(refusal)) => {
            // If nobody waits for the answer any more, it drops here.
            let _ = reply.send(instead(&mut stages, refusal));
        }
    }
}

/// Lets `work` run on another runtime, until it has an answer or nobody waits for that any more. None:
/// it panicked.
async fn elsewhere<F>(
    runtime: &Handle,
    work: impl FnOnce(oneshot::Sender<Answer>) -> F,
) -> Option<Answer>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let task = runtime.spawn(work(reply));
    let mut abort = AbortOnDrop(Some(task.abort_handle()));
    let answer = answer.await;
    abort.0 = None;
    answer.ok()
}

/// The normal form of a path, with the query that came with it.
fn with_query(path: &str, given: &Uri) -> Option<PathAndQuery> {
    let same = given.path_and_query().filter(|given| given.path() == path);
    match (same, given.query()) {
        (Some(same), _) => Some(same.clone()),
        (None, None) => path.parse().ok(),
        (None, Some(query)) => format!("{path}?{query}").parse().ok(),
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests;
