//! API keys, compared by their SHA-256 digests: how long a look-up takes says nothing about a key.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName};
use ring::digest::{SHA256, digest};
use watertight_base::{Reason, TenantId};
use watertight_guard::pool::Class;
use watertight_plan::ApiKey;

/// The header that carries a key.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

#[derive(Debug)]
pub(super) struct ApiKeys(HashMap<Vec<u8>, (TenantId, Class)>);

impl ApiKeys {
    pub(super) fn new(keys: &[ApiKey]) -> Self {
        let entries = keys.iter().flat_map(|key| {
            let owner = (key.tenant.clone(), key.class);
            key.keys
                .iter()
                .map(move |secret| (hash(secret.expose()), owner.clone()))
        });
        Self(entries.collect())
    }

    /// Whose key a request shows, if it shows one.
    pub(super) fn owner(&self, headers: &HeaderMap) -> Result<Option<(TenantId, Class)>, Reason> {
        let Some(key) = super::only(headers, &API_KEY)? else {
            return Ok(None);
        };
        match self.0.get(&hash(key.as_bytes())) {
            Some(owner) => Ok(Some(owner.clone())),
            None => Err(Reason::CredentialsInvalid),
        }
    }
}

fn hash(key: &[u8]) -> Vec<u8> {
    digest(&SHA256, key).as_ref().to_vec()
}
