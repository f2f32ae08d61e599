//! What becomes of a request that was admitted: forwarded and answered, on its tier's runtime.
//!
//! From here on one value, [`InFlight`], owns all that the request holds. The head of the answer goes
//! to the front runtime as soon as it is known; the task lives until the last byte came, so that the
//! seat is held as long as the service works, and no longer. What few requests need, and what takes
//! long, is on the heap, because every task is as large as the largest of its parts.

use std::{pin::pin, sync::Arc};

use http::{HeaderMap, Request, Response, Version, header, uri::PathAndQuery};
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use tokio::sync::oneshot;
use watertight_base::Tick;
use watertight_layers::{Permit, Refusal};

use super::{
    Answer, Door, Stages,
    less::{self, After},
};
use crate::{
    body::{BodyError, Patience, Pickiness, RequestBody, ResponseBody, relay},
    fault::Fault,
    forward::{Called, Upstreams, connection::tunnel, headers, upstream::Lease},
    in_flight::{Gathered, InFlight, keep},
    listen::{Live, Stop},
    pace::Pace,
};

/// What an answer needs besides the request.
struct OnItsWay {
    door: Arc<Door>,
    upstreams: Arc<Upstreams>,
    upgrade: Option<OnUpgrade>,
    reply: oneshot::Sender<Answer>,
    after: After,
    /// With whoever reads the answer. None: its connection is watched instead.
    patience: Option<Patience>,
}

impl Stages {
    /// Forward, answer.
    pub(super) async fn forward(self: Box<Self>, permit: Permit, reply: oneshot::Sender<Answer>) {
        let path = self.path.clone();
        let (mut in_flight, request, on_its_way) = self.depart(permit, reply);
        let now = in_flight.clock.now();
        let upstreams = &on_its_way.upstreams;
        match in_flight.forward(upstreams, request, path, now).await {
            Err(Fault::HeldBack(wait)) => {
                let InFlight {
                    permit, mut record, ..
                } = *in_flight;
                let refusal = Refusal {
                    is_forced: upstreams.forced().is_some(),
                    ..permit.held_back(wait)
                };
                record.refused(&refusal);
                let _ = on_its_way.reply.send(refusal.into_response(&record.method));
            }
            Err(fault) => {
                drop(in_flight);
                // If nobody waits for the answer any more, it drops here.
                let _ = on_its_way.reply.send(fault.into_response());
            }
            Ok((response, lease)) => {
                in_flight.upstream = Some(lease);
                answer(in_flight, response, on_its_way).await;
            }
        }
    }

    /// Makes what was admitted ready to be sent.
    fn depart(
        mut self: Box<Self>,
        permit: Permit,
        reply: oneshot::Sender<Answer>,
    ) -> (Box<InFlight>, Box<Request<RequestBody>>, OnItsWay) {
        let pickiness = self.pickiness();
        let patience = self.patience();
        let upgrade = self.dress_and_upgrade();
        less::ask_for_less(&permit, &mut self.head.headers);
        let after = After::of(&self, &permit);
        let Self {
            door,
            current,
            head,
            body,
            who,
            upstreams,
            under_way,
            mut record,
            ..
        } = *self;
        record.admitted(&permit);
        let clock = door.shared.clock;
        let pace = Pace::of(&permit, clock);
        let less = door.shared.admission.less_fields(&upstreams.service.id);
        let not_in_trailers = [current.identifier.tenant_headers(), &less].concat();
        let watch = Arc::clone(&record.watch);
        let bytes_max = door.limits.max_body_bytes;
        let mut body = RequestBody::new(body, bytes_max, pickiness, watch, not_in_trailers);
        if let Some(pace) = &pace {
            body.set_pace(pace.clone());
        }
        let in_flight = Box::new(InFlight {
            upstream: None,
            permit,
            deadline: clock.instant(record.begun() + upstreams.service.timeout),
            clock,
            pace,
            capture: None,
            buffer: who.buffer(),
            under_way,
            record,
        });
        let on_its_way = OnItsWay {
            door,
            upstreams,
            upgrade,
            reply,
            after,
            patience,
        };
        let request = Box::new(Request::from_parts(head, body));
        (in_flight, request, on_its_way)
    }

    /// How patient we are with the body.
    fn pickiness(&self) -> Pickiness {
        let limits = &self.door.limits;
        let is_grpc = is_grpc(&self.head.headers);
        Pickiness {
            silence_max: limits.idle_timeout,
            min_rate: if is_grpc { 0 } else { limits.min_rate },
        }
    }

