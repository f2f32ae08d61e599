//! Metrics of pools of connections.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::{Labels, counters, gauges, state_number};
use crate::tcp::{DoorView, TcpUpstreamView, TcpView};

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, pools: &[TcpView]) -> fmt::Result {
    encode_doors(encoder, pools)?;
    encode_upstreams(encoder, pools)
}

fn encode_doors(encoder: &mut DescriptorEncoder<'_>, pools: &[TcpView]) -> fmt::Result {
    let doors = || {
        let doors = pools
            .iter()
            .flat_map(|pool| pool.doors.iter().map(move |door| (pool, door)));
        doors.map(|(pool, door)| (labels(pool, door), door))
    };
    gauges(
        encoder,
        "watertight_tcp_connections",
        "Connections of a pool of kind tcp that are joined to an upstream, by whose they are",
        doors().map(|(labels, door)| (labels, i64::try_from(door.open).unwrap_or(i64::MAX))),
    )?;
    counters(
        encoder,
        "watertight_tcp_connections_accepted",
        "Connections that came to a pool of kind tcp",
        doors().map(|(labels, door)| (labels, door.accepted as f64)),
    )?;
    let refused = doors().flat_map(|(labels, door)| {
        door.refused.iter().map(move |(reason, number)| {
            let mut labels = labels.clone();
            labels.push(("reason", reason.label().to_owned()));
            (labels, *number as f64)
        })
    });
    counters(
        encoder,
        "watertight_tcp_connections_refused",
        "Connections to a pool of kind tcp that were refused, by reason",
        refused,
    )?;
    counters(
        encoder,
        "watertight_tcp_connections_unconnected",
        "Connections to a pool of kind tcp for which no upstream could be had",
        doors().map(|(labels, door)| (labels, door.unconnected as f64)),
    )?;
    counters(
        encoder,
        "watertight_tcp_connections_expired",
        "Connections of a pool of kind tcp that were closed because they were silent or old",
        doors().map(|(labels, door)| (labels, door.expired as f64)),
    )?;
    let bytes = doors().flat_map(|(labels, door)| {
        [("up", door.bytes_up), ("down", door.bytes_down)].map(|(direction, number)| {
            let mut labels = labels.clone();
            labels.push(("direction", direction.to_owned()));
            (labels, number as f64)
        })
    });
    counters(
        encoder,
        "watertight_tcp_bytes",
        "Bytes carried by a pool of kind tcp, up to the upstream and down from it",
        bytes,
    )
}

fn encode_upstreams(encoder: &mut DescriptorEncoder<'_>, pools: &[TcpView]) -> fmt::Result {
    let upstreams = || {
        pools.iter().flat_map(|pool| {
            pool.upstreams.iter().map(move |upstream| {
                let labels: Labels = vec![
                    ("pool", pool.pool.to_string()),
                    ("upstream", upstream.address.clone()),
                ];
                (labels, upstream)
            })
        })
    };
    let number = |read: fn(&TcpUpstreamView) -> u64| {
        upstreams().map(move |(labels, upstream)| (labels, read(upstream) as f64))
    };
    gauges(
        encoder,
        "watertight_tcp_upstream_breaker_state",
        "What the breaker of an upstream of a pool of kind tcp is doing: 0 closed, 1 half-open (also when its open time is over and nobody called since), 2 open",
        upstreams().map(|(labels, upstream)| (labels, state_number(upstream.breaker.state))),
    )?;
    counters(
        encoder,
        "watertight_tcp_upstream_connects",
        "Connections that a pool of kind tcp tried to open to an upstream",
        number(|upstream| upstream.connects),
    )?;
    counters(
        encoder,
        "watertight_tcp_upstream_failures",
        "Connections that a pool of kind tcp tried to open and that were not made",
        number(|upstream| upstream.failures),
    )
}

fn labels(pool: &TcpView, door: &DoorView) -> Labels {
    vec![
        ("pool", pool.pool.to_string()),
        ("compartment", door.compartment.to_string()),
        ("service", door.caller.name().to_owned()),
    ]
}
