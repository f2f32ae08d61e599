//! Whether a connection does anything: silence and dawdling end it.
//!
//! Two rules. While no request is under way, a head that has begun to arrive over HTTP/1.1 must be
//! there within `header_timeout`; bytes that trickle in do not prolong it. A connection that owes its
//! client nothing but what the client must take itself, and on which nothing moves for
//! `idle_timeout`, is closed: silent ones, and those whose clients do not read their answers. Silence
//! in a request's body is the body's affair, and before an answer the service's. A pause that a limit
//! on bytes imposes on an answer is no silence. Over HTTP/2 only what belongs to requests and answers
//! counts, and not the small talk of the protocol: a client that does nothing but ping keeps no
//! connection, nor does one that pings instead of taking its answer. While the next bytes of an answer
//! are the service's to send, pings count: whoever waits for them may say that it is there.
//!
//! A connection that is to be left, because its listener is gone, is left where its client sees it
//! coming: with the answer to a request, which then says `Connection: close`, or after a silence. A
//! close between two requests could cross the second one on its way.
//!
//! A client that went away ends its connection at once. Of most the reader of HTTP/1.1 tells, but it
//! reads nothing while the next request, or a body that nobody asks for yet, waits unread: the end
//! behind that is looked for here (`listen/line.rs`), until the last answer's last byte. Whoever has stopped sending
//! is taken for gone, as by the reader: of several requests that were sent at once, with an end behind
//! them, those are answered that are before anybody looks.
//!
//! The clock is not read for every byte: reads and writes only leave a mark, and a timer looks for
//! it several times within the time allowed.

mod frames;

use std::{
    io::IoSlice,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};
use watertight_plan::ListenLimits;

use self::frames::Frames;
use super::{UnderWay, line::Line};
use crate::pace::HeldUp;

/// Looks within the shorter of the two times.
const LOOKS: u32 = 8;
const LOOK_MIN: Duration = Duration::from_millis(10);
/// The longest time between two looks, and while a request is under way.
const LOOK_MAX: Duration = Duration::from_secs(1);
const LOOK_BUSY_MAX: Duration = Duration::from_millis(500);
/// How long a connection that is to be left is silent before it is.
const LEAVE_AFTER: Duration = Duration::from_secs(1);

/// Why a connection is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Over {
    /// It was silent, or dawdled, for too long.
    Due,
    /// Its client went away.
    Left,
}

/// What a connection does.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// None: nobody can tell whether the client is there.
    line: Option<Line>,
    moved: AtomicBool,
    /// The client has not taken what was there for it.
    is_blocked: AtomicBool,
    /// Bytes that it took since they were last looked at.
    taken: AtomicU64,
    /// Bytes came since the last request ended.
    head_begun: AtomicBool,
    /// How many of the very first bytes were those of HTTP/2; [`NO_PREFACE`]: others were.
    preface: AtomicUsize,
    is_http2: AtomicBool,
    requests: AtomicUsize,
    /// Requests whose answers have not begun.
    unanswered: AtomicUsize,
    /// Requests whose answers have begun, and go on when the service sends more.
    awaiting: AtomicUsize,
    begun: Notify,
    /// Of the answers under way those that have a pace.
    paced: Mutex<Vec<HeldUp>>,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Busy {
    activity: Arc<Activity>,
    is_answered: bool,
    is_awaiting: bool,
    paced: Option<HeldUp>,
    /// For whom the connection counts meanwhile.
    under_way: Option<Arc<UnderWay>>,
}

impl Busy {
    /// Its answer has a pace.
    pub(super) fn paced(&mut self, by: HeldUp) {
        self.activity.paced().push(by.clone());
        self.paced = Some(by);
    }

    /// It is under way until its answer was read.
    pub(super) fn until_read(&mut self, under_way: Option<Arc<UnderWay>>) {
        self.under_way = under_way;
    }

