//! Carries the bytes of two connections to each other until both ends are done.
//!
//! An end that has no more to say is told to the other, which may go on (half-close). Each way holds
//! at most [`BUFFER_BYTES`], and only while there is something to carry: an idle connection costs no
//! buffer, and a reader who does not read stops its writer. What ends before its end, by an error or
//! a limit, ends with a reset at both sides, so that nobody takes half an answer for a whole one.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt as _, Interest},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::Notify,
};

/// The most that is under way each way, in bytes, besides what the system's sockets hold.
const BUFFER_BYTES: usize = 16 * 1024;
/// The longest silence once one end is done: an end that never closes must not keep the seat of one
/// that did.
const SILENCE_AFTER_END: Duration = Duration::from_secs(60);
/// The same when the end that is done is the upstream's: nobody answers any more, and a client that
/// does not notice must not keep a seat of an upstream that it no longer uses.
const SILENCE_AFTER_UPSTREAM: Duration = Duration::from_secs(1);
/// The longest silence while the node stops, once the last word was the upstream's: there most
/// likely is nothing to wait for.
const SILENCE_IN_DRAIN: Duration = Duration::from_secs(1);
/// Looks within a time that is watched.
const LOOKS: u32 = 8;
const LOOK_MIN: Duration = Duration::from_millis(10);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// Both ends were done.
    Done,
    /// An end broke off.
    Broken(std::io::Error),
    /// Nothing moved for too long, or it was too old. Whether the last word was the upstream's.
    Expired(bool),
    /// It was silent, and nothing could come of it: its upstream was done, or the node is stopping.
    Left,
}

/// How long a connection may be silent, and how old it may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_lifetime: Option<Duration>,
}

/// What moved on a connection.
#[derive(Debug, Default)]
struct Moved {
    has: AtomicBool,
    is_answered: AtomicBool,
    has_ended: AtomicBool,
    has_lately: AtomicBool,
    upstream_ended: Notify,
}

/// Carries both ways. `draining` ends when the node is stopping. `up` and `down` count bytes.
pub(super) async fn carry(
    client: &mut TcpStream,
    upstream: &mut TcpStream,
    limits: Limits,
    draining: impl Future<Output = ()>,
    (up, down): (&AtomicU64, &AtomicU64),
) -> End {
    let moved = Moved {
        // Nothing was asked yet.
        is_answered: AtomicBool::new(true),
        ..Moved::default()
    };
    let (from_client, to_client) = client.split();
    let (from_upstream, to_upstream) = upstream.split();
    let both = async {
        tokio::try_join!(
            one_way(from_client, to_upstream, &moved, up, false),
            one_way(from_upstream, to_client, &moved, down, true),
        )
    };
    let too_old = async {
        match limits.max_lifetime {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        result = both => match result {
            Ok(_) => End::Done,
            Err(error) => End::Broken(error),
        },
        end = silence(&moved, limits.idle_timeout, draining) => end,
        () = moved.nothing_after_upstream() => End::Left,
        () = too_old => End::Expired(moved.is_answered.load(Ordering::Relaxed)),
    }
}

/// Carries one way until its end, and passes that on.
async fn one_way(
    from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    moved: &Moved,
    bytes: &AtomicU64,
    is_down: bool,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        from.readable().await?;
        buffer.reserve_exact(BUFFER_BYTES);
        loop {
            buffer.clear();
            match from.try_read_buf(&mut buffer) {
                Ok(0) => {
                    moved.note(is_down);
                    moved.has_ended.store(true, Ordering::Relaxed);
                    if is_down {
                        moved.upstream_ended.notify_one();
                    }
                    return to.shutdown().await;
                }
                Ok(count) => {
                    moved.note(is_down);
                    tokio::select! {
                        biased;
                        written = to.write_all(&buffer) => written?,
                        // Whoever sent this is gone, and need not wait for who does not read it.
                        broken = from.ready(Interest::ERROR) => {
                            broken?;
                            return Err(std::io::ErrorKind::ConnectionReset.into());
                        }
                    }
                    moved.note(is_down);
                    bytes.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        buffer = Vec::new();
    }
}

impl Moved {
    /// Until the upstream was done and the client had nothing more to say.
    async fn nothing_after_upstream(&self) {
        self.upstream_ended.notified().await;
        while self.has_lately.swap(false, Ordering::Relaxed) {
            tokio::time::sleep(SILENCE_AFTER_UPSTREAM).await;
        }
    }

    fn note(&self, is_down: bool) {
        self.has.store(true, Ordering::Relaxed);
        self.has_lately.store(true, Ordering::Relaxed);
        self.is_answered.store(is_down, Ordering::Relaxed);
    }
}

/// Until nothing has moved for too long.
async fn silence(
    moved: &Moved,
    idle_timeout: Option<Duration>,
    draining: impl Future<Output = ()>,
) -> End {
    let mut draining = std::pin::pin!(draining);
    let mut is_draining = false;
    let most = idle_timeout.unwrap_or(SILENCE_AFTER_END);
    let mut look = (most.min(SILENCE_AFTER_END) / LOOKS).max(LOOK_MIN);
    let mut silent = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(look) => {}
            () = draining.as_mut(), if !is_draining => {
                is_draining = true;
                look = look.min(SILENCE_IN_DRAIN / LOOKS);
                continue;
            }
        }
        let has_moved = moved.has.swap(false, Ordering::Relaxed);
        silent = if has_moved {
            Duration::ZERO
        } else {
            silent + look
        };
        let is_answered = moved.is_answered.load(Ordering::Relaxed);
        let mut most = idle_timeout;
        if moved.has_ended.load(Ordering::Relaxed) {
            most = Some(most.map_or(SILENCE_AFTER_END, |most| most.min(SILENCE_AFTER_END)));
        }
        if is_draining && is_answered && silent >= SILENCE_IN_DRAIN {
            return End::Left;
        }
        if most.is_some_and(|most| silent >= most) {
            return End::Expired(is_answered);
        }
    }
}
