//! API keys, compared by their SHA-256 digests: how long a look-up takes says nothing about a key.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderMap, HeaderName};
use ring::digest::{SHA256, digest};
use watertight_base::{Reason, TenantId};
use watertight_guard::pool::Class;
use watertight_plan::ApiKey;

/// The header that carries a key.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

#[derive(Debug)]
pub(super) struct ApiKeys(HashMap<Vec<u8>, Owner>);

/// Whose a key is.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) tenant: TenantId,
    pub(super) class: Class,
    /// What the key is called.
    pub(super) key: Arc<str>,
}

impl ApiKeys {
    pub(super) fn new(keys: &[ApiKey]) -> Self {
        let entries = keys.iter().flat_map(|key| {
            let owner = Owner {
                tenant: key.tenant.clone(),
                class: key.class,
                key: key.name.as_str().into(),
            };
            key.keys
                .iter()
                .map(move |secret| (hash(secret.expose()), owner.clone()))
        });
        Self(entries.collect())
    }

    /// Whose key a request shows, if it shows one.
    pub(super) fn owner(&self, headers: &HeaderMap) -> Result<Option<Owner>, Reason> {
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
