//! A request between admission and its last byte.
//!
//! One type owns everything that the request holds, so that dropping it, for whatever reason, gives
//! everything back once: the permit (seats, a place among the tenant's requests, the breaker's
//! word), the upstream connection, and the record that is written at the end. The order of the
//! fields is the order in which things are given back: the connection is closed before the seat is
//! free, so that the database behind never sees more than the seats allow.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;
use watertight_guard::breaker::CallError;
use watertight_layers::{Buffer, Clock, DEGRADED, Permit};

use crate::{
    body::RelaySender, fault::Fault, forward::upstream::Lease, last_good::Capture,
    listen::UnderWay, pace::Pace, record::Record,
};

/// A body that is no longer than this is waited for.
const SHORT_BYTES: u64 = 16 * 1024;
/// How long.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(5);

/// What came of an answer's body within a moment.
#[derive(Debug)]
pub(crate) enum Gathered {
    /// All of it.
    Whole(Vec<Frame<Bytes>>),
    /// Some or none of it, to go ahead of the rest.
    Begun(Vec<Frame<Bytes>>),
    /// The upstream broke off.
    Broken,
}

/// A request that was admitted.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// The connection that the answer comes on, once there is one.
    pub(crate) upstream: Option<Lease>,
    /// What the request was given.
    pub(crate) permit: Permit,
    /// When its answer's head must be there.
    pub(crate) deadline: std::time::Instant,
    pub(crate) clock: Clock,
    /// What holds its bytes to their pace.
    pub(crate) pace: Option<Pace>,
    /// A copy of its answer, if that may stand in for later ones.
    pub(crate) capture: Option<Capture>,
    /// Where the bytes of its answer that nobody has read yet count.
    pub(crate) buffer: Buffer,
    /// For whom its connection counts.
    pub(crate) under_way: Arc<UnderWay>,
    /// What will be written of it.
    pub(crate) record: Record,
}

impl InFlight {
    /// Says how the service answered, or that it did not.
    pub(crate) fn answered(&mut self, result: Result<&Response<Incoming>, Fault>) {
        match result {
            Ok(response) => {
                self.record.answered(response.status().as_u16());
                self.permit.answered(response.status(), response.headers());
            }
            Err(fault) => {
                self.record.failed(fault);
                match fault {
                    Fault::UpstreamConnect => self.permit.failed(CallError::Connect),
                    Fault::UpstreamReset => self.permit.failed(CallError::Reset),
                    Fault::UpstreamTimeout => self.permit.failed(CallError::Timeout),
                    Fault::Injected(status) => {
                        let status = StatusCode::from_u16(status).unwrap_or_default();
                        self.permit.answered(status, &HeaderMap::new());
                    }
                    _ => {}
                }
            }
        }
    }

    /// Takes the body of a short answer whole, if it is there within a moment: one hand-over to the
    /// front runtime instead of three.
    pub(crate) async fn gather(&mut self, body: &mut Incoming) -> Gathered {
        let mut frames = Vec::new();
        let is_short = body
            .size_hint()
            .exact()
            .is_some_and(|length| length <= SHORT_BYTES && self.buffer.has_room(length));
        if !is_short || self.pace.is_some() {
            return Gathered::Begun(frames);
        }
        let gather = async {
            // A body of known length ends with its last byte.
            while !body.is_end_stream() {
                match body.frame().await {
                    Some(Ok(mut frame)) => {
                        self.came(&mut frame);
                        frames.push(frame);
                    }
                    Some(Err(_)) => return false,
                    None => break,
                }
            }
            true
        };
        match timeout(MOMENT, gather).await {
            Ok(true) => {
                self.is_whole();
                Gathered::Whole(frames)
            }
            Ok(false) => Gathered::Broken,
            Err(_) => Gathered::Begun(frames),
        }
    }

