//! The admin listener: health, metrics, and the API that the console and the commands use.
//!
//! It runs on the control runtime, away from the threads of requests, and stays open while the node
//! drains. Who may ask is decided in `guard`, before anything is routed; what can be asked is one
//! table, `routes`, which also makes the OpenAPI document. Nothing here keeps state by what clients
//! send.

mod answer;
mod guard;
mod health;
mod openapi;
mod problem;
mod routes;
pub mod view;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::{Router, body::Body};
use http::{HeaderValue, Request, Response, header};
use http_body_util::Limited;
use hyper::body::Incoming;
use tower_service::Service;
use watertight_gateway::{Listening, Peer};
use watertight_plan::{Listener, ListenerKind};

use crate::node::{Node, NodeError};

pub(crate) use self::guard::Guard;
pub use self::{openapi::document as openapi, problem::Problem};

/// The longest request body, in bytes: 64 KiB. Nothing that is asked needs more.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The admin listener, open until it is dropped.
#[derive(Debug)]
pub struct Admin {
    listening: Option<Listening>,
    is_tls: bool,
}

/// What every answer is made from.
#[derive(Debug)]
struct Room {
    node: Arc<Node>,
    /// Where the listener is bound.
    address: OnceLock<SocketAddr>,
    /// Reloads read files and build tables: one at a time is enough.
    reloading: tokio::sync::Mutex<()>,
}

impl Admin {
    /// Opens the plan's admin listener, if it has one, on the runtime that this is called on.
    ///
    /// # Errors
    /// [`NodeError`] when its address cannot be bound.
    pub fn open(node: &Arc<Node>) -> Result<Self, NodeError> {
        let plan = node.plan();
        let admin = plan
            .listeners()
            .iter()
            .find_map(|listener| match &listener.kind {
                ListenerKind::Admin(admin) => Some((listener, admin)),
                _ => None,
            });
        let Some((listener, admin)) = admin else {
            return Ok(Self {
                listening: None,
                is_tls: false,
            });
        };
        let room = Arc::new(Room {
            node: Arc::clone(node),
            address: OnceLock::new(),
            reloading: tokio::sync::Mutex::default(),
        });
        let door = Arc::new(Door {
            guard: Guard::new(admin.token.as_ref(), listener.tls.is_some(), BODY_BYTES_MAX)
                .but_for(routes::is_open),
            router: routes::router(Arc::clone(&room)),
        });
        let serve = move |request, _: Peer| {
            let door = Arc::clone(&door);
            async move { door.answer(request).await }
        };
        let on = tokio::runtime::Handle::current();
        let listening = node.gateway().listen(listener, &on, serve)?;
        // Set once, right here.
        let _ = room.address.set(listening.address());
        Ok(Self {
            listening: Some(listening),
            is_tls: listener.tls.is_some(),
        })
    }

    /// Where it is, if it is open.
    pub fn url(&self) -> Option<String> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let open = self.listening.as_ref()?;
        Some(format!("{scheme}://{}", open.address()))
    }

    /// The address that `listener` is bound to, if it is the one.
    pub fn address(&self, listener: &Listener) -> Option<SocketAddr> {
        let open = self
            .listening
            .as_ref()
            .filter(|open| open.name() == listener.name);
        open.map(Listening::address)
    }
}

/// What stands behind the listener.
#[derive(Debug)]
struct Door {
    guard: Guard,
    router: Router,
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let mut response = match self.guard.check(&request) {
            Err(problem) => problem.into(),
            Ok(()) => {
                let request = request.map(|body| Body::new(Limited::new(body, BODY_BYTES_MAX)));
                match self.router.clone().call(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        response
    }
}
