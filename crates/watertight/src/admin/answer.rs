//! The answers, one function a route.

pub(super) mod faults;

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json,
    extract::{
        FromRequestParts, Path as UrlPath, Query, State,
        rejection::{JsonRejection, PathRejection},
    },
    response::IntoResponse,
};
use http::{StatusCode, header, request::Parts};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use watertight_base::{ServiceId, TenantId};
use watertight_cluster::NodesWords;
use watertight_gateway::Question;
use watertight_guard::alert::Kind;
use watertight_layers::OrderError;

use super::{
    Room, health as readiness, openapi,
    problem::Problem,
    view::{
        Alerts, BreakerOrder, Breakers, Config, Explanation, Healths, Members, Pools, Reloaded,
        ServiceBreaker, Services, Status, Tenants,
    },
};
use crate::{
    alerts::{name, runbook},
    node,
};

type TheRoom = State<Arc<Room>>;

/// The media type of metrics.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// The media type of pages.
pub(super) const MARKDOWN: &str = "text/markdown; charset=utf-8";
/// The longest page, in rows.
const LIMIT_MAX: usize = 1_000;

/// A query that names nothing that the route does not know.
pub(super) struct Asked<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let query = query
            .map_err(|rejected| Problem::bad_request(what(&rejected, rejected.body_text())))?;
        Ok(Self(query.0))
    }
}

/// What was wrong, without the words of whatever read it; `else_said` where it says no more.
fn what(rejected: &dyn std::error::Error, else_said: String) -> String {
    let source = rejected.source();
    source.map_or(else_said, ToString::to_string)
}

/// What was wrong with a body. A value that is wrong is named; in a body of one line nothing is told by
/// where it ends.
fn wrong_in_body(rejected: &JsonRejection) -> String {
    let said = what(rejected, rejected.body_text());
    if !matches!(rejected, JsonRejection::JsonDataError(_)) {
        return said;
    }
    match said.rsplit_once(" at line 1 column ") {
        Some((words, column)) if column.bytes().all(|byte| byte.is_ascii_digit()) => {
            words.to_owned()
        }
        _ => said,
    }
}

/// The query of routes that have none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    /// Lists what was looked at, one a line. Takes no value.
    verbose: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The name after which the page begins: `next` of the page before.
    after: Option<String>,
    /// Rows at most, 1 to 1000.
    #[serde(default = "limit_default")]
    limit: usize,
    /// By `name`, all of them; or by `in-flight`, the busiest, without those that are idle.
    #[serde(default)]
    order: Order,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    #[default]
    Name,
    InFlight,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ByName {
    /// The name after which the page begins: `next` of the page before.
    after: Option<String>,
    /// Rows at most, 1 to 1000.
    #[serde(default = "limit_default")]
    limit: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ByPlace {
    /// The place from which the page begins: `next` of the page before.
    #[serde(default)]
    from: usize,
    /// Rows at most, 1 to 1000.
    #[serde(default = "limit_default")]
    limit: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct First {
    /// Rows at most, 1 to 1000.
    #[serde(default = "limit_default")]
    limit: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asker {
    /// The tenant that would ask.
    tenant: String,
    /// The path that it would ask for.
    path: String,
    /// The address that it would come from, for limits by address.
    address: Option<IpAddr>,
    /// The user of the tenant that would ask, for limits by user.
    user: Option<String>,
    /// The API key that would be shown, by its name, for limits by key.
    key: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// The kind of the alert.
    #[serde(deserialize_with = "name::kind")]
    #[schemars(schema_with = "name::kind_schema")]
    alert: Kind,
}

fn limit_default() -> usize {
    100
}

fn checked(limit: usize) -> Result<usize, Problem> {
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("`limit` is {limit}; it lies between 1 and {LIMIT_MAX}");
    Err(Problem::bad_request(detail))
}

pub(super) async fn livez(Asked(query): Asked<Health>) -> impl IntoResponse {
    text(readiness::live(query.verbose.is_some()))
}

pub(super) async fn readyz(State(room): TheRoom, Asked(query): Asked<Health>) -> impl IntoResponse {
    text(readiness::ready(&room.node, query.verbose.is_some()))
}

fn text((status, text): (StatusCode, String)) -> impl IntoResponse {
    (status, [(header::CONTENT_TYPE, TEXT)], text)
}

pub(super) async fn metrics(State(room): TheRoom) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], room.node.metrics())
}

pub(super) async fn status(State(room): TheRoom, _: Asked<Nothing>) -> Json<Status> {
    Json(Status::of(&room.node, room.address.get().copied()))
}

pub(super) async fn health(State(room): TheRoom, _: Asked<Nothing>) -> Json<Healths> {
    let health = room.node.gateway().admission().health();
    Json(Healths::from(&*health))
}

pub(super) async fn alerts(State(room): TheRoom, _: Asked<Nothing>) -> Json<Alerts> {
    Json(Alerts::of(&room.node))
}

pub(super) async fn runbook(Asked(which): Asked<Which>) -> impl IntoResponse {
    let page = runbook::page(which.alert);
    ([(header::CONTENT_TYPE, MARKDOWN)], page)
}

pub(super) async fn services(State(room): TheRoom, _: Asked<Nothing>) -> Json<Services> {
    Json(Services::from(&*room.node.gateway().services()))
}

