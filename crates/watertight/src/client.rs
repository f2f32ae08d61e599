//! The commands' way to a node: its admin API, one request a connection.
//!
//! What goes wrong is told as what to do about it: nobody answers, the token is missing, the
//! certificate is not trusted. An answer has five seconds and 16 MiB, so that whatever stands at the
//! address cannot hold a command up or fill its memory.

mod tls;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::rustls::ClientConfig;

use crate::admin::Problem;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Where a node's admin listener is unless its configuration says otherwise.
pub const NODE_DEFAULT: &str = "http://127.0.0.1:7070";

/// Where a node is, and how it is to be convinced.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The node's admin listener, `http://…` or `https://…`. None: [`NODE_DEFAULT`].
    pub node: Option<String>,
    /// The bearer token, if the node asks for one.
    pub token: Option<String>,
    /// Authorities whose certificates the node may show, PEM.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, PEM, if the node demands one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Asks a node.
#[derive(Debug)]
pub struct Client {
    node: String,
    host: String,
    port: u16,
    authority: HeaderValue,
    token: Option<HeaderValue>,
    tls: Option<tls::Connector>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// An address that is none.
    #[error("{node:?} is not a node's address: {why}; it looks like {NODE_DEFAULT}")]
    Address {
        /// The address given.
        node: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A token that cannot be sent.
    #[error("the token cannot be sent: it has characters that no header takes")]
    Token,
    /// Certificates that cannot be used.
    #[error("{0}")]
    Tls(String),
    /// Nobody answers.
    #[error("no node answers at {node} ({why}): is it running? `watertight up`")]
    Unreachable {
        /// Where.
        node: String,
        /// What the system said.
        why: String,
    },
    /// It took too long.
    #[error("the node at {node} did not answer within {} s", TIMEOUT.as_secs())]
    TooLate {
        /// Where.
        node: String,
    },
    /// The token is missing or wrong.
    #[error(
        "the node at {node} asks for its token: give `--token-file FILE`, or set WATERTIGHT_TOKEN"
    )]
    Unauthorized {
        /// Where.
        node: String,
    },
    /// The node says that it cannot answer.
    #[error("the node at {node} answers {status}: {detail}")]
    Problem {
        /// Where.
        node: String,
        /// Its status.
        status: u16,
        /// What it says.
        detail: String,
    },
    /// What answers is not a node, or one of another version.
    #[error("what answers at {node} is not a Watertight node's admin listener: {why}")]
    NotANode {
        /// Where.
        node: String,
        /// How that shows.
        why: String,
    },
}

/// Trusts what the authority in the file `ca` signed, and nobody else.
///
/// # Errors
/// [`ClientError::Tls`] when it cannot be used.
pub fn trust(ca: &Path) -> Result<ClientConfig, ClientError> {
    tls::config(ca, None)
}

