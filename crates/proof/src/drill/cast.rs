//! Who takes part in a drill: the services, the tenants, and how much may be asked of them.

use crate::{Class, Service, Tenant, scenario};
use serde::{Deserialize, Serialize};

/// A service, as a drill calls it.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Its name.
    pub service: String,
    /// How critical it is, 1 to 3.
    pub tier: u8,
    /// The path that is asked for.
    pub path: String,
    /// Requests per second that each ordinary tenant sends to it.
    pub rate_per_s: f64,
}

/// How much a drill may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Requests per second that the storm sends at most, over all services.
    pub storm_per_s: f64,
    /// Connections that are hoarded at most.
    pub hoard: u32,
    /// Bytes of a large body.
    pub body_bytes: usize,
}

impl Bounds {
    /// The highest rate of a storm, per second.
    pub const STORM_MAX_PER_S: f64 = 2_000.0;
    /// The most connections that are hoarded.
    pub const HOARD_MAX: u32 = 4_000;

    /// What the shop can be asked for.
    pub const SHOP: Self = Self {
        storm_per_s: 1_600.0,
        hoard: 1_500,
        body_bytes: 256 * 1024,
    };
    /// What a running node is asked for unless somebody says otherwise.
    pub const NODE: Self = Self {
        storm_per_s: 200.0,
        hoard: 500,
        body_bytes: 256 * 1024,
    };
}

/// Who takes part.
#[derive(Debug, Clone, PartialEq)]
pub struct Cast {
    /// The services, the most critical first.
    pub roles: Vec<Role>,
    /// The ordinary tenants.
    pub tenants: Vec<(String, Class)>,
    /// The one that storms.
    pub noisy: String,
    /// How much may be asked for.
    pub bounds: Bounds,
    /// Whether all of it is the shop, which is nobody's business: what it answers is known, and floods alone saturate it.
    pub is_shop: bool,
}

impl Cast {
    /// The shop and its tenants on an ordinary day.
    #[must_use]
    pub fn shop() -> Self {
        let role = |service: Service| Role {
            service: service.name().to_owned(),
            tier: service.tier(),
            path: service.routes()[0].to_owned(),
            rate_per_s: scenario::share_per_s(service),
        };
        let ordinary = Tenant::ALL.into_iter().filter(|it| it.class.is_victim());
        Self {
            roles: Service::ALL.map(role).to_vec(),
            tenants: ordinary.map(|it| (it.name.to_owned(), it.class)).collect(),
            noisy: "noisy".to_owned(),
            bounds: Bounds::SHOP,
            is_shop: true,
        }
    }

    /// The services of a tier.
    pub(super) fn of_tier(&self, tier: u8) -> Vec<&Role> {
        let roles = self.roles.iter();
        roles.filter(|role| role.tier == tier).collect()
    }

    /// The least critical services.
    pub(super) fn least(&self) -> Vec<&Role> {
        let lowest = self.roles.iter().map(|role| role.tier).max();
        lowest.map_or_else(Vec::new, |tier| self.of_tier(tier))
    }
}
