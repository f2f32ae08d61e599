//! One notification to the webhook: a connection of its own, and a time limit over all of it.

use http::{HeaderValue, Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use watertight_plan::Webhook;

/// Posts `body`.
///
/// # Errors
/// Why it did not arrive, without the path and the token, which are secret. Anything but a status of
/// 2xx is no arrival. What the webhook says beyond its status is not read.
pub(super) async fn post(webhook: &Webhook, body: Vec<u8>) -> Result<(), String> {
    match timeout(webhook.timeout, exchange(webhook, body)).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {:?}", webhook.timeout)),
    }
}

async fn exchange(webhook: &Webhook, body: Vec<u8>) -> Result<(), String> {
    let request = request(webhook, body).ok_or("its address or its token cannot be sent")?;
    let stream = TcpStream::connect((webhook.host.as_str(), webhook.port)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // The connection ends with this set, whatever the webhook does with it.
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let response = sender.send_request(request).await;
    let status = response.map_err(|error| error.to_string())?.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("it answers {}", status.as_u16()))
    }
}

fn request(webhook: &Webhook, body: Vec<u8>) -> Option<Request<Full<Bytes>>> {
    let path = str::from_utf8(webhook.path.expose()).ok()?;
    let mut request = Request::post(path)
        .header(header::HOST, webhook.authority())
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "watertight");
    if let Some(token) = &webhook.token {
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", token.expose()].concat()).ok()?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    request.body(Full::from(body)).ok()
}
