//! The client side: throttle and retries in front of a server that says no.

mod retries;
mod storm;
mod throttle;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, Request, Response};
use tokio::time::Instant;
use tower::{Service, service_fn};

/// A server that answers from a script, the last line again and again, and logs when it was asked.
#[derive(Clone)]
struct Server {
    script: Arc<Vec<Line>>,
    asked: Arc<Mutex<Vec<Instant>>>,
}

#[derive(Clone, Debug)]
enum Line {
    /// This status, and perhaps this `Retry-After`.
    Says(u16, Option<&'static str>),
    /// The connection breaks.
    Breaks,
    /// No answer, ever.
    Hangs,
}

impl Server {
    fn new(script: &[Line]) -> Self {
        Self {
            script: Arc::new(script.to_vec()),
            asked: Arc::default(),
        }
    }

    fn service(
        &self,
    ) -> impl Service<Request<String>, Response = Response<()>, Error = std::io::Error, Future: Send>
    + Clone
    + Send
    + 'static {
        let server = self.clone();
        service_fn(move |_: Request<String>| {
            let line = server.next();
            async move {
                let (status, wait) = match line {
                    Line::Says(status, wait) => (status, wait),
                    Line::Breaks => return Err(std::io::ErrorKind::ConnectionReset.into()),
                    Line::Hangs => std::future::pending().await,
                };
                let mut response = Response::builder().status(status);
                if let Some(wait) = wait {
                    response = response.header("retry-after", wait);
                }
                Ok(response.body(()).unwrap())
            }
        })
    }

    fn next(&self) -> Line {
        let mut asked = self.asked.lock().unwrap();
        asked.push(Instant::now());
        let last = self.script.len() - 1;
        self.script[last.min(asked.len() - 1)].clone()
    }

    fn attempts(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The time between one attempt and the next.
    fn gaps(&self) -> Vec<Duration> {
        let asked = self.asked.lock().unwrap();
        asked.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

fn request(method: Method) -> Request<String> {
    let request = Request::builder().method(method);
    let request = request.uri("http://shop.example/cart");
    request.body("a body".to_owned()).unwrap()
}

fn get() -> Request<String> {
    request(Method::GET)
}

/// An answer of a service that does not fail.
type Sure<T> = Result<T, Infallible>;
