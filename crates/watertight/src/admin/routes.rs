//! What can be asked: one table, from which both the router and the OpenAPI document are made.

use std::sync::Arc;

use axum::{
    Router,
    routing::{MethodRouter, delete, get, post},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use watertight_cluster::NodesWords;

use super::{
    Room,
    answer::{
        self, Asker, ByName, ByPlace, First, Health, MARKDOWN, Nothing, OPEN_METRICS, Page, TEXT,
        Which, faults,
    },
    view::{
        Alerts, BreakerOrder, Breakers, Config, Explanation, Fault, FaultOrder, Faults,
        FaultsRemoved, Healths, Members, Pools, Reloaded, ServiceBreaker, Services, Status,
        Tenants,
    },
};

/// Something that can be asked.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// Whether it is answered without a token.
    pub(super) is_open: bool,
    pub(super) query: Shape,
    /// What is sent, if anything is.
    pub(super) body: Option<Shape>,
    pub(super) answer: Answer,
    /// Statuses with a problem document, beyond those that everything has.
    pub(super) problems: &'static [(u16, &'static str)],
    handler: fn() -> MethodRouter<Arc<Room>>,
}

/// How it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    Get,
    Post,
    Delete,
}

/// What is answered.
pub(super) enum Answer {
    Json(Shape),
    Text(&'static str),
    /// Text, and 503 with text when it is not so.
    Health,
    /// An OpenAPI document.
    Document,
}

pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

fn shape<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<T>()
}

const BAD_QUERY: (u16, &str) = (400, "The query is wrong.");

