//! The way of a request: who, what, may it, forward, answer, record once.
//!
//! [`Door::serve`] runs on the front runtime up to the point where the request's service, and so its
//! tier, is known; [`Stages::run`] does the rest on the tier's runtime and hands the answer back. If the
//! client goes away before its answer, the rest is aborted, and dropping it gives everything back.

pub(crate) mod less;

use std::sync::Arc;

use http::{HeaderMap, Request, Response, Version, header, uri::PathAndQuery};
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use tokio::{sync::oneshot, task::AbortHandle};
use watertight_base::{Reason, Tick, Tier};
use watertight_layers::{Refusal, What, Who};
use watertight_plan::ListenLimits;

use crate::{
    body::{BodyError, Pickiness, RequestBody, ResponseBody, relay},
    fault::Fault,
    forward::{
        Called, Upstreams,
        connection::tunnel,
        headers::{self, REQUEST_ID},
        upstream::Lease,
    },
    in_flight::{Gathered, InFlight, keep},
    listen::{Live, Peer, Stop, UnderWay},
    pace::Pace,
    path,
    record::Record,
    serve::less::{After, instead},
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

/// What is known of a request when its tier's runtime takes it over.
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
                let mut answer = self.hand_over(prepared, record).await;
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

    async fn hand_over(&self, prepared: Prepared, record: Record) -> Answer {
        let Prepared {
            request,
            upgrade,
            path,
            who,
            upstreams,
            under_way,
        } = prepared;
        let tier = upstreams.service.tier;
        let stages = Stages {
            shared: Arc::clone(&self.shared),
            request,
            upgrade,
            path,
            who,
            upstreams,
            under_way,
            silence_max: self.limits.idle_timeout,
            record,
        };
        let (reply, answer) = oneshot::channel();
        let task = self.shared.runtimes.of(tier).spawn(stages.run(reply));
        let mut abort = AbortOnDrop(Some(task.abort_handle()));
        let answer = answer.await;
        abort.0 = None;
        // The task ends without an answer only if it panicked.
        answer.unwrap_or_else(|_| Fault::UpstreamReset.into_response())
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

impl Stages {
    /// May it, forward, answer.
    async fn run(self, reply: oneshot::Sender<Answer>) {
        let Self {
            shared,
            mut request,
            upgrade,
            path,
            who,
            upstreams,
            under_way,
            silence_max,
            mut record,
        } = self;
        let now = record.begun();
        let service = &upstreams.service;
        let deadline = now + service.timeout;
        let what = What {
            service: &service.id,
            path: path.path(),
            deadline,
            held_back: upstreams.held_back(now),
        };
        let permit = match shared.admission.admit(&who, what, now).await {
            Ok(permit) => permit,
            Err(refusal) => {
                let answer = instead(&shared, &request, &path, &who, refusal, &mut record);
                // If nobody waits for the answer any more, it drops here.
                let _ = reply.send(answer);
                return;
            }
        };
        record.admitted(&permit);
        less::ask_for_less(&permit, request.headers_mut());
        let pace = Pace::of(&permit, shared.clock);
        if let Some(pace) = &pace {
            request.body_mut().set_pace(pace.clone());
        }
        let after = After::of(&shared, &request, &path, &who, &permit, service, now);
        let mut in_flight = InFlight {
            upstream: None,
            permit,
            deadline: shared.clock.instant(deadline),
            clock: shared.clock,
            pace,
            capture: None,
            buffer: who.buffer(),
            _under_way: under_way,
            span: tracing::debug_span!("request", service = %service.id, tenant = %who.tenant),
            record,
        };
        let now = shared.clock.now();
        match in_flight.forward(&upstreams, request, path, now).await {
            Err(fault) => {
                drop(in_flight);
                let _ = reply.send(fault.into_response());
            }
            Ok((response, lease)) => {
                in_flight.upstream = Some(lease);
                let on_its_way = OnItsWay {
                    upgrade,
                    reply,
                    silence_max,
                    upstreams: &upstreams,
                    after,
                    stop: &shared.stop,
                };
                answer(in_flight, response, on_its_way).await;
            }
        }
    }
}

impl InFlight {
    async fn forward(
        &mut self,
        upstreams: &Upstreams,
        request: Request<RequestBody>,
        path: PathAndQuery,
        now: Tick,
    ) -> Result<(Response<Incoming>, Lease), Fault> {
        use tracing::Instrument as _;

        let watch = &self.record.watch;
        let called = Called::default();
        let sent = upstreams.forward(request, path, now, self.deadline, watch, &called);
        let sent = sent.instrument(self.span.clone());
        let result = tokio::select! {
            biased;
            result = sent => result,
            _ = self.permit.recalled() => Err(Fault::SeatRecalled),
        };
        let result = result.map_err(|fault| match watch.error() {
            Some(BodyError::TooLarge) => Fault::TooLarge,
            Some(BodyError::Stalled) => Fault::RequestTimeout,
            Some(BodyError::Malformed) => Fault::BadRequest,
            Some(BodyError::BrokeOff | BodyError::Upstream) => Fault::ClientGone,
            None => fault,
        });
        self.permit.was_paced(watch.paced());
        self.record.upstream = called.address();
        let answer = result.as_ref().map(|(response, _)| response);
        self.answered(answer.map_err(|fault| *fault));
        result
    }
}

/// What an answer needs besides the request.
struct OnItsWay<'a> {
    upgrade: Option<OnUpgrade>,
    reply: oneshot::Sender<Answer>,
    silence_max: std::time::Duration,
    upstreams: &'a Upstreams,
    after: After,
    stop: &'a Stop,
}

/// Hands the answer's head back and sees its body off.
async fn answer(
    mut in_flight: InFlight,
    mut response: Response<Incoming>,
    on_its_way: OnItsWay<'_>,
) {
    let OnItsWay {
        upgrade,
        reply,
        silence_max,
        upstreams,
        after,
        stop,
    } = on_its_way;
    let is_delimited = less::is_delimited(&response);
    // What the upstream speaks is between it and us.
    *response.version_mut() = Version::HTTP_11;
    let switching = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
    let protocol = wanted_upgrade(response.headers());
    headers::strip_hop_by_hop(response.headers_mut());
    less::settle_cost(&mut in_flight, upstreams, response.headers_mut());
    in_flight.capture = after.answered(&response, is_delimited);
    less::mark(&mut in_flight, &mut response);
    if switching && let (Some(client), Some(protocol)) = (upgrade, protocol) {
        let upstream = hyper::upgrade::on(&mut response);
        let headers = response.headers_mut();
        headers.insert(
            header::CONNECTION,
            header::HeaderValue::from_static("upgrade"),
        );
        headers.insert(header::UPGRADE, protocol);
        // From before HTTP lets go of the connection.
        let live = stop.live();
        let silence = (silence_max, upstreams.service.upgrade_idle);
        let _ = reply.send(response.map(|_| ResponseBody::empty()));
        carry_upgraded(in_flight, (client, upstream), silence, (stop, live)).await;
        return;
    }
    if switching {
        // Nobody asked for it.
        in_flight.answered(Err(Fault::UpstreamReset));
        let _ = reply.send(Fault::UpstreamReset.into_response());
        return;
    }
    let (head, mut body) = response.into_parts();
    let size = body.size_hint();
    let buffer = in_flight.buffer.clone();
    let begun = match in_flight.gather(&mut body).await {
        Gathered::Whole(frames) => {
            let upstream = in_flight.give_back();
            let body = ResponseBody::held(frames, &buffer);
            let _ = reply.send(Response::from_parts(head, body));
            return keep(upstream).await;
        }
        Gathered::Broken => {
            in_flight.answered(Err(Fault::UpstreamReset));
            let _ = reply.send(Fault::UpstreamReset.into_response());
            return;
        }
        Gathered::Begun(frames) => frames,
    };
    let (sender, relayed) = relay(upstreams.service.response_buffer_bytes, size, buffer);
    if reply.send(Response::from_parts(head, relayed)).is_ok() {
        in_flight.stream(begun, body, sender, silence_max).await;
    }
}

/// Carries an upgraded connection to its end. A drain waits for it, and cuts it when time is up.
async fn carry_upgraded(
    mut in_flight: InFlight,
    (client, upstream): (OnUpgrade, OnUpgrade),
    silence: (std::time::Duration, std::time::Duration),
    (stop, live): (&Stop, Live),
) {
    if let (Ok(client), Ok(upstream)) = (client.await, upstream.await) {
        let pace = in_flight.pace.as_ref();
        tokio::select! {
            biased;
            () = stop.cut() => live.was_cut(),
            // Either end may break off; the tunnel is then over, which is no error of ours.
            _ = tunnel(client, upstream, silence, pace) => {}
            _ = in_flight.permit.recalled() => in_flight.record.cut_short(Fault::SeatRecalled),
        }
    }
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
