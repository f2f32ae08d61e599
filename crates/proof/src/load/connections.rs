//! The connections of a load: kept alive, the last used first, each tenant its own, and never more than a hard number.
//!
//! The last used first keeps few connections busy instead of many lukewarm. When the number is reached, a request waits:
//! an idle connection of whichever tenant has most of them is closed for it, or it takes the place of the next one that
//! is given back.

use super::measured::{Answer, Failure};
use super::stream::Prepared;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// The longest answer that is read, in bytes; a longer one counts as broken off.
const BODY_MAX: usize = 1 << 20;

type Body = Full<Bytes>;

/// One open connection. Dropping it closes it, whatever is under way on it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Body>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[derive(Debug)]
pub(super) struct Connections {
    front_door: SocketAddr,
    room: Arc<Semaphore>,
    waiting: AtomicUsize,
    idle: Mutex<HashMap<String, Vec<Connection>>>,
}

impl Connections {
    pub(super) fn new(front_door: SocketAddr, max: usize) -> Self {
        let room = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self {
            front_door,
            room,
            waiting: AtomicUsize::new(0),
            idle: Mutex::default(),
        }
    }

    /// Sends one request and reads its whole answer.
    pub(super) async fn send(&self, stream: &Prepared) -> Result<(Answer, Connection), Failure> {
        let mut request = stream.request();
        while let Some(connection) = self.take(&stream.tenant) {
            match exchange(connection, request).await? {
                Exchange::Done(answer, connection) => return Ok((answer, connection)),
                Exchange::Unsent(unsent) => request = *unsent,
            }
        }
        match exchange(self.open().await?, request).await? {
            Exchange::Done(answer, connection) => Ok((answer, connection)),
            Exchange::Unsent(_) => Err(Failure::Reset),
        }
    }

    /// Takes a connection back once it is ready for another request.
    pub(super) async fn give_back(&self, stream: &Prepared, mut connection: Connection) {
        let ready = connection.sender.ready().await.is_ok();
        if ready && self.waiting.load(Ordering::Relaxed) == 0 {
            self.idle()
                .entry(stream.tenant.clone())
                .or_default()
                .push(connection);
        }
    }

    fn take(&self, tenant: &str) -> Option<Connection> {
        let mut idle = self.idle();
        let own = idle.get_mut(tenant)?;
        std::iter::from_fn(|| own.pop()).find(|connection| connection.sender.is_ready())
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let room = self.room().await?;
        let connect = async {
            let stream = TcpStream::connect(self.front_door).await?;
            stream.set_nodelay(true)?;
            // Who gives up leaves at once: no closed connections linger and use up the ports of the machine.
            stream.set_zero_linger()?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = connect.await.map_err(|_| Failure::Connect)?;
        let shake = http1::Builder::new().handshake(TokioIo::new(stream));
        let (sender, connection) = shake.await.map_err(|_| Failure::Connect)?;
        let driver = tokio::spawn(async move {
            // Its error is seen by the request that was under way.
            let _ = connection.await;
            drop(room);
        });
        Ok(Connection {
            sender,
            driver: driver.abort_handle(),
        })
    }

    async fn room(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            return Ok(room);
        }
        let _waiting = Waiting::new(&self.waiting);
        self.close_one_idle();
        Arc::clone(&self.room)
            .acquire_owned()
            .await
            .map_err(|_| Failure::Connect)
    }

    fn close_one_idle(&self) {
        let mut idle = self.idle();
        if let Some(most) = idle.values_mut().max_by_key(|own| own.len()) {
            most.pop();
        }
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<String, Vec<Connection>>> {
        // A list of connections is whole between any two calls on it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request that waits for room, counted until it has it or has given up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

enum Exchange {
    Done(Answer, Connection),
    /// The connection had been closed before anything was sent on it: the request may go another way.
    Unsent(Box<Request<Body>>),
}

async fn exchange(mut connection: Connection, request: Request<Body>) -> Result<Exchange, Failure> {
    let response = match connection.sender.try_send_request(request).await {
        Ok(response) => response,
        Err(mut error) => {
            return error
                .take_message()
                .map(|unsent| Exchange::Unsent(Box::new(unsent)))
                .ok_or(Failure::Reset);
        }
    };
    let answer = answer(&response);
    Limited::new(response.into_body(), BODY_MAX)
        .collect()
        .await
        .map_err(|_| Failure::Reset)?;
    Ok(Exchange::Done(answer, connection))
}

fn answer(response: &Response<Incoming>) -> Answer {
    Answer::Response {
        status: response.status().as_u16(),
        retry_after: response.headers().contains_key(RETRY_AFTER),
        problem: is_problem(response.headers()),
    }
}

fn is_problem(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        let media_type = value
            .split_once(';')
            .map_or(value, |(media_type, _)| media_type);
        media_type
            .trim()
            .eq_ignore_ascii_case("application/problem+json")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_problem_is_known_by_its_media_type() {
        let problem = |value: &'static str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            is_problem(&headers)
        };
        assert!(problem("application/problem+json"));
        assert!(problem("Application/Problem+JSON; charset=utf-8"));
        assert!(!problem("application/json"));
        assert!(!problem("application/problem+jsonish"));
    }
}
