//! Beats and what is known of nodes, over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `POST /heartbeat` `{"node_id": "w1", "ts": …}` | `{"status": "ok"}`: the simple dialogue |
//! | `GET /status` | for each node `last_seen`, `age` and `alive` |
//! | `POST /v1/heartbeats` | [`Told`]; one beat or an array of up to 1,000 |
//! | `GET /v1/heartbeats?from=0&most=1000` | [`NodesWords`](super::NodesWords) |
//! | `GET /v1/heartbeats/w1` | [`NodeWords`] |
//! | `DELETE /v1/heartbeats/w1?generation=7` | the node leaves |
//! | `GET /v1/missed` | whom this monitor misses, for the others |
//! | `GET /v1/events` | what changes, as server-sent events |
//!
//! The time that a beat brings along (`ts`) is not used: only the receiver's clock counts. What a
//! simple beat says beside its node is skipped, as scripts send what they like; in `/v1` a word that
//! is not known is an error. Who may ask is the caller's to decide, before it asks here.

use std::{error::Error as StdError, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use watertight_base::NodeId;
use watertight_heartbeat::{Arrival, Metadata, Received};

use super::{
    AnswerBody, BeatWords, Beats, NodeWords, NodesWords, Told,
    words::{OutdatedWords, millis, now},
};

/// The longest body of a request, in bytes: room for a batch with all that nodes may say.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// What cannot be done, and what to do about it.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    detail: String,
    /// What the path is for, if it is not for that.
    allowed: Option<&'static str>,
    /// The generation that is known, to one of the past.
    known: Option<u64>,
}

type Answer = Result<Response<AnswerBody>, Refusal>;

/// A beat of the simple dialogue.
#[derive(Deserialize)]
struct SimpleBeat {
    node_id: String,
}

/// Answers a request, whoever sent it.
pub async fn answer<B>(beats: &Beats, request: Request<B>) -> Response<AnswerBody>
where
    B: Body<Error: Into<Box<dyn StdError + Send + Sync>>>,
{
    let answer = route(beats, request).await;
    answer.unwrap_or_else(Refusal::into_response)
}

async fn route<B>(beats: &Beats, request: Request<B>) -> Answer
where
    B: Body<Error: Into<Box<dyn StdError + Send + Sync>>>,
{
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    let node = path.strip_prefix("/v1/heartbeats/");
    match (path, node) {
        ("/heartbeat", _) if head.method == Method::POST => simple(beats, &read(body).await?),
        ("/v1/heartbeats", _) if head.method == Method::POST => counted(beats, &read(body).await?),
        ("/v1/heartbeats", _) if is_read => nodes(beats, query),
        ("/status", _) if is_read => Ok(json(AnswerBody::status(beats, now()))),
        ("/v1/missed", _) if is_read => {
            let missed = beats.opinion();
            let missed: Vec<&str> = missed.iter().map(NodeId::as_str).collect();
            Ok(json(AnswerBody::whole(&missed)))
        }
        ("/v1/events", _) if is_read => events(beats),
        (_, Some(id)) if is_read => one(beats, id),
        (_, Some(id)) if head.method == Method::DELETE => leave(beats, id, query),
        ("/heartbeat", _) => Err(Refusal::method("POST")),
        ("/v1/heartbeats", _) => Err(Refusal::method("GET, POST")),
        ("/status" | "/v1/missed" | "/v1/events", _) => Err(Refusal::method("GET")),
        (_, Some(_)) => Err(Refusal::method("DELETE, GET")),
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "there are /heartbeat, /status, /v1/heartbeats, /v1/heartbeats/NODE, /v1/missed and \
             /v1/events here",
        )),
    }
}

fn simple(beats: &Beats, body: &[u8]) -> Answer {
    let beat: SimpleBeat = parse(body, "a beat")?;
    let id = node_id(&beat.node_id)?;
    let received = beats.on_beat(&Arrival {
        id: &id,
        generation: 0,
        sequence: None,
        interval: None,
        metadata: None,
    });
    match received {
        Received::Counted | Received::Repeated => {
            #[derive(Serialize)]
            struct Status {
                status: &'static str,
            }
            Ok(json(AnswerBody::whole(&Status { status: "ok" })))
        }
        Received::Outdated { known } => Err(Refusal::outdated(&id, known)),
        Received::Full => Err(Refusal::full()),
    }
}

fn counted(beats: &Beats, body: &[u8]) -> Answer {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let told = match first {
        Some(b'[') => {
            let batch: Vec<BeatWords> = parse(body, "an array of beats")?;
            if batch.len() > BATCH_MAX {
                let detail = format!("a batch has at most {BATCH_MAX} beats: send it in parts");
                return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            count(beats, &batch)?
        }
        _ => {
            let beat: BeatWords = parse(body, "a beat")?;
            let told = count(beats, &[beat])?;
            if let Some(outdated) = told.outdated.first() {
                let id = node_id(&outdated.node_id)?;
                return Err(Refusal::outdated(&id, outdated.known));
            }
            if !told.full.is_empty() {
                return Err(Refusal::full());
            }
            told
        }
    };
    Ok(json(AnswerBody::whole(&told)))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let detail = format!("this is not {what}, like {EXAMPLE}: {error}");
        Refusal::new(StatusCode::BAD_REQUEST, detail)
    })
}

/// A beat that was checked.
struct Checked {
    id: NodeId,
    interval: Option<Duration>,
    metadata: Option<Vec<u8>>,
}

