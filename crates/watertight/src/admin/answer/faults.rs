//! `/v1/faults`: what is injected on purpose, by whom it is told to.

use axum::{
    Json,
    extract::{
        Path as UrlPath, State,
        rejection::{JsonRejection, PathRejection},
    },
};
use http::StatusCode;
use watertight_gateway::{FaultError, FaultOrder as Order};

use super::super::{
    problem::Problem,
    view::{Fault, FaultOrder, Faults, FaultsRemoved},
};
use super::{Asked, Nothing, TheRoom, what};

type Id = Result<UrlPath<u64>, PathRejection>;

pub(in crate::admin) async fn list(State(room): TheRoom, _: Asked<Nothing>) -> Json<Faults> {
    Json(Faults::from(room.node.gateway().faults()))
}

pub(in crate::admin) async fn inject(
    State(room): TheRoom,
    _: Asked<Nothing>,
    order: Result<Json<FaultOrder>, JsonRejection>,
) -> Result<Json<Fault>, Problem> {
    let Json(order) =
        order.map_err(|wrong| Problem::new(wrong.status(), what(&wrong, wrong.body_text())))?;
    let service = order.service.parse();
    let order = Order {
        service: service.map_err(|_| refused(FaultError::NoService))?,
        upstream: order.upstream,
        effect: order.effect.into(),
        share: order.share,
    };
    let view = room.node.gateway().inject(order).map_err(refused)?;
    Ok(Json(Fault::from(&view)))
}

pub(in crate::admin) async fn renew(
    State(room): TheRoom,
    id: Id,
    _: Asked<Nothing>,
) -> Result<Json<Fault>, Problem> {
    let UrlPath(id) = id.map_err(|wrong| Problem::bad_request(wrong.body_text()))?;
    let view = room.node.gateway().renew_fault(id).map_err(refused)?;
    Ok(Json(Fault::from(&view)))
}

pub(in crate::admin) async fn remove(
    State(room): TheRoom,
    id: Id,
    _: Asked<Nothing>,
) -> Result<Json<FaultsRemoved>, Problem> {
    let UrlPath(id) = id.map_err(|wrong| Problem::bad_request(wrong.body_text()))?;
    if !room.node.gateway().remove_fault(id) {
        return Err(refused(FaultError::Gone));
    }
    Ok(Json(FaultsRemoved { removed: 1 }))
}

pub(in crate::admin) async fn remove_all(
    State(room): TheRoom,
    _: Asked<Nothing>,
) -> Json<FaultsRemoved> {
    let removed = room.node.gateway().remove_faults();
    Json(FaultsRemoved { removed })
}

fn refused(error: FaultError) -> Problem {
    let status = match error {
        FaultError::NotAllowed => StatusCode::FORBIDDEN,
        FaultError::Gone => StatusCode::NOT_FOUND,
        FaultError::TooMany => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, error.to_string())
}
