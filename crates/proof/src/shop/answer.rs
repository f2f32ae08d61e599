//! What a service of the shop answers: one query, one small piece of JSON.

use super::Database;
use crate::Service;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::convert::Infallible;

pub(super) async fn answer(
    database: &Database,
    service: Service,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if path == "/healthz" {
        return Ok(json(
            StatusCode::OK,
            &json!({"service": service.name(), "status": "ok"}),
        ));
    }
    if !service.serves(path) {
        let body = json!({"service": service.name(), "error": "no such path in this service"});
        return Ok(json(StatusCode::NOT_FOUND, &body));
    }
    let (head, body) = request.into_parts();
    if !is_read(body).await {
        let body = json!({"service": service.name(), "error": "the request broke off"});
        return Ok(json(StatusCode::BAD_REQUEST, &body));
    }
    let tenant = head
        .headers
        .get("x-tenant-id")
        .and_then(|value| value.to_str().ok());
    let database = database.clone();
    // A task of its own: what has begun is finished although the caller may leave meanwhile.
    let query = tokio::spawn(async move { database.query(service).await }).await;
    Ok(match query {
        Ok(Ok(took)) => {
            let query_ms = (took.as_secs_f64() * 1e6).round() / 1e3;
            let body = json!({"service": service.name(), "tenant": tenant, "query_ms": query_ms});
            json(StatusCode::OK, &body)
        }
        Ok(Err(refusal)) => {
            let error = refusal.to_string();
            let body = json!({"service": service.name(), "tenant": tenant, "error": error});
            json(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
        Err(_) => {
            let body = json!({"service": service.name(), "error": "the query was lost"});
            json(StatusCode::INTERNAL_SERVER_ERROR, &body)
        }
    })
}

/// Reads a body to its end and keeps nothing of it. False: it broke off.
async fn is_read(mut body: Incoming) -> bool {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}

fn json(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
