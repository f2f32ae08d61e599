//! How a request's tenant is found, and who is believed.
//!
//! Sources are asked in their order and the first that names a tenant wins; a later one that names
//! another is a conflict. `jwt` and `api-key` are proof. `host` and `path` are public attribution.
//! `header` is hearsay: it counts only from [`Identity::trusted`] peers, and is stripped otherwise.

use ipnet::IpNet;
use watertight_base::{PlanId, TenantId};
use watertight_guard::pool::Class;

use crate::Secret;

/// How tenants are identified.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Where to look, in order.
    pub sources: Vec<Source>,
    /// Peers whose tenant and forwarding headers count.
    pub trusted: Vec<IpNet>,
    /// What becomes of tenants that nobody listed.
    pub unknown: Unknown,
    /// Lanes that unlisted tenants share. Each has limits and queues of its own; a tenant always
    /// falls on the same one. Default 1,024.
    pub unlisted_lanes: usize,
    /// The API keys.
    pub api_keys: Vec<ApiKey>,
    /// How JSON Web Tokens are checked; needed by [`Source::Jwt`].
    pub jwt: Option<Jwt>,
}

impl Identity {
    /// Default of [`Identity::unlisted_lanes`].
    pub const UNLISTED_LANES_DEFAULT: usize = 1_024;

    /// Whether headers from `peer` are believed.
    pub fn is_trusted(&self, peer: std::net::IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|network| network.contains(&peer))
    }
}

impl Default for Identity {
    /// Asks the header `x-tenant-id`, trusts loopback, refuses unlisted tenants.
    fn default() -> Self {
        let loopback = [
            IpNet::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0).into(), 8),
            IpNet::new_assert(std::net::Ipv6Addr::LOCALHOST.into(), 128),
        ];
        Self {
            sources: vec![Source::Header {
                name: "x-tenant-id".to_owned(),
            }],
            trusted: loopback.to_vec(),
            unknown: Unknown::Refuse,
            unlisted_lanes: Self::UNLISTED_LANES_DEFAULT,
            api_keys: Vec::new(),
            jwt: None,
        }
    }
}

/// Where a tenant's name may stand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// `jwt:CLAIM`: a claim of the bearer token.
    Jwt {
        /// The claim's name.
        claim: String,
    },
    /// `api-key`: the tenant whom the key in `x-api-key` was given to.
    ApiKey,
    /// `header:NAME`: a request header, from trusted peers.
    Header {
        /// The header's name, in lower case.
        name: String,
    },
    /// `host:{tenant}.shop.example`: a label of the host.
    Host(HostPattern),
    /// `path:/t/{tenant}/`: the segment after a prefix. The prefix and the tenant are cut off
    /// before the path is routed and forwarded.
    Path {
        /// What stands before the tenant, with both slashes: `/t/`.
        prefix: String,
    },
}

/// A host name with the tenant in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostPattern {
    /// What stands before the tenant, in lower case; often empty.
    pub prefix: String,
    /// What stands after it, in lower case: `.shop.example`.
    pub suffix: String,
}

/// What becomes of tenants that nobody listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unknown {
    /// They are refused (403).
    Refuse,
    /// They are on this plan.
    Plan(PlanId),
}

/// A key that proves who calls.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// Its name in the configuration, for logs.
    pub name: String,
    /// The key itself. Several: any of them, so that keys can be rotated.
    pub keys: Vec<Secret>,
    /// Whom it is for.
    pub tenant: TenantId,
    /// The class of its requests.
    pub class: Class,
}

/// How JSON Web Tokens (RFC 7519) are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Jwt {
    /// A JWK set (RFC 7517), PEM public keys, or an HMAC secret.
    pub keys: Secret,
    /// The `iss` to demand.
    pub issuer: Option<String>,
    /// The `aud` to demand.
    pub audience: Option<String>,
}
