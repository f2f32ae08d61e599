//! Recorded once: whatever becomes of a request, one line in the access log and one count.
//!
//! A [`Record`] begins with the request and is filled in as the stages learn more; dropping it
//! writes it. The path is recorded without its query, which may hold secrets.

use std::sync::Arc;

use http::{HeaderValue, Method};
use serde::Serialize;
use watertight_base::{Reason, TenantId, Tick};
use watertight_layers::{Clock, Permit, Refusal};
use watertight_plan::Service;

use crate::{access_log::AccessLog, body::BodyWatch, fault::Fault, metrics::Metrics};

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
    compartment: Option<String>,
    status: u16,
    reason: &'static str,
    pub(crate) upstream: Option<String>,
    waited_ms: f64,
    pub(crate) watch: Arc<BodyWatch>,
    pub(crate) bytes_down: u64,
}

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
        self.compartment = permit.compartment().map(ToString::to_string);
        self.waited_ms = millis(permit.waited());
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.status = status;
        self.reason = "";
    }

    /// The answer did not reach its end.
    pub(crate) fn cut_short(&mut self, fault: Fault) {
        self.reason = fault.label();
    }

    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.compartment = refusal.compartment.as_ref().map(ToString::to_string);
        self.refused_early(refusal.reason);
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
            duration,
        );
        if !recorder.log.is_open() {
            return;
        }
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
            compartment: self.compartment.as_deref(),
            method: self.method.as_str(),
            path: &self.path,
            status: self.status,
            reason: self.reason,
            upstream: self.upstream.as_deref(),
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