    /// Whether its answer goes on when the service sends more, and not when the client takes more.
    fn awaits(&mut self, is_awaiting: bool) {
        match (
            std::mem::replace(&mut self.is_awaiting, is_awaiting),
            is_awaiting,
        ) {
            (false, true) => drop(self.activity.awaiting.fetch_add(1, Ordering::Release)),
            (true, false) => drop(self.activity.awaiting.fetch_sub(1, Ordering::Release)),
            (true, true) | (false, false) => {}
        }
    }

    /// The head of its answer is known.
    pub(super) fn answered(&mut self) {
        if !std::mem::replace(&mut self.is_answered, true) {
            self.activity.unanswered.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.answered();
        self.awaits(false);
        let activity = &self.activity;
        if let Some(by) = &self.paced {
            activity.paced().retain(|other| !other.is(by));
        }
        activity.head_begun.store(false, Ordering::Relaxed);
        activity.moved.store(true, Ordering::Relaxed);
        activity.requests.fetch_sub(1, Ordering::Release);
    }
}

impl Activity {
    pub(super) fn of(line: Line) -> Self {
        Self {
            line: Some(line),
            ..Self::default()
        }
    }

    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::Acquire);
        self.unanswered.fetch_add(1, Ordering::Acquire);
        self.moved.store(true, Ordering::Relaxed);
        self.begun.notify_waiters();
        Busy {
            activity: Arc::clone(self),
            is_answered: false,
            is_awaiting: false,
            paced: None,
            under_way: None,
        }
    }

    fn paced(&self) -> MutexGuard<'_, Vec<HeldUp>> {
        self.paced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the client can be asked to leave without losing a request: HTTP/2 has words for it,
    /// HTTP/1.1 only the head of an answer, or silence.
    pub(super) async fn may_leave(&self) {
        let mut silent = 0;
        while silent < LOOKS && !self.is_http2.load(Ordering::Relaxed) {
            let mut begun = std::pin::pin!(self.begun.notified());
            begun.as_mut().enable();
            if self.unanswered.load(Ordering::Acquire) > 0 {
                return;
            }
            let look = tokio::time::timeout(LEAVE_AFTER / LOOKS, begun).await;
            let is_silent = look.is_err() && self.requests.load(Ordering::Acquire) == 0;
            silent = if is_silent { silent + 1 } else { 0 };
        }
    }

    /// Until the connection has been silent, or dawdled, for too long, or its client is gone.
    pub(super) async fn over(&self, limits: &ListenLimits) -> Over {
        let shorter = limits.header_timeout.min(limits.idle_timeout);
        let look_max = (shorter / LOOKS).clamp(LOOK_MIN, LOOK_MAX);
        let (mut silent, mut dawdled) = (Duration::ZERO, Duration::ZERO);
        let mut slow = Duration::ZERO;
        loop {
            let look = match self.is_busy() {
                true => look_max.min(LOOK_BUSY_MAX),
                false => look_max,
            };
            tokio::time::sleep(look).await;
            if self.is_busy() && self.line.as_ref().is_some_and(Line::is_hung_up) {
                return Over::Left;
            }
            if self.is_blocked.load(Ordering::Relaxed) {
                slow += look;
            }
            if slow >= limits.idle_timeout {
                let enough = limits.min_rate.saturating_mul(slow.as_secs()).max(1);
                if self.taken.swap(0, Ordering::Relaxed) < enough {
                    return Over::Due;
                }
                slow = Duration::ZERO;
            }
            let is_ours = self.paced().iter().any(HeldUp::is_now);
            if is_ours || self.owes() {
                (silent, dawdled) = (Duration::ZERO, Duration::ZERO);
                continue;
            }
            let moved = self.moved.swap(false, Ordering::Relaxed);
            silent = if moved { Duration::ZERO } else { silent + look };
            let in_head = !self.is_busy()
                && self.head_begun.load(Ordering::Relaxed)
                && !self.is_http2.load(Ordering::Relaxed);
            dawdled = if in_head {
                dawdled + look
            } else {
                Duration::ZERO
            };
            if silent >= limits.idle_timeout || dawdled >= limits.header_timeout {
                return Over::Due;
            }
        }
    }

    /// Whether a request is under way.
    fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Acquire) > 0
    }

    /// Whether a request waits for its answer to begin.
    fn owes(&self) -> bool {
        self.unanswered.load(Ordering::Acquire) > 0
    }

    fn has_written(&self, written: Poll<std::io::Result<usize>>) -> Poll<std::io::Result<usize>> {
        self.is_blocked
            .store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(result) = &written {
            let bytes = result.as_ref().map_or(0, |bytes| *bytes as u64);
            self.taken.fetch_add(bytes, Ordering::Relaxed);
            self.bytes_moved();
        }
        written
    }

    /// Bytes say something, unless they may be nothing but pings and their echo, of a client that has
    /// nothing to wait for.
    fn bytes_moved(&self) {
        if !self.is_http2.load(Ordering::Relaxed) || self.awaiting.load(Ordering::Acquire) > 0 {
            self.moved.store(true, Ordering::Relaxed);
        }
    }

    /// Some bytes belong to a request or an answer.
    fn message_moved(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    fn has_read(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.look_for_preface(bytes);
        self.bytes_moved();
        if self.requests.load(Ordering::Relaxed) == 0 {
            self.head_begun.store(true, Ordering::Relaxed);
        }
    }

    /// The preface of HTTP/2 (RFC 9113, section 3.4) is no method of HTTP/1.1. It counts only as the very
    /// first bytes, however they come: later ones are a client's to choose.
    fn look_for_preface(&self, bytes: &[u8]) {
        let seen = self.preface.load(Ordering::Relaxed);
        let Some(rest) = PREFACE.get(seen..).filter(|rest| !rest.is_empty()) else {
            return;
        };
        let new = bytes.len().min(rest.len());
        let seen = match bytes[..new] == rest[..new] {
            true => seen + new,
            false => NO_PREFACE,
        };
        self.preface.store(seen, Ordering::Relaxed);
        if seen == PREFACE.len() {
            self.is_http2.store(true, Ordering::Relaxed);
        }
    }

    fn may_be_http2(&self) -> bool {
        self.preface.load(Ordering::Relaxed) != NO_PREFACE
    }
}

