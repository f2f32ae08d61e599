//! What becomes of a request that was admitted: forwarded and answered, on its tier's runtime.
//!
//! From here on one value, [`InFlight`], owns all that the request holds. The head of the answer goes
//! to the front runtime as soon as it is known; the task lives until the last byte came, so that the
//! seat is held as long as the service works, and no longer.

use http::{Request, Response, Version, header, uri::PathAndQuery};
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use tokio::sync::oneshot;
use watertight_base::Tick;
use watertight_layers::Permit;

use super::{
    Answer, Stages,
    less::{self, After},
    wanted_upgrade,
};
use crate::{
    body::{BodyError, RequestBody, ResponseBody, relay},
    fault::Fault,
    forward::{Called, Upstreams, connection::tunnel, headers, upstream::Lease},
    in_flight::{Gathered, InFlight, keep},
    listen::{Live, Stop},
    pace::Pace,
};

impl Stages {
    /// Forward, answer.
    pub(super) async fn forward(self: Box<Self>, permit: Permit, reply: oneshot::Sender<Answer>) {
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
        } = *self;
        let begun = record.begun();
        let service = &upstreams.service;
        record.admitted(&permit);
        less::ask_for_less(&permit, request.headers_mut());
        let pace = Pace::of(&permit, shared.clock);
        if let Some(pace) = &pace {
            request.body_mut().set_pace(pace.clone());
        }
        let after = After::of(&shared, &request, &path, &who, &permit, service, begun);
        let mut in_flight = InFlight {
            upstream: None,
            permit,
            deadline: shared.clock.instant(begun + service.timeout),
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
                // If nobody waits for the answer any more, it drops here.
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