    /// Streams the answer's body down until its last byte, then gives everything back. The service may
    /// be silent for `silence_max`.
    pub(crate) async fn stream(
        mut self: Box<Self>,
        gathered: Vec<Frame<Bytes>>,
        mut body: Incoming,
        relay: RelaySender,
        silence_max: std::time::Duration,
    ) {
        for frame in gathered {
            relay.send(frame).await;
        }
        loop {
            let frame = tokio::select! {
                biased;
                frame = timeout(silence_max, body.frame()) => frame,
                () = relay.closed() => return self.left(&relay),
                _ = self.permit.recalled() => return self.record.cut_short(Fault::SeatRecalled),
            };
            let mut frame = match frame {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return self.broke_off(Fault::UpstreamReset),
                Err(_) => return self.broke_off(Fault::UpstreamTimeout),
            };
            self.came(&mut frame);
            if body.is_end_stream() {
                return self.pass_last(frame, relay).await;
            }
            let is_passed = tokio::select! {
                biased;
                is_passed = pass(self.pace.as_ref(), frame, &relay) => is_passed,
                _ = self.permit.recalled() => return self.record.cut_short(Fault::SeatRecalled),
            };
            if !is_passed {
                return self.left(&relay);
            }
        }
        self.is_whole();
        let upstream = self.give_back();
        relay.end();
        keep(upstream).await;
    }

    /// Passes the last frame on. Whoever has the last byte finds the seat free: the client may send its
    /// next request at once.
    async fn pass_last(mut self: Box<Self>, frame: Frame<Bytes>, relay: RelaySender) {
        self.is_whole();
        let Self {
            upstream,
            permit,
            pace,
            under_way,
            mut record,
            ..
        } = *self;
        // Unless its tenant has buffered all it may: then the reader holds the seat as well.
        let (permit, until_read) = if relay.is_full() {
            (Some(permit), true)
        } else {
            drop(permit);
            (None, false)
        };
        let mut is_passed = pass(pace.as_ref(), frame, &relay).await;
        if is_passed && until_read {
            is_passed = relay.drained().await;
        }
        drop(permit);
        if is_passed {
            relay.end();
        } else {
            record.cut_short(why_left(&relay, &under_way));
        }
        drop(record);
        keep(upstream).await;
    }

    /// Nobody reads the answer any more.
    fn left(&mut self, relay: &RelaySender) {
        self.record.cut_short(why_left(relay, &self.under_way));
    }

    /// The service did not finish its answer. For breakers that is a reset, silence too: the answer
    /// itself came in time.
    fn broke_off(&mut self, fault: Fault) {
        self.record.cut_short(fault);
        self.permit.failed(CallError::Reset);
    }

    /// Notes what came of the answer's body.
    fn came(&mut self, frame: &mut Frame<Bytes>) {
        if let Some(trailers) = frame.trailers_mut() {
            trailers.remove(DEGRADED);
            self.permit.ended(Some(trailers));
        }
        self.record.bytes_down += frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.capture.as_mut().is_some_and(|copy| !copy.take(frame)) {
            self.capture = None;
        }
    }

    /// All of the answer came.
    pub(crate) fn is_whole(&mut self) {
        self.permit.ended(None);
        if let Some(copy) = self.capture.take() {
            copy.finish(self.clock.now());
        }
    }

    /// Gives everything back after the last byte, except for the connection.
    pub(crate) fn give_back(mut self: Box<Self>) -> Option<Lease> {
        self.upstream.take()
    }
}

/// Why nobody reads an answer any more: its reader did not read enough, by its own patience or that of its
/// connection, or it went away.
fn why_left(relay: &RelaySender, under_way: &UnderWay) -> Fault {
    match !relay.is_closed() || under_way.is_too_slow() {
        true => Fault::ClientTooSlow,
        false => Fault::ClientGone,
    }
}

/// Passes a frame on at its pace. False: the reader is gone, or does not read.
async fn pass(pace: Option<&Pace>, frame: Frame<Bytes>, relay: &RelaySender) -> bool {
    let Some(pace) = pace else {
        return relay.send(frame).await;
    };
    let mut data = match frame.into_data() {
        Ok(data) => data,
        Err(trailers) => return relay.send(trailers).await,
    };
    while !data.is_empty() {
        let slice = data.split_to(data.len().min(pace.slice_bytes()));
        tokio::select! {
            biased;
            () = pace.pass(slice.len()) => {}
            () = relay.closed() => return false,
        }
        if !relay.send(Frame::data(slice)).await {
            return false;
        }
    }
    true
}

/// Keeps a connection for another request.
pub(crate) async fn keep(upstream: Option<Lease>) {
    if let Some(lease) = upstream {
        lease.keep().await;
    }
}
