//! Who: the tenant on whose behalf a request is made.
//!
//! All sources are asked in their order; the first that names a tenant wins, and a later one that
//! names another is a conflict. Proof that fails its check is refused, even where a weaker source
//! would have named somebody: a forged token must not fall back to a header. A tenant header from
//! a peer that is not trusted is not seen, and is stripped before the request is forwarded.

mod api_key;
mod client;
mod jwt;

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use watertight_base::{Reason, TenantId};
use watertight_guard::pool::Class;
use watertight_plan::{HostPattern, Identity, Source};

use self::{
    api_key::ApiKeys,
    jwt::{Bearer, Tokens},
};
use crate::Error;

pub(crate) use self::api_key::API_KEY;

/// Finds tenants.
#[derive(Debug)]
pub struct Identifier {
    sources: Vec<Asked>,
    identity: Identity,
    keys: ApiKeys,
    tokens: Option<Tokens>,
    tenant_headers: Vec<HeaderName>,
}

#[derive(Debug)]
enum Asked {
    Jwt { claim: String },
    ApiKey,
    Header(HeaderName),
    Host(HostPattern),
    Path { prefix: String },
}

/// Fields that mean something else, and so cannot be chosen for what we have to say.
pub(crate) const MEANS_SOMETHING: [HeaderName; 14] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::EXPECT,
    header::FORWARDED,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VIA,
    API_KEY,
];

/// Who was found, and the path without the tenant in it.
#[derive(Debug, Eq, PartialEq)]
pub struct Identified<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The class that an API key gives its requests.
    pub class: Option<Class>,
    /// The name of the API key that was shown.
    pub key: Option<Arc<str>>,
    /// The user within the tenant: the subject of the token that was shown.
    pub user: Option<Arc<str>>,
    /// Where the client is.
    pub client: IpAddr,
    /// The path to route and forward.
    pub path: Cow<'a, str>,
}

impl Identifier {
    /// Reads keys and patterns.
    ///
    /// # Errors
    /// When keys cannot be read or a header's name is none.
    pub fn new(identity: &Identity) -> Result<Self, Error> {
        let mut sources = Vec::new();
        let mut tenant_headers = Vec::new();
        for source in &identity.sources {
            sources.push(match source {
                Source::Jwt { claim } => Asked::Jwt {
                    claim: claim.clone(),
                },
                Source::ApiKey => Asked::ApiKey,
                Source::Header { name } => {
                    let name: HeaderName = name
                        .parse()
                        .ok()
                        .filter(|name| !MEANS_SOMETHING.contains(name))
                        .ok_or_else(|| Error::HeaderName { name: name.clone() })?;
                    tenant_headers.push(name.clone());
                    Asked::Header(name)
                }
                Source::Host(pattern) => Asked::Host(pattern.clone()),
                Source::Path { prefix } => Asked::Path {
                    prefix: prefix.clone(),
                },
            });
        }
        Ok(Self {
            sources,
            keys: ApiKeys::new(&identity.api_keys),
            tokens: identity.jwt.as_ref().map(Tokens::new).transpose()?,
            identity: identity.clone(),
            tenant_headers,
        })
    }