/// How the preface of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI";
const NO_PREFACE: usize = usize::MAX;

/// A stream that leaves marks.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    /// What comes over HTTP/2.
    read: Frames,
    /// What is written over it.
    written: Frames,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            read: Frames::behind_preface(),
            written: Frames::default(),
        }
    }

    /// Notes what was written of `slices`: the rest of an answer may be written after its request.
    fn has_written(
        &mut self,
        slices: &[IoSlice<'_>],
        written: Poll<std::io::Result<usize>>,
    ) -> Poll<std::io::Result<usize>> {
        if let Poll::Ready(Ok(mut left)) = written
            && self.activity.is_http2.load(Ordering::Relaxed)
        {
            for slice in slices {
                let bytes = &slice[..left.min(slice.len())];
                left -= bytes.len();
                if self.written.has_message(bytes) {
                    self.activity.message_moved();
                }
            }
        }
        self.activity.has_written(written)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let bytes = &buffer.filled()[before..];
        let Self { activity, read, .. } = &mut *self;
        activity.has_read(bytes);
        if activity.may_be_http2() && read.has_message(bytes) {
            activity.message_moved();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.has_written(&[IoSlice::new(bytes)], written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.has_written(slices, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A body with which its request ends.
#[derive(Debug)]
pub(super) struct BusyBody<B> {
    body: Pin<Box<B>>,
    busy: Busy,
}

impl<B> BusyBody<B> {
    pub(super) fn new(body: B, busy: Busy) -> Self {
        Self {
            body: Box::pin(body),
            busy,
        }
    }
}

impl<B: Body> Body for BusyBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        // Over HTTP/2 it is asked for more only when the client takes more.
        let polled = self.body.as_mut().poll_frame(context);
        self.busy.awaits(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests;
