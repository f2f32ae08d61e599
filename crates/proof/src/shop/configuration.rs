//! The configuration with which Watertight stands in front of the shop: with its walls, and without any.

use super::Addresses;
use super::database::CONNECTIONS;
use crate::{Service, Tenant, Walls};
use std::fmt::{self, Write};
use std::net::SocketAddr;

/// Seats and queue of the one compartment that is left when the walls are out: as good as endless.
const ENDLESS: u32 = 100_000;
/// Requests that may wait for each tenant where all share the seats there are.
const QUEUE: u32 = 128;

/// Where the front door of the shop listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The front door.
    pub traffic: SocketAddr,
    /// API, console and metrics.
    pub admin: SocketAddr,
    /// How many client connections it takes; none: as many as a front door takes by itself.
    pub connections: Option<Connections>,
}

/// Client connections that a front door takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// In all.
    pub all: u32,
    /// For each tenant; none: as many as there are.
    pub per_tenant: Option<u32>,
}

/// The Watertight configuration (TOML) for a shop at these addresses.
#[must_use]
pub fn configuration(addresses: &Addresses, walls: Walls, listen: Listen) -> String {
    Text {
        addresses,
        walls,
        listen,
    }
    .to_string()
}

struct Text<'a> {
    addresses: &'a Addresses,
    walls: Walls,
    listen: Listen,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[node]\nid = \"shop\"\n\n[log]\naccess = \"off\"\n")?;
        writeln!(f, "[listen.traffic]\nbind = \"{}\"", self.listen.traffic)?;
        if let Some(connections) = self.listen.connections {
            writeln!(f, "max_connections = {}", connections.all)?;
        }
        let admin = self.listen.admin;
        // It is nobody's shop: it may be drilled.
        writeln!(f, "\n[listen.admin]\nbind = \"{admin}\"\nfaults = true\n")?;
        writeln!(
            f,
            "[identity]\ntenant = [\"header:x-tenant-id\"]\nunknown = \"refuse\"\n"
        )?;
        let quota = self.listen.connections.and_then(|it| it.per_tenant);
        let quota = quota.map_or_else(String::new, |most| format!("max_connections = {most}\n"));
        writeln!(
            f,
            "[plans.vip]\nweight = 4\n{quota}\n[plans.standard]\nweight = 1\n{quota}"
        )?;
        for tenant in Tenant::ALL {
            writeln!(
                f,
                "[tenants.{}]\nplan = \"{}\"\n",
                tenant.name,
                tenant.plan()
            )?;
        }
        for service in Service::ALL {
            writeln!(f, "[services.{service}]\ntier = {}", service.tier())?;
            writeln!(f, "routes = {}", list(service.routes().iter().copied()))?;
            writeln!(f, "upstreams = [\"http://{}\"]", self.addresses.of(service))?;
            writeln!(f, "timeout = \"2s\"\nuses = [\"database\"]\n")?;
        }
        match self.walls {
            Walls::Up => compartments(f),
            Walls::Out => one_compartment(f, ENDLESS, ENDLESS),
            Walls::Shared => one_compartment(f, CONNECTIONS, QUEUE),
        }
    }
}

fn compartments(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use Service::{Checkout, Inventory, Login, Recommendations, Reporting};
    writeln!(
        f,
        "[pools.database]\ncapacity = {CONNECTIONS}\nreserve = 20\nalert = 70\n"
    )?;
    writeln!(f, "[pools.database.compartments.checkout]")?;
    writeln!(f, "services = {}\nseats = 30\n", names(&[Checkout, Login]))?;
    writeln!(f, "[pools.database.compartments.rest]")?;
    writeln!(
        f,
        "services = {}\nseats = 50",
        names(&[Inventory, Recommendations, Reporting])
    )?;
    writeln!(f, "caps = {{ {Recommendations} = 15, {Reporting} = 10 }}")
}

fn one_compartment(f: &mut fmt::Formatter<'_>, seats: u32, queue: u32) -> fmt::Result {
    writeln!(f, "[pools.database]\ncapacity = {seats}\nalert = 70\n")?;
    writeln!(f, "[pools.database.compartments.everything]")?;
    writeln!(f, "services = {}", names(&Service::ALL))?;
    writeln!(f, "seats = {seats}\nqueue = {queue}")
}

fn names(services: &[Service]) -> String {
    list(services.iter().map(|service| service.name()))
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from("[");
    for (place, item) in items.enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}\"{item}\"");
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(walls: Walls) -> String {
        let listen = Listen {
            traffic: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: SocketAddr::from(([127, 0, 0, 1], 7070)),
            connections: None,
        };
        let checkout = SocketAddr::from(([127, 0, 0, 1], 9001));
        configuration(
            &Addresses::free().with(Service::Checkout, checkout),
            walls,
            listen,
        )
    }

    #[test]
    fn walls_up_is_the_shop_with_two_compartments_and_two_caps() {
        let text = text(Walls::Up);
        let pools = text.split_once("[pools.database]").map(|(_, pools)| pools);
        let expected = "
capacity = 100
reserve = 20
alert = 70

[pools.database.compartments.checkout]
services = [\"checkout\", \"login\"]
seats = 30

[pools.database.compartments.rest]
services = [\"inventory\", \"recommendations\", \"reporting\"]
seats = 50
caps = { recommendations = 15, reporting = 10 }
";
        assert_eq!(pools, Some(expected));
        assert!(text.contains(
            "[services.checkout]
tier = 1
routes = [\"/checkout\", \"/cart\"]
upstreams = [\"http://127.0.0.1:9001\"]
timeout = \"2s\"
uses = [\"database\"]
"
        ));
    }

    #[test]
    fn walls_out_changes_the_pool_and_nothing_else() {
        let (up, out) = (text(Walls::Up), text(Walls::Out));
        let head = |text: &str| text.split_once("[pools.").map(|(head, _)| head.to_owned());
        assert_eq!(head(&up), head(&out));
        assert!(out.ends_with(
            "
capacity = 100000
alert = 70

[pools.database.compartments.everything]
services = [\"checkout\", \"login\", \"inventory\", \"recommendations\", \"reporting\"]
seats = 100000
queue = 100000
"
        ));
    }

    #[test]
    fn every_tenant_is_listed_with_its_plan() {
        let text = text(Walls::Up);
        assert!(text.contains("[tenants.globex]\nplan = \"vip\"\n"));
        assert!(text.contains("[tenants.noisy]\nplan = \"standard\"\n"));
        assert_eq!(text.matches("[tenants.").count(), Tenant::ALL.len());
    }
}
