//! The line to one monitor, and how one beat is sent along it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UdpSocket, lookup_host},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use watertight_base::NodeId;
use watertight_heartbeat::{BeatDatagram, Metadata};

use super::{BeaterSpec, Target, target::Scheme};
use crate::{BeatKey, BeatWords, Error, MetadataWords, Told};

/// What a beat says, beside whose it is.
pub(super) struct Said<'a> {
    pub(super) sequence: u64,
    pub(super) interval: Duration,
    pub(super) metadata: Option<&'a Metadata>,
    pub(super) is_farewell: bool,
}

/// Why a beat did not arrive.
#[derive(Debug)]
pub(super) enum Failed {
    /// It came from a process of the past.
    Outdated { known: u64 },
    /// Nobody took it.
    Lost(String),
}

/// A line to a monitor.
pub(super) struct Line {
    node: NodeId,
    generation: u64,
    key: Option<BeatKey>,
    target: Target,
    way: Way,
}

enum Way {
    /// The socket, when there is one, and for how many more beats what its name led to is believed.
    Udp(Option<(UdpSocket, u32)>),
    Http(Http),
}

struct Http {
    authority: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// A connection, when there is one and it is not in use.
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Line {
    pub(super) fn new(target: &Target, spec: &BeaterSpec) -> Result<Self, Error> {
        let wrong = |why| Error::Target {
            target: target.to_string(),
            why,
        };
        let tls = match (target.scheme, &spec.tls) {
            (Scheme::Udp | Scheme::Http, _) => None,
            (Scheme::Https, None) => return Err(wrong("it needs authorities to trust")),
            (Scheme::Https, Some(tls)) => {
                let name = ServerName::try_from(target.host.clone());
                let name = name.map_err(|_| wrong("no certificate can have its name"))?;
                Some((TlsConnector::from(Arc::clone(tls)), name))
            }
        };
        let way = match target.scheme {
            Scheme::Udp => Way::Udp(None),
            Scheme::Http | Scheme::Https => Way::Http(Http {
                authority: HeaderValue::try_from(&target.authority)
                    .map_err(|_| wrong("its host is none"))?,
                tls,
                sender: None,
            }),
        };
        Ok(Self {
            node: spec.node.clone(),
            generation: spec.generation,
            key: spec.key.clone(),
            target: target.clone(),
            way,
        })
    }

    /// Sends a beat. Answers how often the monitor wants to be told, if it said so. What is dropped
    /// half way leaves a line that begins anew.
    pub(super) async fn send(&mut self, said: &Said<'_>) -> Result<Option<Duration>, Failed> {
        match self.way {
            Way::Udp(_) => self.send_datagram(said).await.map(|()| None),
            Way::Http(_) => self.send_request(said).await,
        }
    }

    async fn send_datagram(&mut self, said: &Said<'_>) -> Result<(), Failed> {
        let Way::Udp(way) = &mut self.way else {
            return Ok(());
        };
        let (socket, believed) = match way.take() {
            Some((socket, believed)) if believed > 0 => (socket, believed),
            _ => (connect(&self.target).await.map_err(lost)?, BELIEVED_BEATS),
        };
        // What is too long was refused when it was set.
        let metadata = said.metadata.and_then(|metadata| metadata.encode().ok());
        let mut datagram = Vec::new();
        let beat = BeatDatagram {
            id: self.node.as_str(),
            generation: self.generation,
            sequence: said.sequence,
            interval: Some(said.interval),
            is_farewell: said.is_farewell,
            metadata: metadata.as_deref().unwrap_or_default(),
        };
        beat.encode(&mut datagram);
        if let Some(key) = &self.key {
            key.seal(&mut datagram);
        }
        // Nobody answers a good-bye, and none comes after it.
        let copies = if said.is_farewell { FAREWELLS } else { 1 };
        for _ in 0..copies {
            socket.send(&datagram).await.map_err(lost)?;
        }
        *way = Some((socket, believed - 1));
        Ok(())
    }

    async fn send_request(&mut self, said: &Said<'_>) -> Result<Option<Duration>, Failed> {
        let (method, path, body) = match said.is_farewell {
            true => {
                let (node, generation) = (&self.node, self.generation);
                let path = format!("/v1/heartbeats/{node}?generation={generation}");
                (Method::DELETE, path, Bytes::new())
            }
            false => {
                let words = BeatWords {
                    node_id: self.node.to_string(),
                    generation: self.generation,
                    sequence: Some(said.sequence),
                    interval_ms: Some(u64::try_from(said.interval.as_millis()).unwrap_or(u64::MAX)),
                    metadata: said.metadata.cloned().map(MetadataWords::from),
                };
                // Words and numbers always serialise.
                let body = serde_json::to_vec(&words).unwrap_or_default();
                (Method::POST, "/v1/heartbeats".to_owned(), body.into())
            }
        };
        let (status, answer) = self.exchange(method, path, body).await?;
        match status {
            StatusCode::OK => {
                let told: Told = serde_json::from_slice(&answer).map_err(|_| {
                    Failed::Lost("what answers there is not a monitor of beats".to_owned())
                })?;
                Ok(Some(Duration::from_millis(told.interval_ms)))
            }
            StatusCode::NO_CONTENT => Ok(None),
            status => Err(refused(status, &answer)),
        }
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: String,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failed> {
        let Way::Http(http) = &mut self.way else {
            return Err(Failed::Lost("this line takes datagrams".to_owned()));
        };
        let mut kept = http.sender.take();
        if let Some(sender) = &mut kept
            && sender.ready().await.is_err()
        {
            kept = None;
        }
        let mut sender = match kept {
            Some(sender) => sender,
            None => http.connect(&self.target).await?,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &http.authority)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key.bearer());
        }
        let request = request.body(Full::new(body)).map_err(lost)?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let answer = answer.collect().await.map_err(lost)?.to_bytes();
        http.sender = Some(sender);
        Ok((status, answer))
    }
}

impl Http {
    async fn connect(&self, target: &Target) -> Result<SendRequest<Full<Bytes>>, Failed> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
        let stream = stream.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        match &self.tls {
            None => speak(stream).await,
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await.map_err(lost)?;
                speak(stream).await
            }
        }
    }
}

async fn speak<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, Failed>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(lost)?;
    // It ends with the sender; what breaks it, the sender reports.
    tokio::spawn(connection);
    Ok(sender)
}

/// A socket of our own for one address, so that the system tells when nobody listens there.
async fn connect(target: &Target) -> std::io::Result<UdpSocket> {
    let mut found = lookup_host((target.host.as_str(), target.port)).await?;
    let address = found.next().ok_or(std::io::ErrorKind::NotFound)?;
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0_u16; 8], 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

fn refused(status: StatusCode, answer: &[u8]) -> Failed {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
        known: Option<u64>,
    }
    match serde_json::from_slice::<Problem>(answer) {
        Ok(Problem {
            known: Some(known), ..
        }) if status == StatusCode::CONFLICT => Failed::Outdated { known },
        Ok(Problem { detail, .. }) => Failed::Lost(format!("{status}: {detail}")),
        Err(_) => Failed::Lost(format!("{status}, from what is not a monitor of beats")),
    }
}

fn lost(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failed {
    Failed::Lost(error.into().to_string())
}

/// The longest answer to a beat, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How often a good-bye is said over UDP.
const FAREWELLS: usize = 3;
/// Beats after which a name is looked up again.
const BELIEVED_BEATS: u32 = 60;
