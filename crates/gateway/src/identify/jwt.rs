//! JSON Web Tokens (RFC 7519): HS256, RS256 and EdDSA, with keys from a file.
//!
//! The algorithm belongs to the key, never to the token: an RSA key checks RS256 and nothing else,
//! so a token cannot choose `none`, or have a public key taken for an HMAC secret. `exp` is
//! demanded and `nbf` honoured, with 30 seconds of leeway; issuer and audience are checked when
//! they are configured. Parsing is `jsonwebtoken`'s, signatures are `ring`'s.

use std::sync::Arc;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, Validation,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result as JwtResult},
    jwk::JwkSet,
    signature::{self, Verifier},
};
use ring::{hmac, signature as ring_signature};
use serde_json::Value;
use watertight_base::{Reason, TenantId};
use watertight_plan::Jwt;

use crate::Error;

const LEEWAY_SECONDS: u64 = 30;
const SECRET_LENGTH_MIN: usize = 32;

#[derive(Debug)]
pub(super) struct Tokens {
    keys: Vec<Key>,
}

/// Whose a token is.
#[derive(Debug)]
pub(super) struct Bearer {
    pub(super) tenant: TenantId,
    /// The subject, if the token has one.
    pub(super) user: Option<Arc<str>>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

impl Tokens {
    pub(super) fn new(jwt: &Jwt) -> Result<Self, Error> {
        // A second installation finds the first in place.
        let _ = PROVIDER.install_default();
        let keys = read_keys(jwt.keys.expose())?;
        let keys = keys
            .into_iter()
            .map(|(id, key)| {
                Ok(Key {
                    id,
                    validation: validation(jwt, algorithm_of(&key)?),
                    key,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Self { keys })
    }

    /// The tenant that a claim of the token names, and the user that its subject is.
    pub(super) fn owner(&self, token: &str, claim: &str) -> Result<Bearer, Reason> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Reason::CredentialsInvalid)?;
        if header.crit.is_some() {
            // It demands what we do not know (RFC 7515, section 4.1.11).
            return Err(Reason::CredentialsInvalid);
        }
        let fits = |key: &&Key| {
            key.validation.algorithms.contains(&header.alg)
                && (key.id.is_none() || header.kid.is_none() || key.id == header.kid)
        };
        let claims = self
            .keys
            .iter()
            .filter(fits)
            .find_map(|key| {
                let token = jsonwebtoken::decode::<Value>(token, &key.key, &key.validation);
                token.ok().map(|token| token.claims)
            })
            .ok_or(Reason::CredentialsInvalid)?;
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        let tenant = text(claim).ok_or(Reason::NoTenant)?;
        Ok(Bearer {
            tenant: super::named(tenant)?,
            user: text("sub").map(Arc::from),
        })
    }
}

fn validation(jwt: &Jwt, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    match &jwt.audience {
        Some(audience) => validation.set_audience(&[audience]),
        None => validation.validate_aud = false,
    }
    if let Some(issuer) = &jwt.issuer {
        validation.set_issuer(&[issuer]);
    }
    let mut required = vec!["exp"];
    required.extend(jwt.audience.as_ref().map(|_| "aud"));
    required.extend(jwt.issuer.as_ref().map(|_| "iss"));
    validation.set_required_spec_claims(&required);
    validation
}

fn algorithm_of(key: &DecodingKey) -> Result<Algorithm, Error> {
    match key.family() {
        AlgorithmFamily::Hmac => Ok(Algorithm::HS256),
        AlgorithmFamily::Rsa => Ok(Algorithm::RS256),
        AlgorithmFamily::Ed => Ok(Algorithm::EdDSA),
        AlgorithmFamily::Ec => Err(Error::JwtKeys {
            why: "ECDSA keys are not supported".into(),
        }),
    }
}

/// A JWK set, PEM blocks, or else an HMAC secret.
fn read_keys(bytes: &[u8]) -> Result<Vec<(Option<String>, DecodingKey)>, Error> {
    let wrong = |why: String| Error::JwtKeys { why };
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if text.trim_start().starts_with('{') {
        let set: JwkSet = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if set.keys.is_empty() {
            return Err(wrong("the key set is empty".into()));
        }
        let key = |jwk: &jsonwebtoken::jwk::Jwk| {
            let key = DecodingKey::from_jwk(jwk).map_err(|error| wrong(error.to_string()))?;
            Ok((jwk.common.key_id.clone(), key))
        };
        return set.keys.iter().map(key).collect();
    }
    if text.contains("-----BEGIN") {
        const END: &str = "-----END PUBLIC KEY-----";
        let blocks = text
            .split_inclusive(END)
            .filter(|block| block.contains("-----BEGIN"));
        return blocks
            .map(|block| {
                DecodingKey::from_rsa_pem(block.as_bytes())
                    .or_else(|_| DecodingKey::from_ed_pem(block.as_bytes()))
                    .map(|key| (None, key))
                    .map_err(|_| {
                        wrong("a PEM block is neither an RSA nor an Ed25519 public key".into())
                    })
            })
            .collect();
    }
    let secret = bytes.trim_ascii_end();
    if secret.len() < SECRET_LENGTH_MIN {
        return Err(wrong(format!(
            "an HMAC secret has at least {SECRET_LENGTH_MIN} bytes (RFC 7518, section 3.2), this one {}",
            secret.len()
        )));
    }
    Ok(vec![(None, DecodingKey::from_secret(secret))])
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory,
    key_utils: KeyUtils::new_unimplemented(),
};

fn verifier_factory(algorithm: &Algorithm, key: &DecodingKey) -> JwtResult<Box<dyn JwtVerifier>> {
    Ok(Box::new(RingVerifier {
        algorithm: *algorithm,
        key: key.clone(),
    }))
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (self.algorithm, self.key.kind()) {
            (Algorithm::HS256, DecodingKeyKind::SecretOrDer(secret)) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::verify(&key, message, signature)
            }
            (Algorithm::RS256, DecodingKeyKind::SecretOrDer(der)) => {
                let algorithm = &ring_signature::RSA_PKCS1_2048_8192_SHA256;
                ring_signature::UnparsedPublicKey::new(algorithm, der).verify(message, signature)
            }
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let algorithm = &ring_signature::RSA_PKCS1_2048_8192_SHA256;
                ring_signature::RsaPublicKeyComponents { n, e }
                    .verify(algorithm, message, signature)
            }
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(key)) => {
                ring_signature::UnparsedPublicKey::new(&ring_signature::ED25519, key)
                    .verify(message, signature)
            }
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}