pub(super) const ROUTES: [Route; 24] = [
    Route {
        is_open: true,
        query: shape::<Health>,
        answer: Answer::Health,
        ..read("/livez", "Whether the node is alive", || get(answer::livez))
    },
    Route {
        is_open: true,
        query: shape::<Health>,
        answer: Answer::Health,
        ..read("/readyz", "Whether the node wants work", || {
            get(answer::readyz)
        })
    },
    Route {
        is_open: true,
        query: shape::<Health>,
        answer: Answer::Health,
        ..read("/healthz", "The same as /readyz", || get(answer::readyz))
    },
    Route {
        answer: Answer::Text(OPEN_METRICS),
        problems: &[],
        ..read("/metrics", "All metrics, as OpenMetrics text", || {
            get(answer::metrics)
        })
    },
    Route {
        answer: Answer::Json(shape::<Status>),
        ..read("/v1/status", "The node and its configuration", || {
            get(answer::status)
        })
    },
    Route {
        answer: Answer::Json(shape::<Healths>),
        ..read(
            "/v1/health",
            "How the node and its services are doing, and how much of the limits is in force",
            || get(answer::health),
        )
    },
    Route {
        answer: Answer::Json(shape::<Alerts>),
        ..read(
            "/v1/alerts",
            "The alerts that fire, those that are over of late, and how telling of them goes",
            || get(answer::alerts),
        )
    },
    Route {
        query: shape::<Which>,
        answer: Answer::Text(MARKDOWN),
        ..read("/v1/runbook", "What to do about an alert", || {
            get(answer::runbook)
        })
    },
    Route {
        answer: Answer::Json(shape::<Services>),
        ..read("/v1/services", "The services and their upstreams", || {
            get(answer::services)
        })
    },
    Route {
        answer: Answer::Json(shape::<Pools>),
        ..read(
            "/v1/pools",
            "The pools, their walls and their seats",
            || get(answer::pools),
        )
    },
    Route {
        query: shape::<Page>,
        answer: Answer::Json(shape::<Tenants>),
        ..read("/v1/tenants", "The listed tenants, page by page", || {
            get(answer::tenants)
        })
    },
    Route {
        query: shape::<ByName>,
        answer: Answer::Json(shape::<Members>),
        ..read(
            "/v1/members",
            "The members of the cluster as this one sees them, page by page",
            || get(answer::members),
        )
    },
    Route {
        query: shape::<ByPlace>,
        answer: Answer::Json(shape::<NodesWords>),
        problems: &[BAD_QUERY, (404, "Nobody beats to this node.")],
        ..read(
            "/v1/heartbeats",
            "The nodes that beat to this one, page by page",
            || get(answer::heartbeats),
        )
    },
    Route {
        query: shape::<First>,
        answer: Answer::Json(shape::<Breakers>),
        ..read(
            "/v1/breakers",
            "The breakers of tenants and services that failed lately",
            || get(answer::breakers),
        )
    },
    Route {
        method: Method::Post,
        body: Some(shape::<BreakerOrder>),
        answer: Answer::Json(shape::<ServiceBreaker>),
        problems: &[
            BAD_QUERY,
            (404, "There is no such service."),
            (
                409,
                "The service only connects to pools, which have breakers of their own.",
            ),
            (422, "There is no such state."),
        ],
        ..read(
            "/v1/breakers/{service}",
            "Says what the breakers of a service are to do, through reloads too, until it is `auto` again",
            || post(answer::order_breaker),
        )
    },
    Route {
        answer: Answer::Json(shape::<Config>),
        ..read(
            "/v1/config",
            "The configuration in force, without its secrets",
            || get(answer::config),
        )
    },
    Route {
        method: Method::Post,
        answer: Answer::Json(shape::<Reloaded>),
        problems: &[
            BAD_QUERY,
            (409, "The configuration was not read from a file."),
            (422, "The file is wrong; the old configuration is in force."),
        ],
        ..read("/v1/reload", "Reads the configuration file again", || {
            post(answer::reload)
        })
    },
    Route {
        query: shape::<Asker>,
        answer: Answer::Json(shape::<Explanation>),
        ..read(
            "/v1/explain",
            "What would become of a request; takes nothing",
            || get(answer::explain),
        )
    },
    Route {
        answer: Answer::Json(shape::<Faults>),
        ..read(
            "/v1/faults",
            "The faults that are injected on purpose",
            || get(faults::list),
        )
    },
    Route {
        method: Method::Post,
        body: Some(shape::<FaultOrder>),
        answer: Answer::Json(shape::<Fault>),
        problems: &[
            BAD_QUERY,
            (403, "The configuration does not allow it."),
            (409, "There are as many faults as there may be."),
            (
                422,
                "There is no such service or upstream, or the fault is beyond its bounds.",
            ),
        ],
        ..read(
            "/v1/faults",
            "Injects a fault, which ends by itself after 5 s unless it is renewed",
            || post(faults::inject),
        )
    },
    Route {
        method: Method::Delete,
        answer: Answer::Json(shape::<FaultsRemoved>),
        ..read("/v1/faults", "Ends all injected faults at once", || {
            delete(faults::remove_all)
        })
    },
    Route {
        method: Method::Post,
        answer: Answer::Json(shape::<Fault>),
        problems: &[BAD_QUERY, (404, "The fault is over.")],
        ..read(
            "/v1/faults/{fault}",
            "Lets an injected fault last for another 5 s",
            || post(faults::renew),
        )
    },
    Route {
        method: Method::Delete,
        answer: Answer::Json(shape::<FaultsRemoved>),
        problems: &[BAD_QUERY, (404, "The fault is over.")],
        ..read(
            "/v1/faults/{fault}",
            "Ends an injected fault at once",
            || delete(faults::remove),
        )
    },
    Route {
        answer: Answer::Document,
        problems: &[],
        ..read("/openapi.json", "This document", || get(answer::document))
    },
];

/// Whether a path is answered without a token.
pub(super) fn is_open(path: &str) -> bool {
    let mut routes = ROUTES.iter();
    routes.any(|route| route.is_open && route.path == path)
}

const fn read(
    path: &'static str,
    summary: &'static str,
    handler: fn() -> MethodRouter<Arc<Room>>,
) -> Route {
    Route {
        method: Method::Get,
        path,
        summary,
        is_open: false,
        query: shape::<Nothing>,
        body: None,
        answer: Answer::Text(TEXT),
        problems: &[BAD_QUERY],
        handler,
    }
}

pub(super) fn router(room: Arc<Room>) -> Router {
    let add =
        |router: Router<Arc<Room>>, route: &Route| router.route(route.path, (route.handler)());
    ROUTES
        .iter()
        .fold(Router::new(), add)
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::not_allowed)
        .with_state(room)
}