    /// The tenant of a request. `path` is the normal form of its path.
    ///
    /// # Errors
    /// Why nobody was found, or too many.
    pub fn identify<'a>(
        &self,
        head: &Parts,
        path: &'a str,
        peer: IpAddr,
    ) -> Result<Identified<'a>, Reason> {
        let mut found: Option<TenantId> = None;
        let (mut class, mut key, mut user) = (None, None, None);
        let mut rest = Cow::Borrowed(path);
        for source in &self.sources {
            let named = match source {
                Asked::Jwt { claim } => {
                    let owner = self.by_token(&head.headers, claim)?;
                    owner.map(|bearer| {
                        user = bearer.user;
                        bearer.tenant
                    })
                }
                Asked::ApiKey => self.keys.owner(&head.headers)?.map(|owner| {
                    class = Some(owner.class);
                    key = Some(owner.key);
                    owner.tenant
                }),
                Asked::Header(name) => self.by_header(&head.headers, name, peer)?,
                Asked::Host(pattern) => by_host(head, pattern)?,
                Asked::Path { prefix } => match by_path(path, prefix)? {
                    Some((tenant, after)) => {
                        rest = Cow::Owned(after);
                        Some(tenant)
                    }
                    None => None,
                },
            };
            match (&found, named) {
                (Some(first), Some(other)) if *first != other => {
                    return Err(Reason::IdentityConflict);
                }
                (None, Some(tenant)) => found = Some(tenant),
                _ => {}
            }
        }
        let tenant = found.ok_or(Reason::NoTenant)?;
        Ok(Identified {
            tenant,
            class,
            key,
            user,
            client: client::address(&self.identity, &head.headers, peer),
            path: rest,
        })
    }

    /// Whether headers from `peer` are believed.
    pub(crate) fn is_trusted(&self, peer: IpAddr) -> bool {
        self.identity.is_trusted(peer)
    }

    /// The headers that name a tenant; the service behind sees only what was decided here.
    pub(crate) fn tenant_headers(&self) -> &[HeaderName] {
        &self.tenant_headers
    }

    /// Whether API keys are ours to take, and so not the service's to see.
    pub(crate) fn takes_api_keys(&self) -> bool {
        self.sources
            .iter()
            .any(|source| matches!(source, Asked::ApiKey))
    }

    fn by_token(&self, headers: &HeaderMap, claim: &str) -> Result<Option<Bearer>, Reason> {
        let Some(tokens) = &self.tokens else {
            return Ok(None);
        };
        let Some(value) = only(headers, &header::AUTHORIZATION)? else {
            return Ok(None);
        };
        let text = value.to_str().map_err(|_| Reason::CredentialsInvalid)?;
        let (scheme, token) = text
            .split_once(|letter: char| letter.is_ascii_whitespace())
            .unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            tokens.owner(token.trim(), claim).map(Some)
        } else {
            Ok(None)
        }
    }

    fn by_header(
        &self,
        headers: &HeaderMap,
        name: &HeaderName,
        peer: IpAddr,
    ) -> Result<Option<TenantId>, Reason> {
        if !self.is_trusted(peer) {
            return Ok(None);
        }
        let mut values = headers.get_all(name).iter();
        let Some(first) = values.next() else {
            return Ok(None);
        };
        if values.any(|other| other != first) {
            return Err(Reason::IdentityConflict);
        }
        named(first.to_str().unwrap_or_default()).map(Some)
    }
}

/// The one value of a field that carries a credential. The service behind sees the field too, and
/// must not read another value than was checked here.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Reason> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Reason::CredentialsInvalid),
    }
}

/// A name that no tenant can have is nobody's.
fn named(text: &str) -> Result<TenantId, Reason> {
    text.parse().map_err(|_| Reason::UnknownTenant)
}

fn by_host(head: &Parts, pattern: &HostPattern) -> Result<Option<TenantId>, Reason> {
    let Some(host) = host_of(head) else {
        return Ok(None);
    };
    let host = host.to_ascii_lowercase();
    let label = host
        .strip_prefix(&pattern.prefix)
        .and_then(|rest| rest.strip_suffix(&pattern.suffix))
        .filter(|label| !label.is_empty() && !label.contains('.'));
    label.map(named).transpose()
}

/// The host that a request is for, without its port.
fn host_of(head: &Parts) -> Option<&str> {
    let authority = match head.uri.host() {
        Some(host) => return Some(host),
        None => head.headers.get(header::HOST)?.to_str().ok()?,
    };
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => Some(host),
        _ => Some(authority),
    }
}

fn by_path(path: &str, prefix: &str) -> Result<Option<(TenantId, String)>, Reason> {
    let Some(rest) = path.strip_prefix(prefix) else {
        return Ok(None);
    };
    let (tenant, after) = rest.split_once('/').unwrap_or((rest, ""));
    if tenant.is_empty() {
        return Ok(None);
    }
    Ok(Some((named(tenant)?, format!("/{after}"))))
}

#[cfg(test)]
mod tests;
