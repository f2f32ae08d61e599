//! The map, read out of a plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

use watertight_base::ServiceId;
use watertight_guard::pool::PoolSpec;
use watertight_plan::Plan;

use super::{Compartment, Kind, Map, Pool, Service, Upstream, User};

pub(super) fn map(plan: &Plan) -> Map {
    let requests = plan.layout().pools().iter().map(|spec| {
        let is_own = spec.compartments.iter().all(|part| {
            let mut services = part.services.iter();
            services.all(|id| !uses(plan, id.as_str(), spec.id.as_str()))
        });
        let kind = if is_own { Kind::Own } else { Kind::Requests };
        pool(plan, spec, kind)
    });
    let tcp = plan.tcp_pools().values();
    let tcp = tcp.map(|(tcp, _)| pool(plan, &tcp.spec, Kind::Tcp));
    let declared = plan.declared_pools().iter();
    let declared = declared.map(|id| Pool {
        pool: id.to_string(),
        kind: Kind::Declared,
        capacity: 0,
        adaptive_min: None,
        reserve: 0,
        unassigned: 0,
        alert_percent: 0.0,
        compartments: Vec::new(),
        users: users_of(plan, id.as_str()),
    });
    Map {
        digest: String::new(),
        services: plan.services().values().map(|it| service(it)).collect(),
        pools: requests.chain(tcp).chain(declared).collect(),
        upstreams: upstreams(plan),
        live_s: None,
    }
}

fn uses(plan: &Plan, service: &str, pool: &str) -> bool {
    let service = plan.services().get(service);
    service.is_some_and(|service| service.uses.iter().any(|used| used.as_str() == pool))
}

fn users_of(plan: &Plan, pool: &str) -> Vec<User> {
    let services = plan.services().keys();
    services
        .filter(|id| uses(plan, id.as_str(), pool))
        .map(|id| user(plan, id, None))
        .collect()
}

fn user(plan: &Plan, id: &ServiceId, cap: Option<u32>) -> User {
    User {
        service: id.to_string(),
        tier: plan.services().get(id).map_or(3, |it| it.tier.number()),
        cap,
    }
}

fn service(service: &watertight_plan::Service) -> Service {
    let declared = &service.declared;
    let credentials = declared.credentials.iter();
    Service {
        service: service.id.to_string(),
        tier: service.tier.number(),
        uses: service.uses.iter().map(ToString::to_string).collect(),
        upstreams: service.upstreams.iter().map(ToString::to_string).collect(),
        upstream_connections: service.upstream_connections,
        dedicated: declared.dedicated.clone(),
        credentials: credentials
            .map(|(pool, credential)| (pool.to_string(), credential.clone()))
            .collect(),
        cpu_millicores: declared.cpu_millicores,
        memory_bytes: declared.memory_bytes,
    }
}

fn pool(plan: &Plan, spec: &PoolSpec, kind: Kind) -> Pool {
    let tier = |services: &[ServiceId]| {
        let tiers = services.iter().filter_map(|id| plan.services().get(id));
        tiers.map(|service| service.tier).min()
    };
    let compartments: Vec<Compartment> = spec
        .compartments
        .iter()
        .map(|part| {
            let own = tier(&part.services);
            let borrowers = spec.compartments.iter().filter(|other| {
                let pair = own.zip(tier(&other.services));
                other.id != part.id
                    && kind != Kind::Tcp
                    && pair.is_some_and(|(own, other)| part.lend.allows(own, other))
            });
            let cap = |id: &ServiceId| {
                let mut caps = part.caps.iter();
                caps.find(|(service, _)| service == id)
                    .map(|(_, cap)| cap.get())
            };
            Compartment {
                compartment: part.id.to_string(),
                tier: own.map_or(3, |tier| tier.number()),
                seats: part.seats.get(),
                head_room: part.head_room,
                lends_to: borrowers.map(|other| other.id.to_string()).collect(),
                borrow_max_ms: u64::try_from(part.borrow_max.as_millis()).unwrap_or(u64::MAX),
                services: part
                    .services
                    .iter()
                    .map(|id| user(plan, id, cap(id)))
                    .collect(),
                live: None,
            }
        })
        .collect();
    let seats: u32 = compartments.iter().map(|part| part.seats).sum();
    let mut users: Vec<User> = compartments
        .iter()
        .flat_map(|part| part.services.clone())
        .collect();
    users.sort_by(|a, b| a.service.cmp(&b.service));
    Pool {
        pool: spec.id.to_string(),
        kind,
        capacity: spec.capacity.get(),
        adaptive_min: spec.adaptive.map(|adaptive| adaptive.min),
        reserve: spec.reserve,
        unassigned: spec.capacity.get().saturating_sub(seats + spec.reserve),
        alert_percent: plan.alert_of(&spec.id).get(),
        compartments,
        users,
    }
}

/// Addresses of upstreams that more than one service calls, however they write it.
fn upstreams(plan: &Plan) -> Vec<Upstream> {
    let mut callers: BTreeMap<_, (String, BTreeSet<&ServiceId>)> = BTreeMap::new();
    for (id, service) in plan.services() {
        for upstream in &service.upstreams {
            let place = (machine(&upstream.host), upstream.port);
            let written = || (upstream.authority(), BTreeSet::new());
            let (_, callers) = callers.entry(place).or_insert_with(written);
            callers.insert(id);
        }
    }
    let shared = callers
        .into_values()
        .filter(|(_, callers)| callers.len() > 1);
    shared
        .map(|(address, callers)| Upstream {
            address,
            users: callers.into_iter().map(|id| user(plan, id, None)).collect(),
        })
        .collect()
}

/// A host in the one way of many in which it can be written. A name may lead to where another does,
/// which only a resolver knows; `localhost` is the one that everybody does.
fn machine(host: &str) -> String {
    let address = match host {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        host => host.parse::<IpAddr>(),
    };
    match address.map(|address| address.to_canonical()) {
        Ok(address) if address == Ipv6Addr::LOCALHOST => "127.0.0.1".to_owned(),
        Ok(address) => address.to_string(),
        Err(_) => host.trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_one_however_it_is_written() {
        for host in [
            "localhost",
            "127.0.0.1",
            "::1",
            "0:0::1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(machine(host), "127.0.0.1", "{host}");
        }
        assert_eq!(machine("2001:db8:0::1"), machine("2001:0db8::0001"));
        assert_eq!(machine("app.internal."), machine("app.internal"));
        assert_ne!(machine("127.0.0.2"), machine("127.0.0.1"));
    }
}
