//! TLS of a listener, by rustls with ring.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig, crypto::ring::default_provider, server::WebPkiClientVerifier,
    },
};
use watertight_plan::Tls;

use crate::Error;

pub(super) fn acceptor(listener: &str, tls: &Tls) -> Result<TlsAcceptor, Error> {
    server_config(tls)
        .map(|config| TlsAcceptor::from(Arc::new(config)))
        .map_err(|why| Error::Tls {
            listener: listener.to_owned(),
            why,
        })
}

fn server_config(tls: &Tls) -> Result<ServerConfig, String> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(authorities, "client_ca")? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("client_ca: {error}"))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| format!("client_ca: {error}"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(tls.key.expose())
        .map_err(|_| "key: there is no private key in PEM form in the file".to_owned())?;
    let mut config = builder
        .with_single_cert(certificates(&tls.certificate, "certificate")?, key)
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!(
            "{what}: there is no certificate in PEM form in the file"
        )),
    }
}
