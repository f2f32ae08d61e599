//! Recorded once: whatever becomes of a request, one line in the access log and one count.
//!
//! A [`Record`] begins with the request and is filled in as the stages learn more; dropping it
//! writes it. The path is recorded without its query, which may hold secrets.

use std::sync::Arc;

use http::{HeaderValue, Method};
use serde::Serialize;
use watertight_base::{CompartmentId, LimitId, Reason, TenantId, Tick};
use watertight_layers::{Clock, Permit, Refusal};
use watertight_plan::{Cost, Service};

use crate::{
    access_log::AccessLog, body::BodyWatch, fault::Fault, forward::upstream::Upstream,
    metrics::Metrics,
};

/// Where records go.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) clock: Clock,
    pub(crate) node: String,
    pub(crate) region: String,
    pub(crate) log: AccessLog,
    pub(crate) metrics: Metrics,
}

/// A request, as it will be recorded.
#[derive(Debug)]
pub(crate) struct Record {
    recorder: Arc<Recorder>,
    begun: Tick,
    pub(crate) request_id: Option<HeaderValue>,
    pub(crate) peer: std::net::IpAddr,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) is_listed: bool,
    pub(crate) service: Option<Arc<Service>>,
    compartment: Option<CompartmentId>,
    status: u16,
    reason: &'static str,
    limit: Option<LimitId>,
    degraded: Option<Degraded>,
    pub(crate) upstream: Option<Arc<Upstream>>,
    waited_ms: f64,
    pub(crate) watch: Arc<BodyWatch>,
    pub(crate) bytes_down: u64,
}

/// How an answer is less than the whole one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Degraded {
    /// The service was asked to do less.
    Less,
    /// The last good answer was served.
    Stale,
    /// An answer that is always the same was served.
    Static,
}

impl Degraded {
    /// The word in metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Less => "less",
            Self::Stale => "stale",
            Self::Static => "static",
        }
    }
}

/// The reason in the access log.
const DEGRADED: &str = "degraded";

/// A line of the access log.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    node: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    region: &'a str,
    request_id: &'a str,
    peer: std::net::IpAddr,
    tenant: Option<&'a str>,
    service: Option<&'a str>,
    tier: Option<u8>,
    compartment: Option<&'a str>,
    method: &'a str,
    path: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    upstream: Option<&'a str>,
    wait_ms: f64,
    duration_ms: f64,
    bytes_up: u64,
    bytes_down: u64,
}

impl Record {
    pub(crate) fn begin(recorder: &Arc<Recorder>, peer: std::net::IpAddr, method: &Method) -> Self {
        Self {
            begun: recorder.clock.now(),
            recorder: Arc::clone(recorder),
            request_id: None,
            peer,
            method: method.clone(),
            path: String::new(),
            tenant: None,
            is_listed: false,
            service: None,
            compartment: None,
            status: Fault::ClientGone.http_status(),
            reason: Fault::ClientGone.label(),
            limit: None,
            degraded: None,
            upstream: None,
            waited_ms: 0.0,
            watch: Arc::default(),
            bytes_down: 0,
        }
    }

    /// When the request began.
    pub(crate) fn begun(&self) -> Tick {
        self.begun
    }

    pub(crate) fn admitted(&mut self, permit: &Permit) {
        self.compartment = permit.compartment().cloned();
        self.waited_ms = millis(permit.waited());
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.status = status;
        self.reason = self.degraded.map_or("", |_| DEGRADED);
    }

    /// The answer is less than the whole one because of `limit`.
    pub(crate) fn degraded(&mut self, how: Degraded, limit: Option<&LimitId>, status: u16) {
        self.limit = limit.cloned();
        self.degraded = Some(how);
        self.answered(status);
    }

    /// The answer did not reach its end.
    pub(crate) fn cut_short(&mut self, fault: Fault) {
        self.reason = fault.label();
    }

    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.compartment = refusal.compartment.clone();
        self.waited_ms = millis(refusal.waited);
        self.limit.clone_from(&refusal.limit);
        match refusal.degraded_status() {
            Some(status) => {
                self.degraded(Degraded::Static, refusal.limit.as_ref(), status);
            }
            None => self.refused_early(refusal.reason),
        }
    }

    /// What the service says that the request has cost cannot be heard. It is counted, and logged
    /// the first time, the second, the fourth and so on.
    pub(crate) fn cost_ignored(&self, said: &HeaderValue) {
        let Some(service) = &self.service else {
            return;
        };
        let times = self.recorder.metrics.cost_ignored(service);
        if times.is_power_of_two() {
            tracing::warn!(
                service = %service.id, ?said, times,
                "a cost that is not heard; expected one number up to {}", Cost::UNITS_MAX,
            );
        }
    }

    pub(crate) fn refused_early(&mut self, reason: Reason) {
        self.status = reason.http_status();
        self.reason = reason.label();
    }

    pub(crate) fn failed(&mut self, fault: Fault) {
        self.status = fault.http_status();
        self.reason = fault.label();
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let recorder = &self.recorder;
        let duration = recorder.clock.now() - self.begun;
        recorder.metrics.request(
            self.service.as_deref(),
            self.tenant.as_ref().filter(|_| self.is_listed),
            self.status,
            self.degraded,
            duration,
        );
        if !recorder.log.is_open() {
            return;
        }
        let upstream = self
            .upstream
            .as_ref()
            .map(|upstream| upstream.address.to_string());
        let line = Line {
            time: now_rfc3339(),
            node: &recorder.node,
            region: &recorder.region,
            request_id: self
                .request_id
                .as_ref()
                .and_then(|id| id.to_str().ok())
                .unwrap_or(""),
            peer: self.peer,
            tenant: self.tenant.as_ref().map(TenantId::as_str),
            service: self.service.as_ref().map(|service| service.id.as_str()),
            tier: self.service.as_ref().map(|service| service.tier.number()),
            compartment: self.compartment.as_ref().map(CompartmentId::as_str),
            method: self.method.as_str(),
            path: &self.path,
            status: self.status,
            reason: self.reason,
            limit: self.limit.as_ref().map(LimitId::as_str),
            upstream: upstream.as_deref(),
            wait_ms: self.waited_ms,
            duration_ms: millis(duration),
            bytes_up: self.watch.bytes(),
            bytes_down: self.bytes_down,
        };
        // Text and finite numbers always serialise.
        if let Ok(mut line) = serde_json::to_vec(&line) {
            line.push(b'\n');
            recorder.log.write(line);
        }
    }
}

/// Milliseconds, to the microsecond.
fn millis(span: std::time::Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

#[expect(
    clippy::disallowed_methods,
    reason = "the access log tells the time of day"
)]
fn now_rfc3339() -> String {
    humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string()
}