impl Client {
    /// A client of the node that `access` names. Asks nothing yet.
    ///
    /// # Errors
    /// [`ClientError`] when the address is none, or files cannot be used.
    pub fn new(access: &Access) -> Result<Self, ClientError> {
        let node = access.node.as_deref().unwrap_or(NODE_DEFAULT);
        let wrong = |why| ClientError::Address {
            node: node.to_owned(),
            why,
        };
        let uri: Uri = node.parse().map_err(|_| wrong("it is not a URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it begins with http:// or https://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("it has no path"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it has a host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has no user; give `--token-file` instead"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let default = if is_tls { 443 } else { 80 };
        let token = access.token.as_ref().map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))?;
            value.set_sensitive(true);
            Ok::<_, header::InvalidHeaderValue>(value)
        });
        Ok(Self {
            node: node.trim_end_matches('/').to_owned(),
            tls: is_tls
                .then(|| tls::Connector::new(&host, access))
                .transpose()?,
            host,
            port: authority.port_u16().unwrap_or(default),
            authority: HeaderValue::try_from(authority.as_str())
                .map_err(|_| wrong("its host is none"))?,
            token: token.transpose().map_err(|_| ClientError::Token)?,
        })
    }

    /// Where the node is.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The name or address of the machine that it is on.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What the node answers at `path`.
    ///
    /// # Errors
    /// [`ClientError`] says why there is no answer, and what to do.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(Method::GET, path, Bytes::new()).await
    }

    /// What the node answers to `order`, or to nothing, sent to `path`.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        order: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ClientError> {
        let body = order.map(serde_json::to_vec).transpose();
        let body = body.map_err(|error| self.not_a_node(error.to_string()))?;
        self.json(Method::POST, path, body.unwrap_or_default().into())
            .await
    }

    /// What the node answers when it is to remove what is at `path`.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(Method::DELETE, path, Bytes::new()).await
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let body = self.ask(method, path, body).await?;
        serde_json::from_slice(&body).map_err(|error| self.not_a_node(error.to_string()))
    }

    /// The text that the node answers at `path`.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub async fn text(&self, path: &str) -> Result<String, ClientError> {
        let body = self.ask(Method::GET, path, Bytes::new()).await?;
        String::from_utf8(body.into()).map_err(|error| self.not_a_node(error.to_string()))
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let answered = tokio::time::timeout(TIMEOUT, self.exchange(method, path, body));
        let (status, body) = answered.await.map_err(|_| ClientError::TooLate {
            node: self.node.clone(),
        })??;
        if status.is_success() {
            return Ok(body);
        }
        let node = self.node.clone();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if answer.get("reason").is_some() {
            // Only a front door gives reasons: it is asked for a tenant's sake.
            return Err(self.not_a_node("it is a front door".to_owned()));
        }
        match serde_json::from_value::<Problem>(answer) {
            Ok(problem) if problem.status == status && status == StatusCode::UNAUTHORIZED => {
                Err(ClientError::Unauthorized { node })
            }
            Ok(problem) if problem.status == status => Err(ClientError::Problem {
                node,
                status: problem.status,
                detail: problem.detail,
            }),
            _ => Err(self.not_a_node(format!("it answers {status} at {path}"))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| self.unreachable(&error))?;
        match &self.tls {
            None => self.speak(stream, method, path, body).await,
            Some(tls) => {
                let stream = tls.connect(stream).await;
                let stream = stream.map_err(|error| self.unreachable(&error))?;
                self.speak(stream, method, path, body).await
            }
        }
    }

    async fn speak<S>(
        &self,
        stream: S,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let broken = |error: &dyn std::error::Error| self.not_a_node(error.to_string());
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
        // It ends with the sender; what breaks it, the sender reports.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::CONNECTION, "close");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| broken(&error))?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| broken(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| broken(&*error))?;
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, error: &std::io::Error) -> ClientError {
        let why = match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            _ => error.to_string(),
        };
        ClientError::Unreachable {
            node: self.node.clone(),
            why,
        }
    }

    fn not_a_node(&self, why: String) -> ClientError {
        ClientError::NotANode {
            node: self.node.clone(),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn client(node: &str) -> Result<Client, ClientError> {
        Client::new(&Access {
            node: Some(node.to_owned()),
            ..Access::default()
        })
    }

    #[test]
    fn an_address_that_is_none_is_told_what_one_looks_like() {
        for node in [
            "127.0.0.1:7070",
            "ftp://a",
            "http://a/b",
            "http://u@a",
            "a b",
        ] {
            let error = client(node).unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:7070"), "{node}: {error}");
        }
        let client = client("http://[::1]:7071/").unwrap();
        assert_eq!((client.host.as_str(), client.port), ("::1", 7071));
        assert_eq!(client.node(), "http://[::1]:7071");
    }

    #[test]
    fn tls_without_authorities_says_which_flag_to_give() {
        let error = client("https://a:7070").unwrap_err().to_string();
        assert!(error.contains("--ca"), "{error}");
    }

    #[test]
    fn a_token_does_not_show() {
        let client = Client::new(&Access {
            token: Some("a-very-secret-token".to_owned()),
            ..Access::default()
        });
        assert!(!format!("{:?}", client.unwrap()).contains("secret"));
    }
}
