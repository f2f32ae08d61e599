//! What an upstream answers: echoes, streams, silence and breakage, by path.
//!
//! | path | answer |
//! |---|---|
//! | `/bytes?n=` | that many bytes |
//! | `/sink` | how many bytes were uploaded |
//! | `/slow?ms=` | the echo, after a while |
//! | `/hang` | none |
//! | `/status?code=` | that status |
//! | `/drip?n=&ms=` | that many bytes, one at a time |
//! | `/ws` | `Upgrade: echo`, then every byte back |
//! | `/reset?n=` | that many bytes of an answer that never ends, then the connection breaks |
//! | `/grpc?status=` | of a gRPC call: HTTP status 200, and that status in a trailer |
//! | `/trailers` | the request's trailers, in a trailer |
//! | `/account` | what the upstream has counted |
//! | other | the echo: method, path, version, headers, and how long the body was |

mod account;
mod body;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

pub use self::{account::Account, body::Answer};

/// The connection is to be broken instead of answered.
#[derive(Debug)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

/// Answers a request.
///
/// # Errors
/// When the connection is to be broken.
pub async fn answer(
    account: Arc<Account>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Broken> {
    let path = request.uri().path().to_owned();
    if path == "/account" {
        return Ok(document(&account.document()));
    }
    let _under_way = account.begin(&request);
    let number = |name| query(&request, name).unwrap_or(0);
    match path.as_str() {
        "/bytes" => Ok(Response::new(body::zeros(number("n")))),
        "/drip" => Ok(Response::new(body::drip(number("n"), number("ms")))),
        "/reset" => match number("n") {
            0 => Err(Broken),
            n => Ok(Response::new(body::broken(n))),
        },
        "/hang" => std::future::pending().await,
        "/status" => {
            let code = u16::try_from(number("code")).map_err(|_| Broken)?;
            let mut response = Response::new(body::whole(""));
            *response.status_mut() = StatusCode::from_u16(code).map_err(|_| Broken)?;
            Ok(response)
        }
        "/ws" => Ok(upgrade(&account, request)),
        "/slow" => {
            let span = Duration::from_millis(number("ms"));
            tokio::time::sleep(span).await; // sleep: being slow is what this path is for
            echo(request).await
        }
        "/grpc" => grpc(number("status"), request).await,
        "/trailers" => trailers(request).await,
        _ => echo(request).await,
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Answer>, Broken> {
    let (head, body) = request.into_parts();
    let length = drain(body).await?.0;
    Ok(document(&described(&head, length)))
}

fn described(head: &Parts, length: u64) -> Value {
    let mut headers = serde_json::Map::new();
    for name in head.headers.keys() {
        let values = head.headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        headers.insert(
            name.to_string(),
            values.collect::<Vec<_>>().join(" | ").into(),
        );
    }
    json!({
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map(|path| path.as_str()),
        "authority": head.uri.authority().map(|authority| authority.as_str()),
        "version": format!("{:?}", head.version),
        "headers": headers,
        "body_bytes": length,
    })
}

/// Reads a body to its end: its length and its trailers.
async fn drain(mut body: Incoming) -> Result<(u64, HeaderMap), Broken> {
    let (mut length, mut trailers) = (0, HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.map_err(|_| Broken)?.into_data() {
            Ok(data) => length += data.len() as u64,
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok((length, trailers))
}

async fn trailers(request: Request<Incoming>) -> Result<Response<Answer>, Broken> {
    let (_, given) = drain(request.into_body()).await?;
    let mut trailers = HeaderMap::new();
    for (name, value) in &given {
        let seen = format!("seen-{name}");
        trailers.insert(
            seen.parse::<header::HeaderName>().map_err(|_| Broken)?,
            value.clone(),
        );
    }
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Ok(Response::new(body::with_trailers("body", trailers)))
}

async fn grpc(status: u64, request: Request<Incoming>) -> Result<Response<Answer>, Broken> {
    drain(request.into_body()).await?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    let mut response = Response::new(body::with_trailers("body", trailers));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

fn upgrade(account: &Arc<Account>, mut request: Request<Incoming>) -> Response<Answer> {
    if request
        .headers()
        .get(header::UPGRADE)
        .is_none_or(|to| to != "echo")
    {
        let mut response = Response::new(body::whole("Upgrade: echo, please"));
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return response;
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let under_way = account.begin(&request);
    tokio::spawn(async move {
        let _under_way = under_way;
        if let Ok(upgraded) = upgraded.await {
            let io = hyper_util::rt::TokioIo::new(upgraded);
            let (mut from, mut to) = tokio::io::split(io);
            // Either end may break off.
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
    });
    let mut response = Response::new(body::whole(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("echo"));
    response
}

fn document(value: &Value) -> Response<Answer> {
    let mut response = Response::new(body::whole(Bytes::from(value.to_string())));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn query(request: &Request<Incoming>, name: &str) -> Option<u64> {
    let pairs = request.uri().query()?.split('&');
    let value = pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(given, _)| *given == name)?
        .1;
    value.parse().ok()
}