    /// How patient we are with whoever reads the answer, where its connection may be others' as well.
    fn patience(&self) -> Option<Patience> {
        let limits = &self.door.limits;
        let is_shared = self.head.version >= Version::HTTP_2;
        is_shared.then_some(Patience {
            span: limits.idle_timeout,
            min_rate: limits.min_rate,
        })
    }

    /// Makes the head what the service is to see; the upgrade that it asks for, if it does.
    fn dress_and_upgrade(&mut self) -> Option<OnUpgrade> {
        let upgrade = wanted_upgrade(&self.head.headers)
            .and_then(|protocol| Some((protocol, self.head.extensions.remove::<OnUpgrade>()?)));
        self.dress();
        upgrade.map(|(protocol, on_upgrade)| {
            ask_to_upgrade(&mut self.head.headers, protocol);
            on_upgrade
        })
    }
}

impl InFlight {
    async fn forward(
        &mut self,
        upstreams: &Upstreams,
        request: Box<Request<RequestBody>>,
        path: PathAndQuery,
        now: Tick,
    ) -> Result<(Response<Incoming>, Lease), Fault> {
        let first = upstreams.first(now)?;
        self.permit.called();
        let watch = &self.record.watch;
        let called = Called::default();
        let result = {
            let sent = upstreams.forward(request, path, first, self.deadline, watch, &called);
            // In its place from the start: what `select!` is given, it moves.
            let mut sent = pin!(sent);
            tokio::select! {
                biased;
                result = sent.as_mut() => result,
                _ = self.permit.recalled() => Err(Fault::SeatRecalled),
            }
        };
        let result = result.map_err(|fault| match watch.error() {
            Some(BodyError::TooLarge) => Fault::TooLarge,
            Some(BodyError::Stalled) => Fault::RequestTimeout,
            Some(BodyError::Malformed) => Fault::BadRequest,
            Some(BodyError::BrokeOff | BodyError::Upstream) => Fault::ClientGone,
            None => fault,
        });
        self.permit.was_paced(watch.paced());
        self.record.upstream = called.upstream();
        let answer = result.as_ref().map(|(response, _)| response);
        self.answered(answer.map_err(|fault| *fault));
        result
    }
}

/// Hands the answer's head back and sees its body off.
async fn answer(
    mut in_flight: Box<InFlight>,
    mut response: Response<Incoming>,
    on_its_way: OnItsWay,
) {
    let OnItsWay {
        door,
        upstreams,
        upgrade,
        reply,
        after,
        patience,
    } = on_its_way;
    let is_delimited = less::is_delimited(&response);
    // What the upstream speaks is between it and us.
    *response.version_mut() = Version::HTTP_11;
    let switching = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
    let protocol = wanted_upgrade(response.headers());
    headers::towards_client(response.headers_mut());
    less::settle_cost(&mut in_flight, &upstreams, response.headers_mut());
    in_flight.capture = after.answered(&response, is_delimited);
    less::mark(&mut in_flight, &mut response);
    if switching && let (Some(client), Some(protocol)) = (upgrade, protocol) {
        let upstream = hyper::upgrade::on(&mut response);
        ask_to_upgrade(response.headers_mut(), protocol);
        // From before HTTP lets go of the connection.
        let stop = &door.shared.stop;
        let live = stop.live();
        let silence = (door.limits.idle_timeout, upstreams.service.upgrade_idle);
        let _ = reply.send(response.map(|_| ResponseBody::empty()));
        let ends = (client, upstream);
        return Box::pin(carry_upgraded(in_flight, ends, silence, (stop, live))).await;
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
        let silence_max = door.limits.idle_timeout;
        let sender = sender.with_patience(patience);
        Box::pin(in_flight.stream(begun, body, sender, silence_max)).await;
    }
}

/// Carries an upgraded connection to its end. A drain waits for it, and cuts it when time is up.
async fn carry_upgraded(
    mut in_flight: Box<InFlight>,
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

fn ask_to_upgrade(headers: &mut HeaderMap, protocol: header::HeaderValue) {
    let upgrade = header::HeaderValue::from_static("upgrade");
    headers.insert(header::CONNECTION, upgrade);
    headers.insert(header::UPGRADE, protocol);
}

/// Whether a call may be a conversation, in which silence is no sign of anything.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
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