/// Counts beats, all of them or, if one of them is wrong, none.
fn count(beats: &Beats, batch: &[BeatWords]) -> Result<Told, Refusal> {
    let checked = batch.iter().map(check).collect::<Result<Vec<_>, _>>()?;
    let mut told = Told {
        interval_ms: millis(beats.view().interval),
        ..Told::default()
    };
    for (beat, checked) in batch.iter().zip(&checked) {
        let received = beats.on_beat(&Arrival {
            id: &checked.id,
            generation: beat.generation,
            sequence: beat.sequence,
            interval: checked.interval,
            metadata: checked.metadata.as_deref(),
        });
        match received {
            Received::Counted => told.counted += 1,
            Received::Repeated => told.repeated += 1,
            Received::Outdated { known } => told.outdated.push(OutdatedWords {
                node_id: beat.node_id.clone(),
                known,
            }),
            Received::Full => told.full.push(beat.node_id.clone()),
        }
    }
    Ok(told)
}

fn check(beat: &BeatWords) -> Result<Checked, Refusal> {
    let wrong = |detail: String| {
        let detail = format!("the beat of `{}`: {detail}", beat.node_id);
        Refusal::new(StatusCode::BAD_REQUEST, detail)
    };
    if beat
        .interval_ms
        .is_some_and(|ms| !(1..=DAY_MS).contains(&ms))
    {
        return Err(wrong("`interval_ms` is 1 to 86,400,000".to_owned()));
    }
    let metadata = beat.metadata.clone().map(Metadata::from);
    let metadata = metadata.map(|metadata| metadata.encode()).transpose();
    Ok(Checked {
        id: node_id(&beat.node_id)?,
        interval: beat.interval_ms.map(Duration::from_millis),
        metadata: metadata.map_err(|error| wrong(error.to_string()))?,
    })
}

fn nodes(beats: &Beats, query: &str) -> Answer {
    let number = |name: &str, default: usize| match parameter(query, name) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map_err(|_| {
            let detail = format!("`{name}` is a whole number, not `{text}`");
            Refusal::new(StatusCode::BAD_REQUEST, detail)
        }),
    };
    let (from, most) = (number("from", 0)?, number("most", PAGE_MAX)?);
    let page = NodesWords::page(beats, from, most.clamp(1, PAGE_MAX));
    Ok(json(AnswerBody::whole(&page)))
}

fn one(beats: &Beats, id: &str) -> Answer {
    let id = node_id(id)?;
    match beats.node(&id) {
        Some(node) => Ok(json(AnswerBody::whole(&NodeWords::new(&node, now())))),
        None => Err(Refusal::unknown(&id)),
    }
}

fn leave(beats: &Beats, id: &str, query: &str) -> Answer {
    let id = node_id(id)?;
    let generation = parameter(query, "generation").map(str::parse);
    let generation = generation.transpose().map_err(|_| {
        let detail = "`generation` is a whole number: the one that the node beats with";
        Refusal::new(StatusCode::BAD_REQUEST, detail)
    })?;
    if beats.on_leave(&id, generation.unwrap_or(0)) {
        let mut response = Response::new(AnswerBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    match beats.node(&id) {
        Some(node) => Err(Refusal::outdated(&id, node.generation)),
        None => Err(Refusal::unknown(&id)),
    }
}

fn events(beats: &Beats) -> Answer {
    let body = AnswerBody::events(beats).ok_or_else(|| {
        let detail = "as many listen to what changes as may; ask again later, or read \
                      /v1/heartbeats";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

async fn read<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Error: Into<Box<dyn StdError + Send + Sync>>>,
{
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => {
            let detail = format!("a request's body has at most {BODY_BYTES_MAX} bytes here");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        false => Refusal::new(StatusCode::BAD_REQUEST, "the request broke off"),
    })?;
    Ok(body.to_bytes())
}

fn node_id(text: &str) -> Result<NodeId, Refusal> {
    text.parse().map_err(|error: watertight_base::Error| {
        Refusal::new(StatusCode::BAD_REQUEST, format!("`node_id`: {error}"))
    })
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

fn json(body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

impl Refusal {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            allowed: None,
            known: None,
        }
    }

    fn method(allowed: &'static str) -> Self {
        let detail = format!("this is for {allowed}");
        Self {
            allowed: Some(allowed),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        }
    }

    fn unknown(id: &NodeId) -> Self {
        let detail = format!("no node `{id}` has beaten here, or it was forgotten");
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    fn full() -> Self {
        let detail = "as many nodes are known as may be: raise `nodes_max`, or wait until the dead \
                      are forgotten";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, detail)
    }

    fn outdated(id: &NodeId, known: u64) -> Self {
        let detail = format!(
            "`{id}` has started again since, with generation {known}: who sent this is a process \
             of the past, and should end"
        );
        Self {
            known: Some(known),
            ..Self::new(StatusCode::CONFLICT, detail)
        }
    }

    /// As a problem document (RFC 9457).
    fn into_response(self) -> Response<AnswerBody> {
        #[derive(Serialize)]
        struct Problem<'a> {
            r#type: &'static str,
            title: &'static str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            known: Option<u64>,
        }
        let mut response = Response::new(AnswerBody::whole(&Problem {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            known: self.known,
        }));
        *response.status_mut() = self.status;
        let kind = HeaderValue::from_static("application/problem+json");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(allowed) = self.allowed {
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

/// The shortest beat.
const EXAMPLE: &str = r#"{"node_id": "w1"}"#;
/// Beats in one request.
const BATCH_MAX: usize = 1_000;
/// Nodes in one answer.
const PAGE_MAX: usize = 1_000;
/// The longest interval, in milliseconds.
const DAY_MS: u64 = 86_400_000;
