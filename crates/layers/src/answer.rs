//! What an answer says about its service: by its head, and for gRPC by its trailers.
//!
//! A gRPC call that failed is an HTTP answer with status 200; whether it failed is in the field
//! `grpc-status`, which is in the trailers, or in the head of an answer that has nothing else. An
//! answer that ends without one counts as `UNKNOWN`, as gRPC has it.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use watertight_guard::breaker::{CallError, Classifier, Grpc, Outcome};

use crate::Permit;

const GRPC: &[u8] = b"application/grpc";
const GRPC_STATUS: &str = "grpc-status";

impl Permit {
    /// Says how the service answered, by the head of its answer. How long the call took counts up to
    /// now. Of a gRPC call, [`Permit::ended`] says more.
    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.took = Some(self.inner.clock.now() - self.seated);
        let outcome = self.classified(|classifier| classifier.status(status.as_u16()));
        if outcome != Outcome::Success || !headers.get(header::CONTENT_TYPE).is_some_and(is_grpc) {
            return self.set_outcome(outcome);
        }
        match headers.get(GRPC_STATUS) {
            Some(_) => self.heard_grpc(headers.get(GRPC_STATUS)),
            None => self.awaits_trailers = true,
        }
    }

    /// Says that the answer came to its end, with these trailers if it had any. The first time is
    /// the one that counts.
    pub fn ended(&mut self, trailers: Option<&HeaderMap>) {
        if std::mem::take(&mut self.awaits_trailers) {
            self.heard_grpc(trailers.and_then(|trailers| trailers.get(GRPC_STATUS)));
        }
    }

    /// Says that there is no answer, or no more of it. An error that the service's configuration
    /// does not record leaves what was said before.
    pub fn failed(&mut self, error: CallError) {
        let outcome = self.classified(|classifier| classifier.error(error));
        if outcome == Outcome::Failure {
            self.awaits_trailers = false;
            self.set_outcome(outcome);
        }
    }

    fn heard_grpc(&mut self, field: Option<&HeaderValue>) {
        let status = field.map_or(Grpc::UNKNOWN, |field| Grpc::of_field(field.as_bytes()));
        let outcome = self.classified(|classifier| classifier.grpc(status));
        self.set_outcome(outcome);
    }

    fn classified(&self, says: impl FnOnce(&Classifier) -> Outcome) -> Outcome {
        let current = self.inner.current.load();
        let service = current.plan.services().get(&self.known.service.id);
        // A reload may have taken the service away.
        service.map_or(Outcome::Ignored, |service| says(&service.classifier))
    }
}

/// Whether this is gRPC, and not gRPC-Web, whose trailers are in its body.
fn is_grpc(kind: &HeaderValue) -> bool {
    let rest = kind.as_bytes().strip_prefix(GRPC);
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}
