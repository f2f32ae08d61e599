//! The shop as a drill's stand: a real node before it, on free ports, with its walls up or taken out.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::Context;
use watertight_plan::Listener;
use watertight_proof::{
    Shop, Walls,
    drill::Name,
    shop::{Connections, Listen, configuration},
};

use super::{
    Arguments,
    stand::{Own, Stand},
};
use crate::{
    admin::Admin,
    client::{Access, Client},
    config,
    node::Node,
};

/// Client connections that the shop's front door takes at most, where they are what is drilled.
const CONNECTIONS: u32 = 1_000;
/// Those that a tenant may have of them, walls up.
const CONNECTIONS_PER_TENANT: u32 = 100;

pub(super) async fn stand(arguments: &Arguments) -> anyhow::Result<Stand> {
    let shop = Shop::start()?;
    // Port 0 takes a free one.
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (walls, says) = match (arguments.without_walls, arguments.scenario) {
        (false, _) => (Walls::Up, "up"),
        (true, name) if name.is_of_faults() => (
            Walls::Shared,
            "out: one pool of as many seats as the database has connections, for all",
        ),
        (true, _) => (Walls::Out, "out: one pool for all, as good as endless"),
    };
    let connections = Connections {
        all: CONNECTIONS,
        per_tenant: (walls == Walls::Up).then_some(CONNECTIONS_PER_TENANT),
    };
    let hoards = arguments.scenario == Name::ConnectionHoarding;
    let listen = Listen {
        traffic: any,
        admin: any,
        connections: hoards.then_some(connections),
    };
    let text = configuration(shop.addresses(), walls, listen);
    let plan = config::parse("shop.toml", &text, Path::new("."), &|_| None)?.plan;
    let node = Node::start(plan, Vec::new(), None)?;
    let admin = Admin::open(&node)?;
    let traffic = node.gateway().address("traffic");
    let traffic = traffic.context("the front door is not open")?;
    let plan = node.plan();
    let mut addresses = plan
        .listeners()
        .iter()
        .filter_map(|listener: &Listener| admin.address(listener));
    let address = addresses.next().context("the admin listener is not open")?;
    let client = Client::new(&Access {
        node: Some(format!("http://{address}")),
        ..Access::default()
    })?;
    let own = Own {
        shop,
        _admin: admin,
        _node: node,
    };
    Ok(Stand::new(client, traffic, says, Some(own)).await?)
}
