//! A running node as a drill's stand: who may be asked for what is named on the command line, and bounded.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, bail, ensure};
use watertight_proof::{
    Class,
    drill::{Bounds, Cast, Role},
};

use super::{Arguments, stand::Stand};
use crate::{
    admin::view::{Config, Status},
    client::Client,
};

/// Ordinary requests per second to each service of tier 1, over all tenants.
const TIER_ONE_PER_S: f64 = 20.0;
/// The same for each other service.
const OTHERS_PER_S: f64 = 5.0;
/// The same over all services, at most.
const ORDINARY_MAX_PER_S: f64 = 200.0;

pub(super) async fn stand(arguments: &Arguments) -> anyhow::Result<(Stand, Cast)> {
    let Some(noisy) = arguments
        .noisy
        .clone()
        .filter(|_| !arguments.tenant.is_empty())
    else {
        bail!(
            "a drill on a node asks for what tenants ask for: name those that do it as usual (`--tenant NAME`, one or more) \
             and the one that storms (`--noisy NAME`)"
        );
    };
    ensure!(
        !arguments.tenant.contains(&noisy),
        "tenant {noisy} cannot storm and do what it usually does"
    );
    let client = arguments.node.client()?;
    allowed(arguments, client.host(), is_loopback(client.host()))?;
    let status: Status = client.get("/v1/status").await?;
    let traffic = match arguments.traffic {
        Some(address) => address,
        None => traffic(&status, &client)?,
    };
    let ip = traffic.ip();
    allowed(arguments, &ip.to_string(), ip.is_loopback())?;
    let config: Config = client.get("/v1/config").await?;
    let cast = Cast {
        roles: roles(arguments, &config)?,
        tenants: arguments
            .tenant
            .iter()
            .map(|tenant| (tenant.clone(), Class::Standard))
            .collect(),
        noisy,
        bounds: bounds(arguments, &config)?,
        is_shop: false,
    };
    Ok((Stand::new(client, traffic, "up", None).await?, cast))
}

fn allowed(arguments: &Arguments, host: &str, is_loopback: bool) -> anyhow::Result<()> {
    ensure!(
        is_loopback || arguments.beyond_loopback,
        "{host} is not this machine: if a drill there is meant, say `--beyond-loopback`"
    );
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Where the node takes cleartext traffic for all tiers.
fn traffic(status: &Status, client: &Client) -> anyhow::Result<SocketAddr> {
    let mut listeners = status.listeners.iter();
    let listener = listeners
        .find(|one| one.kind == "traffic" && one.tier.is_none() && !one.tls)
        .context("the node has no cleartext listener for all tiers: say which one with `--traffic ADDRESS`")?;
    let mut address: SocketAddr = listener.address.parse()?;
    if address.ip().is_unspecified() {
        let host = client.host().parse();
        let otherwise = IpAddr::from([127, 0, 0, 1]);
        address.set_ip(host.unwrap_or(otherwise));
        ensure!(
            host_is_known(client.host()),
            "the node listens on all its addresses: say which one with `--traffic ADDRESS`"
        );
    }
    Ok(address)
}

fn host_is_known(host: &str) -> bool {
    is_loopback(host) || host.parse::<IpAddr>().is_ok()
}

fn roles(arguments: &Arguments, config: &Config) -> anyhow::Result<Vec<Role>> {
    let services = config.plan.services.iter();
    let called =
        services.filter(|(_, calls)| !calls.upstreams.is_empty() && !calls.routes.is_empty());
    let tenants = (arguments.tenant.len() + 1) as f64;
    let mut roles: Vec<Role> = called
        .map(|(service, calls)| Role {
            service: service.clone(),
            tier: calls.tier,
            path: calls.routes[0].clone(),
            rate_per_s: match calls.tier {
                1 => TIER_ONE_PER_S / tenants,
                _ => OTHERS_PER_S / tenants,
            },
        })
        .collect();
    roles.sort_by_key(|role| role.tier);
    let all: f64 = roles.iter().map(|role| role.rate_per_s * tenants).sum();
    for role in &mut roles {
        role.rate_per_s *= (ORDINARY_MAX_PER_S / all).min(1.0);
    }
    for text in &arguments.path {
        let given = text
            .split_once('=')
            .filter(|(_, path)| path.starts_with('/'));
        let (service, path) =
            given.context("`--path` is SERVICE=PATH, and a path begins with /")?;
        let mut known = roles.iter_mut();
        let role = known.find(|role| role.service == service);
        let role =
            role.with_context(|| format!("`--path`: there is no service {service} with a route"))?;
        path.clone_into(&mut role.path);
    }
    Ok(roles)
}

fn bounds(arguments: &Arguments, config: &Config) -> anyhow::Result<Bounds> {
    let usual = Bounds::NODE;
    let storm_per_s = arguments.rate.unwrap_or(usual.storm_per_s);
    let rates = 1.0..=Bounds::STORM_MAX_PER_S;
    ensure!(
        rates.contains(&storm_per_s),
        "`--rate` is {storm_per_s}; it lies between 1 and {}",
        Bounds::STORM_MAX_PER_S
    );
    let bodies = config
        .plan
        .listeners
        .values()
        .map(|listener| listener.max_body_bytes);
    let body_max = usize::try_from(bodies.min().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    Ok(Bounds {
        storm_per_s,
        body_bytes: usual.body_bytes.min(body_max.max(1)),
        ..usual
    })
}
