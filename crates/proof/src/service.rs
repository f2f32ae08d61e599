//! The five services of the shop: one fixed cast, so that every picture of it (listeners, routes, tiers, load) agrees.

use std::fmt;

/// A service of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Takes the money; tier 1.
    Checkout,
    /// Lets people in; tier 1.
    Login,
    /// Says what is in stock; tier 2.
    Inventory,
    /// Guesses what else one may like; tier 3.
    Recommendations,
    /// Adds up the past; tier 3.
    Reporting,
}

impl Service {
    /// All services, the most critical first.
    pub const ALL: [Self; 5] = [
        Self::Checkout,
        Self::Login,
        Self::Inventory,
        Self::Recommendations,
        Self::Reporting,
    ];

    /// The services that the noisy tenant floods.
    pub const FLOODED: [Self; 2] = [Self::Recommendations, Self::Reporting];

    /// The name in configurations and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Login => "login",
            Self::Inventory => "inventory",
            Self::Recommendations => "recommendations",
            Self::Reporting => "reporting",
        }
    }

    /// How critical the service is: 1 stops the business, 3 is missed by few.
    #[must_use]
    pub const fn tier(self) -> u8 {
        match self {
            Self::Checkout | Self::Login => 1,
            Self::Inventory => 2,
            Self::Recommendations | Self::Reporting => 3,
        }
    }

    /// The path prefixes of the service, on segment boundaries; the first is the one that the load uses.
    #[must_use]
    pub const fn routes(self) -> &'static [&'static str] {
        match self {
            Self::Checkout => &["/checkout", "/cart"],
            Self::Login => &["/login"],
            Self::Inventory => &["/inventory"],
            Self::Recommendations => &["/recommendations"],
            Self::Reporting => &["/reports"],
        }
    }

    /// Whether the path is one of this service: a route of it, or below one.
    #[must_use]
    pub fn serves(self, path: &str) -> bool {
        self.routes().iter().any(|route| {
            path.strip_prefix(route)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// The place in [`Service::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_stands_at_its_index() {
        for (place, service) in Service::ALL.into_iter().enumerate() {
            assert_eq!(service.index(), place);
        }
    }

    #[test]
    fn a_route_ends_on_a_segment() {
        assert!(Service::Checkout.serves("/cart"));
        assert!(Service::Checkout.serves("/checkout/7/pay"));
        assert!(!Service::Checkout.serves("/checkouts"));
        assert!(!Service::Login.serves("/checkout"));
    }

    #[test]
    fn no_path_belongs_to_two_services() {
        for route in Service::ALL.iter().flat_map(|service| service.routes()) {
            assert_eq!(
                Service::ALL
                    .iter()
                    .filter(|service| service.serves(route))
                    .count(),
                1
            );
        }
    }
}
