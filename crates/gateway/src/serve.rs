//! The way of a request: who, what, may it, forward, answer, record once.
//!
//! Whatever is short is done where the request came in, on the front runtime: who, what, and may it. So
//! a refusal, and what is served instead of one, costs no change of threads, and whoever waits for a
//! seat holds no tier's time. Only a request that has its permit moves to its tier's runtime
//! (`serve/admitted.rs`), as one pointer and its permit; the answer comes back. A tier that burns its
//! threads is thus in the way of its own requests alone: nothing in front waits for it.
//!
//! Dropping gives everything back, wherever a request is. A client that goes away drops what waits
//! here and aborts what runs there; a task that panics there drops what it holds, and is answered for
//! here.

mod admitted;
pub(crate) mod less;

use std::sync::Arc;

use http::{HeaderMap, Request, Response, Version, header, uri::PathAndQuery};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use tokio::{runtime::Handle, sync::oneshot, task::AbortHandle};
use watertight_base::{Reason, Tier};
use watertight_layers::{Permit, Refusal, What, Who};
use watertight_plan::ListenLimits;

use crate::{
    body::{Pickiness, RequestBody, ResponseBody},
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

/// Stops what runs for a client that went away.
struct AbortOnDrop(Option<AbortHandle>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// A request whose tenant and service are known, on its way through the stages.
struct Stages {
    shared: Arc<Shared>,
    request: Request<RequestBody>,
    upgrade: Option<OnUpgrade>,
    path: PathAndQuery,
    who: Who,
    upstreams: Arc<Upstreams>,
    under_way: Arc<UnderWay>,
    silence_max: std::time::Duration,
    record: Record,
}

type Answer = Response<ResponseBody>;

impl Door {
    /// Answers a request.
    pub(crate) async fn serve(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        let version = request.version();
        let mut record = Record::begin(&self.shared.recorder, peer.address, request.method());
        match self.prepare(request, &peer, &mut record) {
            Ok(prepared) => {
                let under_way = Arc::clone(&prepared.under_way);
                let stages = Box::new(prepared.begin(self, record));
                let mut answer = stages.run().await;
                answer.extensions_mut().insert(under_way);
                answer
            }
            Err(NotServed::Fault(fault)) => {
                record.failed(fault);
                fault.into_response()
            }
            Err(NotServed::Refused(reason)) => {
                record.refused_early(reason);
                let tenant = record.tenant.clone();
                let refusal = Refusal {
                    tenant,
                    ..Refusal::early(reason)
                };
                let mut answer: Answer = refusal.into_response(&record.method);
                // HTTP/2 has other words for it.
                if peer.tenancy.is_closing() && version < Version::HTTP_2 {
                    let close = header::HeaderValue::from_static("close");
                    answer.headers_mut().insert(header::CONNECTION, close);
                }
                answer
            }
        }
    }

    /// Who and what.
    fn prepare(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        record: &mut Record,
    ) -> Result<Prepared, NotServed> {
        let current = self.shared.current.load_full();
        let (mut head, body) = request.into_parts();
        let request_id = headers::request_id(&head, current.identifier.is_trusted(peer.address));
        record.request_id = Some(request_id.clone());
        headers::settle_host(&mut head)?;
        headers::check_transfer_encoding(&head.headers)?;
        let given = head.uri.path().to_owned();
        let normal = path::normalise(&given).map_err(|_| Fault::BadRequest)?;
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
        let is_trusted = current.identifier.is_trusted(peer.address);
        let under_way = Arc::new(peer.tenancy.begin(&who, is_trusted)?);
        let path = with_query(&identified.path, head.uri.query()).ok_or(Fault::BadRequest)?;
        if content_length(&head.headers).is_some_and(|length| length > self.limits.max_body_bytes) {
            return Err(Fault::TooLarge.into());
        }
        let upgrade = wanted_upgrade(&head.headers)
            .and_then(|protocol| Some((protocol, head.extensions.remove::<OnUpgrade>()?)));
        let service = &upstreams.service.id;
        let less = self.shared.admission.less_fields(service);
        headers::towards_upstream(&mut head, peer, &who.tenant, &current.identifier, &less);
        head.headers.insert(REQUEST_ID, request_id);
        let upgrade = upgrade.map(|(protocol, on_upgrade)| {
            head.headers.insert(
                header::CONNECTION,
                header::HeaderValue::from_static("upgrade"),
            );
            head.headers.insert(header::UPGRADE, protocol);
            on_upgrade
        });
        let limits = &self.limits;
        let watch = Arc::clone(&record.watch);
        let body = RequestBody::new(
            body,
            limits.max_body_bytes,
            self.pickiness(&head.headers),
            watch,
            [current.identifier.tenant_headers(), &less].concat(),
        );
        let request = Request::from_parts(head, body);
        Ok(Prepared {
            request,
            upgrade,
            path,
            who,
            upstreams,
            under_way,
        })
    }

    /// How patient it is with the body of a request with these headers.
    fn pickiness(&self, headers: &HeaderMap) -> Pickiness {
        Pickiness {
            silence_max: self.limits.idle_timeout,
            min_rate: if is_grpc(headers) {
                0
            } else {
                self.limits.min_rate
            },
        }
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

/// A request whose tenant and service are known.
struct Prepared {
    request: Request<RequestBody>,
    upgrade: Option<OnUpgrade>,
    path: PathAndQuery,
    who: Who,
    upstreams: Arc<Upstreams>,
    under_way: Arc<UnderWay>,
}

impl Prepared {
    fn begin(self, door: &Door, record: Record) -> Stages {
        let Self {
            request,
            upgrade,
            path,
            who,
            upstreams,
            under_way,
        } = self;
        Stages {
            shared: Arc::clone(&door.shared),
            request,
            upgrade,
            path,
            who,
            upstreams,
            under_way,
            silence_max: door.limits.idle_timeout,
            record,
        }
    }
}

impl Stages {
    /// May it? Whoever may not is answered here, whoever may by its tier.
    async fn run(mut self: Box<Self>) -> Answer {
        let service = Arc::clone(&self.upstreams.service);
        let now = self.record.begun();
        let what = What {
            service: &service.id,
            path: self.path.path(),
            deadline: now + service.timeout,
            held_back: self.upstreams.held_back(now),
        };
        match self.shared.admission.admit(&self.who, what, now).await {
            Ok(permit) => self.hand_over(permit).await,
            Err(refusal) => {
                let (request, path, who) = (&self.request, &self.path, &self.who);
                instead(&self.shared, request, path, who, refusal, &mut self.record)
            }
        }
    }

    /// Lets the request's tier do the rest.
    async fn hand_over(self: Box<Self>, permit: Permit) -> Answer {
        let shared = Arc::clone(&self.shared);
        let runtime = shared.runtimes.of(self.upstreams.service.tier);
        let answer = elsewhere(runtime, |reply| self.forward(permit, reply)).await;
        answer.unwrap_or_else(|| Fault::UpstreamReset.into_response())
    }
}

/// Lets `work` run on another runtime, until it is done or nobody waits for its answer any more. None:
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

fn with_query(path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    match query {
        None => path.parse().ok(),
        Some(query) => format!("{path}?{query}").parse().ok(),
    }
}

/// Whether a call may be a conversation, in which silence is no sign of anything.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The protocol that `Connection: upgrade` asks for. Never HTTP/2: requests inside of it would pass
/// without being admitted, and who upgrades to it has to do with HTTP/1.1 (RFC 9113, section 3.1).
fn wanted_upgrade(headers: &HeaderMap) -> Option<header::HeaderValue> {
    let connection = headers.get(header::CONNECTION)?.to_str().ok()?;
    let upgrades = connection
        .split(',')
        .any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = headers.get(header::UPGRADE).filter(|_| upgrades)?;
    let named = protocol.to_str().ok()?.split(',');
    let is_http = named.map(str::trim).any(|name| {
        let name = name.split_once('/').map_or(name, |(name, _)| name);
        ["h2c", "h2", "http"]
            .iter()
            .any(|http| name.eq_ignore_ascii_case(http))
    });
    (!is_http).then(|| protocol.clone())
}

#[cfg(test)]
mod tests;
