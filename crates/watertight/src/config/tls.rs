//! `tls = { … }` of a listener.

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use schemars::JsonSchema;
use serde::Deserialize;
use watertight_plan::Secret;

use super::{
    files::Files,
    findings::{Finding, Findings},
    located::{Located, if_written},
};

/// The certificate that a listener serves, and whose certificates it asks for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// A PEM file with the certificate chain.
    certificate: Located<String>,
    /// A PEM file with the private key.
    key: Located<String>,
    /// A PEM file with the authorities whose client certificates are demanded. Default: none, and
    /// no client certificate is asked for.
    client_ca: Option<Located<String>>,
}

impl Tls {
    pub(super) fn read(
        &self,
        files: &Files<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Tls> {
        let certificate = read_certificates(&self.certificate, files, findings);
        let key = files.secret(&self.key, findings);
        if let Some(key) = &key
            && PrivateKeyDer::from_pem_slice(key).is_err()
        {
            let message = "there is no private key in PEM in this file";
            findings.add(Finding::new(self.key.span(), message));
            return None;
        }
        let client_ca = if_written(self.client_ca.as_ref(), |path| {
            read_certificates(path, files, findings)
        });
        Some(watertight_plan::Tls {
            certificate: certificate?,
            key: Secret::new(key?),
            client_ca: client_ca?,
        })
    }
}

fn read_certificates(
    path: &Located<String>,
    files: &Files<'_>,
    findings: &mut Findings<'_>,
) -> Option<Vec<u8>> {
    let pem = files.public(path, findings)?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem).peekable();
    if certificates.peek().is_some() && certificates.all(|certificate| certificate.is_ok()) {
        return Some(pem);
    }
    let message = "there is no certificate in PEM in this file";
    findings.add(Finding::new(path.span(), message));
    None
}
