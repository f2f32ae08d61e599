//! Where the services of a shop listen: one address each, always all five.

use crate::Service;
use std::net::{Ipv4Addr, SocketAddr};

/// One socket address per service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses([SocketAddr; Service::ALL.len()]);

impl Addresses {
    /// Free ports of 127.0.0.1, as a wish to [`Shop::start_on`](super::Shop::start_on).
    #[must_use]
    pub fn free() -> Self {
        Self([SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); Service::ALL.len()])
    }

    /// The same addresses, but for one service.
    #[must_use]
    pub fn with(mut self, service: Service, address: SocketAddr) -> Self {
        self.0[service.index()] = address;
        self
    }

    /// The address of the service.
    #[must_use]
    pub const fn of(&self, service: Service) -> SocketAddr {
        self.0[service.index()]
    }

    /// One address per service from a function that may fail.
    pub(super) fn each<E>(
        mut address: impl FnMut(Service) -> Result<SocketAddr, E>,
    ) -> Result<Self, E> {
        let mut all = Self::free();
        for service in Service::ALL {
            all = all.with(service, address(service)?);
        }
        Ok(all)
    }
}
