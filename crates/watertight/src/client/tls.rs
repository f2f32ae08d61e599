//! TLS to a node: its certificate is checked against the authorities that were given, and no others.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider},
};

use super::{Access, ClientError};

pub(super) struct Connector {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector").field(&self.name).finish()
    }
}

impl Connector {
    pub(super) fn new(host: &str, access: &Access) -> Result<Self, ClientError> {
        let wrong = |why: String| ClientError::Tls(why);
        let Some(ca) = &access.ca else {
            return Err(wrong(
                "TLS to a node needs `--ca FILE`: the authority that signed its certificate, in \
                 PEM form"
                    .to_owned(),
            ));
        };
        let config = config(ca, access.identity.as_ref())?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            wrong(format!(
                "{host:?} is not a name that a certificate can have"
            ))
        })?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// Trusts what `ca` signed and nobody else, and shows a certificate with its key, if one is given.
pub(super) fn config(
    ca: &Path,
    identity: Option<&(PathBuf, PathBuf)>,
) -> Result<ClientConfig, ClientError> {
    let wrong = |why: String| ClientError::Tls(why);
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots
            .add(certificate)
            .map_err(|error| wrong(format!("{}: {error}", ca.display())))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots);
    let Some((certificate, key)) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let read = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| wrong(format!("{}: {error}", key.display())))?;
    builder
        .with_client_auth_cert(certificates(certificate)?, read)
        .map_err(|error| wrong(format!("{}: {error}", key.display())))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let wrong = |why: String| ClientError::Tls(format!("{}: {why}", path.display()));
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let found: Result<Vec<_>, _> = found.collect();
    match found.map_err(|error| wrong(error.to_string()))? {
        found if found.is_empty() => Err(wrong("there is no certificate in it".to_owned())),
        found => Ok(found),
    }
}
