//! Answers: what is said at once, the status of all nodes page by page, and what changes as it does.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;
use tokio::{
    sync::{
        OwnedSemaphorePermit,
        broadcast::{self, error::RecvError},
        mpsc,
    },
    task::AbortHandle,
    time::timeout,
};
use watertight_heartbeat::{Life, NodeView, Notice};

use super::{
    Beats,
    words::{last_seen, seconds},
};

/// The body of an answer.
#[derive(Debug)]
pub struct AnswerBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    Status(StatusPages),
    Events(Events),
}

/// The status of all nodes, one page at a time: nobody's memory holds it all.
#[derive(Debug)]
struct StatusPages {
    beats: Beats,
    at: SystemTime,
    from: Option<usize>,
    is_begun: bool,
    is_ended: bool,
}

/// What changes, as it does. Its place among the listeners is given back when it is dropped.
#[derive(Debug)]
struct Events {
    lines: mpsc::Receiver<Bytes>,
    teller: AbortHandle,
    _place: OwnedSemaphorePermit,
}

impl AnswerBody {
    pub(super) fn empty() -> Self {
        Self(Kind::Whole(None))
    }

    /// A value in JSON.
    pub(super) fn whole<T: Serialize>(value: &T) -> Self {
        // Words, numbers and lists of them always serialise.
        let text = serde_json::to_vec(value).unwrap_or_default();
        Self(Kind::Whole(Some(text.into())))
    }

    /// For each node when it was last seen, how long ago that is, and whether that is lately enough.
    pub(super) fn status(beats: &Beats, at: SystemTime) -> Self {
        Self(Kind::Status(StatusPages {
            beats: beats.clone(),
            at,
            from: Some(0),
            is_begun: false,
            is_ended: false,
        }))
    }

    /// What is so, and then what changes. None if enough others listen.
    pub(super) fn events(beats: &Beats) -> Option<Self> {
        let listeners = std::sync::Arc::clone(&beats.shared.listeners);
        let place = listeners.try_acquire_owned().ok()?;
        let (sender, lines) = mpsc::channel(LINES_MAX);
        // Asked for before the nodes are listed, so that no change falls between.
        let notices = beats.notices();
        let teller = tokio::spawn(tell(beats.clone(), notices, sender));
        Some(Self(Kind::Events(Events {
            lines,
            teller: teller.abort_handle(),
            _place: place,
        })))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut self.0 {
            Kind::Whole(text) => Poll::Ready(text.take()),
            Kind::Status(pages) => Poll::Ready(pages.next()),
            Kind::Events(events) => events.lines.poll_recv(cx),
        };
        data.map(|data| data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(text) => text.is_none(),
            Kind::Status(pages) => pages.is_ended,
            Kind::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Status(_) | Kind::Events(_) => SizeHint::default(),
        }
    }
}

impl StatusPages {
    fn next(&mut self) -> Option<Bytes> {
        #[derive(Serialize)]
        struct Status {
            last_seen: f64,
            age: f64,
            alive: bool,
        }
        if self.is_ended {
            return None;
        }
        let mut text = String::new();
        let page = match self.from {
            Some(from) => {
                let (page, next) = self.beats.page(from, PAGE);
                self.from = next;
                page
            }
            None => Vec::new(),
        };
        for node in page {
            text.push_str(if self.is_begun { ",\n" } else { "{\n" });
            self.is_begun = true;
            let status = Status {
                last_seen: last_seen(node.age, self.at),
                age: seconds(node.age),
                alive: node.is_alive,
            };
            // A node's name has no character that JSON would escape.
            let status = serde_json::to_string(&status).unwrap_or_default();
            text.push_str(&format!("\"{}\": {status}", node.id));
        }
        if self.from.is_none() {
            text.push_str(if self.is_begun { "\n}\n" } else { "{}\n" });
            self.is_ended = true;
        }
        Some(text.into())
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.teller.abort();
    }
}

/// Tells what is so, and then what changes; a word now and then shows that the line is whole.
async fn tell(beats: Beats, mut notices: broadcast::Receiver<Notice>, lines: mpsc::Sender<Bytes>) {
    let mut from = Some(0);
    while let Some(place) = from {
        let (page, next) = beats.page(place, PAGE);
        from = next;
        let text: String = page.iter().map(known).collect();
        if !text.is_empty() && lines.send(text.into()).await.is_err() {
            return;
        }
    }
    let mut text = event("ready", &());
    while lines.send(text.into()).await.is_ok() {
        text = match timeout(SILENCE, notices.recv()).await {
            Ok(Ok(notice)) => changed(&notice),
            Ok(Err(RecvError::Lagged(missed))) => event("missed", &missed),
            Ok(Err(RecvError::Closed)) => return,
            Err(_) => ": still here\n\n".to_owned(),
        };
    }
}

#[derive(Serialize)]
struct LifeWords<'a> {
    node_id: &'a str,
    from: Option<&'static str>,
    to: &'static str,
}

fn known(node: &NodeView) -> String {
    event(
        "life",
        &LifeWords {
            node_id: node.id.as_str(),
            from: None,
            to: node.life.as_str(),
        },
    )
}

fn changed(notice: &Notice) -> String {
    #[derive(Serialize)]
    struct Restarted<'a> {
        node_id: &'a str,
        generation: u64,
    }
    #[derive(Serialize)]
    struct Forgotten<'a> {
        node_id: &'a str,
    }
    match notice {
        Notice::Life { id, from, to } => event(
            "life",
            &LifeWords {
                node_id: id.as_str(),
                from: from.map(Life::as_str),
                to: to.as_str(),
            },
        ),
        Notice::Restarted { id, generation } => event(
            "restarted",
            &Restarted {
                node_id: id.as_str(),
                generation: *generation,
            },
        ),
        Notice::Forgotten { id } => event(
            "forgotten",
            &Forgotten {
                node_id: id.as_str(),
            },
        ),
        Notice::Suspended => event("suspended", &()),
        Notice::Resumed => event("resumed", &()),
        // A notice that this version of the stream has no word for.
        _ => String::new(),
    }
}

/// One event, as the standard writes it (WHATWG HTML, "Server-sent events").
fn event(name: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}

/// Nodes that the lock is held for at a time.
const PAGE: usize = 1_000;
/// Pieces that wait for a slow reader.
const LINES_MAX: usize = 16;
/// The longest silence on a stream of events: half of what a listener bears.
const SILENCE: Duration = Duration::from_secs(15);
