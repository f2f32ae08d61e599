//! What is asked, and an answer that is copied while it streams by.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::Frame;
use watertight_base::{ServiceId, TenantId, Tick};
use watertight_guard::pool::TenantKey;

use super::{Answer, LastGood, terms};

/// What an answer is an answer to, the request fields aside.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Target {
    pub(crate) service: ServiceId,
    pub(crate) tenant: TenantId,
    pub(crate) scheme: Vec<u8>,
    pub(crate) host: Vec<u8>,
    pub(crate) path_and_query: String,
}

/// A request, as last good answers are kept and found by.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) lane: TenantKey,
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) fields: HeaderMap,
    pub(crate) begun: Tick,
}

/// An answer that may be kept, while it comes in.
#[derive(Debug)]
pub(crate) struct Capture {
    store: Arc<LastGood>,
    question: Question,
    head: HeaderMap,
    age: Duration,
    expires: Tick,
    body: Vec<u8>,
    bytes_max: usize,
}

impl Target {
    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let names = self.service.as_str().len() + self.tenant.as_str().len();
        names + self.scheme.len() + self.host.len() + self.path_and_query.len()
    }
}

impl Question {
    /// Whether a last good answer can be one to it.
    pub(crate) fn is_answerable(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

impl Capture {
    /// None: the answer is not to be kept, for longer than `max_age` or at all. `is_delimited`:
    /// whether it says where it ends, so that it is known when it is whole.
    pub(crate) fn begin(
        store: &Arc<LastGood>,
        question: Question,
        answer: &Response<impl Sized>,
        is_delimited: bool,
        max_age: Duration,
    ) -> Option<Self> {
        if question.method != Method::GET || answer.status() != StatusCode::OK || !is_delimited {
            return None;
        }
        let head = answer.headers();
        let terms = terms::Terms::of(&question.fields, head, max_age)?;
        let bytes_max = store.answer_bytes_max();
        let length = head.get(header::CONTENT_LENGTH);
        let length: Option<usize> = length.and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length| length > bytes_max) {
            return None;
        }
        Some(Self {
            store: Arc::clone(store),
            expires: question.begun + terms.left(),
            question,
            head: head.clone(),
            age: terms.age,
            body: Vec::new(),
            bytes_max,
        })
    }

    /// Takes a copy of a frame. False: the answer is not to be kept after all.
    #[must_use]
    pub(crate) fn take(&mut self, frame: &Frame<Bytes>) -> bool {
        match frame.data_ref() {
            Some(data) if self.body.len() + data.len() <= self.bytes_max => {
                self.body.extend_from_slice(data);
                true
            }
            // Too long; or trailers, which are not kept, and without which it is not whole.
            _ => false,
        }
    }

    /// Keeps the answer, of which all has come.
    pub(crate) fn finish(self, now: Tick) {
        let answer = Answer::new(&self.head, &self.body, self.age, self.question.begun);
        self.store.keep(now, self.question, self.expires, answer);
    }
}