pub(super) async fn pools(State(room): TheRoom, _: Asked<Nothing>) -> Json<Pools> {
    let gateway = room.node.gateway();
    let (pools, tcp) = (gateway.admission().pools(), gateway.tcp());
    Json(Pools::new(&pools, &tcp, &room.node.plan()))
}

pub(super) async fn tenants(
    State(room): TheRoom,
    Asked(page): Asked<Page>,
) -> Result<Json<Tenants>, Problem> {
    let most = checked(page.limit)?;
    let admission = room.node.gateway().admission();
    match page.order {
        Order::Name => {
            let views = admission.tenants(page.after.as_deref(), most + 1);
            Ok(Json(Tenants::page(views, most)))
        }
        Order::InFlight if page.after.is_some() => Err(Problem::bad_request(
            "`after` goes with `order=name`: by `in-flight` there is one page",
        )),
        Order::InFlight => Ok(Json(Tenants::page(admission.busiest_tenants(most), most))),
    }
}

pub(super) async fn members(
    State(room): TheRoom,
    Asked(page): Asked<ByName>,
) -> Result<Json<Members>, Problem> {
    let most = checked(page.limit)?;
    let gossip = room.node.heartbeat().gossip();
    let members = gossip.map(|gossip| Members::page(gossip, page.after.as_deref(), most));
    Ok(Json(members.unwrap_or_default()))
}

pub(super) async fn heartbeats(
    State(room): TheRoom,
    Asked(page): Asked<ByPlace>,
) -> Result<Json<NodesWords>, Problem> {
    let most = checked(page.limit)?;
    let beats = room.node.heartbeat().beats();
    let nodes = beats.map(|beats| NodesWords::page(beats, page.from, most));
    nodes.map(Json).ok_or_else(|| {
        let detail = "nobody beats to this node: it has no table [listen.heartbeat]";
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}

pub(super) async fn breakers(
    State(room): TheRoom,
    Asked(first): Asked<First>,
) -> Result<Json<Breakers>, Problem> {
    let most = checked(first.limit)?;
    let gateway = room.node.gateway();
    let admission = gateway.admission();
    let (tenants, services) = (admission.breakers(most), admission.service_breakers());
    let breakers = Breakers::new(&tenants, &services);
    Ok(Json(
        breakers.with_upstreams(&gateway.services(), &gateway.tcp()),
    ))
}

pub(super) async fn order_breaker(
    State(room): TheRoom,
    service: Result<UrlPath<String>, PathRejection>,
    _: Asked<Nothing>,
    order: Result<Json<BreakerOrder>, JsonRejection>,
) -> Result<Json<ServiceBreaker>, Problem> {
    let UrlPath(service) = service.map_err(|wrong| Problem::bad_request(wrong.body_text()))?;
    let Json(order) = order.map_err(|wrong| Problem::new(wrong.status(), wrong_in_body(&wrong)))?;
    let admission = room.node.gateway().admission();
    let absent = || {
        let detail = "there is no such service; /v1/services lists those there are";
        Problem::new(StatusCode::NOT_FOUND, detail)
    };
    let service: ServiceId = service.parse().map_err(|_| absent())?;
    let ordered = admission.order_breaker(&service, order.state.into());
    ordered.map_err(|error| match error {
        OrderError::OnlyConnects => {
            let detail = format!("{error}; say it in their tables: [pools.NAME.breaker] state");
            Problem::new(StatusCode::CONFLICT, detail)
        }
        _ => absent(),
    })?;
    let mut views = admission.service_breakers().into_iter();
    let view = views.find(|view| view.service == service);
    view.map(|view| Json(ServiceBreaker::from(&view)))
        .ok_or_else(absent)
}

pub(super) async fn config(State(room): TheRoom, _: Asked<Nothing>) -> Json<Config> {
    Json(Config::of(&room.node))
}

pub(super) async fn reload(
    State(room): TheRoom,
    _: Asked<Nothing>,
) -> Result<Json<Reloaded>, Problem> {
    if room.node.file().is_none() {
        let detail = "this node's configuration was not read from a file, so there is nothing to \
                      read again";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let _turn = room.reloading.lock().await;
    let node = Arc::clone(&room.node);
    let reloaded = tokio::task::spawn_blocking(move || node.reload()).await;
    let rejected = match reloaded {
        Ok(Ok(node::Reloaded { generation, notes })) => {
            return Ok(Json(Reloaded { generation, notes }));
        }
        Ok(Err(error)) => error.summary(),
        Err(panicked) => panicked.to_string(),
    };
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, rejected))
}

pub(super) async fn explain(
    State(room): TheRoom,
    Asked(asker): Asked<Asker>,
) -> Result<Json<Explanation>, Problem> {
    let tenant: TenantId = asker
        .tenant
        .parse()
        .map_err(|error| Problem::bad_request(format!("`tenant`: {error}")))?;
    let question = Question {
        address: asker.address,
        user: asker.user,
        key: asker.key,
        ..Question::new(tenant, asker.path)
    };
    let gateway = room.node.gateway();
    Ok(Json(match gateway.explain(&question) {
        Ok((service, said)) => {
            let pools = gateway.admission().pools();
            Explanation::new(&question, &service, &said, &gateway.plan(), &pools)
        }
        Err(why) => Explanation::none(&question, why),
    }))
}

pub(super) async fn document() -> Json<serde_json::Value> {
    Json(openapi::document())
}

pub(super) async fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is no such path; /openapi.json lists those there are",
    )
}

pub(super) async fn not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not take this method; the field Allow says which it takes",
    )
}
