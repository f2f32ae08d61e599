//! Where in the document the thing stands that a plan's error names.

use watertight_base::{PoolId, ServiceId};
use watertight_guard::Error as Walls;
use watertight_plan::{Caller, Error};

use super::{
    compartments::Compartment, document::Document, findings::Finding, located::Located,
    located::Name, located::Span, nearest::did_you_mean, upstream,
};

/// The error at its place, with what to do; nothing when the place was reported before.
pub(super) fn finding(document: &Document, error: &Error) -> Option<Finding> {
    let span = match error {
        // Reported when the tenant or the limit was read.
        Error::TenantPlan { .. }
        | Error::LimitTwice { .. }
        | Error::LimitContradiction { .. }
        | Error::LimitService { .. }
        | Error::LimitStore { .. } => return None,
        _ => span_of(document, error).unwrap_or(0..0),
    };
    let finding = Finding::new(&span, error);
    Some(match error {
        Error::UnknownPlan { plan } => {
            let plans = document.plans.keys().map(|name| (**name).as_ref());
            finding
                .label("unknown plan")
                .help(did_you_mean(plan.as_str(), plans))
        }
        Error::UsesUnknownPool { pool, .. } => {
            let pools = document.pools.keys().map(|name| (**name).as_ref());
            finding
                .label("unknown pool")
                .help(did_you_mean(pool.as_str(), pools))
        }
        Error::Guard(walls) => of_walls(document, walls, finding),
        Error::DoorLoop { .. } => finding
            .label("the pool's own door")
            .help("name the address where the resource itself listens".to_owned()),
        Error::UsesWithoutCompartment { service, pool } => {
            let compartment = format!("name {service} in one of [pools.{pool}.compartments.NAME]");
            finding.help(compartment)
        }
        Error::CompartmentWithoutUse { service, pool } => {
            finding.help(format!("add \"{pool}\" to `uses` of [services.{service}]"))
        }
        Error::AddressTwice { first, second, .. } => finding.help(format!(
            "give one of the two, {first} or {second}, another port"
        )),
        Error::RouteTwice { first, second, .. } => finding.help(format!(
            "leave the route in one of the two, {first} or {second}; one of them may have a longer route, \
             as /a/b beside /a"
        )),
        Error::ServiceWithoutDoor { service, .. } => finding.help(format!(
            "add {service} to `binds` of its compartment: binds = {{ {service} = \"127.0.0.1:PORT\" }}"
        )),
        Error::DoorOfStranger {
            pool,
            caller: Caller::Service(service),
        } => {
            let seated = compartments(document, Some(pool)).flat_map(|(_, table)| &table.services);
            let help = did_you_mean(service.as_str(), seated.map(|service| service.as_str()));
            finding.label("no seat here").help(help)
        }
        Error::KeyTenant { tenant, .. } => finding.help(format!("add a table [tenants.{tenant}]")),
        Error::OwnPoolTwice { .. } | Error::PoolTwice { .. } => {
            finding.help("give the pool another name".to_owned())
        }
        _ => finding,
    })
}

/// Whether the error is one of a number that stands in for another, at another place than that one;
/// `stands_in` says so of the end of a path.
pub(super) fn follows(error: &Error, stands_in: impl Fn(&str) -> bool) -> bool {
    let Error::Guard(walls) = error else {
        return false;
    };
    match walls {
        Walls::CapAboveSeats { compartment, .. }
        | Walls::NothingButHeadRoom { compartment, .. } => {
            stands_in(&format!(".compartments.{compartment}.seats"))
        }
        _ => false,
    }
}

/// The same of what is wrong with walls.
fn of_walls(document: &Document, error: &Walls, finding: Finding) -> Finding {
    match error {
        Walls::UnknownService { service } => {
            let services = document.services.keys().map(|name| (**name).as_ref());
            let help = did_you_mean(service.as_str(), services);
            let help = help.unwrap_or_else(|| {
                format!("add a table [services.{service}], or leave it out here")
            });
            finding.label("unknown service").help(help)
        }
        Walls::CapAboveSeats { .. } | Walls::CapOfStranger { .. } => {
            of_cap(document, error, finding)
        }
        Walls::ServiceTwiceInPool { service, pool } => finding
            .label("seated before")
            .help(format!(
                "a service takes one seat of a pool: leave {service} in one compartment of {pool}, and \
                 out of the other"
            )),
        Walls::PoolOverbooked {
            seats,
            reserve,
            capacity,
            ..
        } => {
            let needed = seats + u64::from(*reserve);
            let over = needed.saturating_sub(u64::from(*capacity));
            let words = format!("{seats} + {reserve} = {needed}, {over} more than {capacity}");
            let parts = match reserve {
                0 => "`seats` of its compartments",
                _ => "`seats` of its compartments and `reserve`",
            };
            finding.label(words).help(format!(
                "raise `capacity` to {needed}, if the resource bears it, or lower {parts} by {over} in all"
            ))
        }
        Walls::AdaptiveBounds { least, .. } => finding.label(format!("{least} at least")).help(
            format!("raise `min` to {least}, one seat for each compartment beside the reserve"),
        ),
        Walls::NothingButHeadRoom { seats, .. } => {
            let most = seats.saturating_sub(1);
            finding.label(format!("at most {most}")).help(format!(
                "lower `head_room` to {most} or less, or leave it out: an eighth of the seats"
            ))
        }
        _ => finding,
    }
}

/// The same of what is wrong with a cap.
fn of_cap(document: &Document, error: &Walls, finding: Finding) -> Finding {
    match error {
        Walls::CapAboveSeats {
            service,
            compartment,
            cap,
            seats,
        } => finding.label(format!("at most {seats}")).help(format!(
            "lower the cap of {service} to {seats} or less, or raise `seats` of compartment {compartment} to {cap}"
        )),
        Walls::CapOfStranger {
            service,
            compartment,
        } => {
            let seated = compartments(document, None)
                .filter(|(name, _)| (***name).as_ref() == compartment.as_str())
                .flat_map(|(_, table)| &table.services);
            let help = did_you_mean(service.as_str(), seated.map(|service| service.as_str()));
            let help = help.unwrap_or_else(|| {
                format!(
                    "move the cap to the compartment that seats {service}, or add {service} to `services` \
                     of compartment {compartment}"
                )
            });
            finding.label("no seat here").help(help)
        }
        _ => finding,
    }
}

fn span_of(document: &Document, error: &Error) -> Option<Span> {
    match error {
        Error::UnknownPlan { .. } => document.identity.unknown.as_ref().map(place),
        Error::KeyTenant { key, .. } => {
            let (_, table) = find(&document.api_keys, key)?;
            Some(place(&table.tenant))
        }
        Error::RouteTwice {
            route,
            second: service,
            ..
        }
        | Error::Route { route, service } => {
            let (_, table) = find(&document.services, service.as_str())?;
            let mut routes = table.routes.iter().filter(|written| ***written == *route);
            routes.next_back().map(place)
        }
        Error::UsesUnknownPool { service, pool }
        | Error::UsesWithoutCompartment { service, pool } => {
            let (_, table) = find(&document.services, service.as_str())?;
            let mut uses = table.uses.iter();
            uses.find(|used| used.as_str() == pool.as_str()).map(place)
        }
        Error::CompartmentWithoutUse { service, pool } => seated(document, Some(pool), service),
        Error::AddressTwice { first, second, .. } => {
            bind(document, second).or_else(|| bind(document, first))
        }
        Error::Exposed { listener, .. } => bind(document, listener),
        Error::ServiceWithoutDoor { service, pool } => seated(document, Some(pool), service),
        Error::DoorLoop { pool, upstream, .. } => {
            let (_, table) = find(&document.pools, pool.as_str())?;
            let mut upstreams = table.upstreams.iter();
            let written = |text: &&Located<String>| {
                upstream::parse_address(text).is_ok_and(|address| address == *upstream)
            };
            upstreams.find(written).map(place)
        }
        Error::DoorOfStranger { pool, caller } => door(document, pool.as_str(), caller.name()),
        Error::PoolTwice { pool } => {
            find(&document.pools, pool.as_str()).map(|(name, _)| place(name))
        }
        Error::OwnPoolTwice { service } => {
            find(&document.pools, service.as_str()).map(|(name, _)| place(name))
        }
        Error::ServiceTwice { service } => {
            find(&document.services, service.as_str()).map(|(name, _)| place(name))
        }
        Error::Guard(walls) => walls_span(document, walls),
        _ => None,
    }
}

fn walls_span(document: &Document, error: &Walls) -> Option<Span> {
    match error {
        Walls::AdaptiveBounds { pool, .. } => {
            let (_, table) = find(&document.pools, pool.as_str())?;
            table.adaptive.as_ref().map(|adaptive| place(&adaptive.min))
        }
        Walls::NothingButHeadRoom {
            compartment,
            head_room,
            ..
        } => compartments(document, None)
            .filter(|(name, _)| (***name).as_ref() == compartment.as_str())
            .filter_map(|(_, table)| table.head_room.as_ref())
            .find(|written| ***written == *head_room)
            .map(place),
        Walls::CapAboveSeats {
            service,
            compartment,
            ..
        }
        | Walls::CapOfStranger {
            service,
            compartment,
        } => {
            let (_, cap) = compartments(document, None)
                .filter(|(name, _)| (***name).as_ref() == compartment.as_str())
                .find_map(|(_, table)| find(&table.caps, service.as_str()))?;
            Some(place(cap.number()))
        }
        Walls::DuplicateCompartment { pool, compartment } => compartments(document, Some(pool))
            .find(|(name, _)| (***name).as_ref() == compartment)
            .map(|(name, _)| place(name)),
        Walls::PoolOverbooked { pool, .. } => {
            let (_, table) = find(&document.pools, pool.as_str())?;
            table.capacity.as_ref().map(place)
        }
        Walls::ServiceTwiceInPool { service, pool } => seated(document, Some(pool), service),
        Walls::UnknownService { service } => seated(document, None, service),
        Walls::ServiceWithoutSeat { service } => {
            find(&document.services, service.as_str()).map(|(name, _)| place(name))
        }
        _ => None,
    }
}

/// The last place where a compartment (of `pool`) names `service`.
fn seated(document: &Document, pool: Option<&PoolId>, service: &ServiceId) -> Option<Span> {
    compartments(document, pool)
        .flat_map(|(_, table)| &table.services)
        .filter(|seated| seated.as_str() == service.as_str())
        .map(place)
        .max_by_key(|span| span.start)
}

fn compartments<'d>(
    document: &'d Document,
    pool: Option<&PoolId>,
) -> impl Iterator<Item = (&'d Located<Name>, &'d Compartment)> {
    document
        .pools
        .iter()
        .filter(move |(name, _)| pool.is_none_or(|pool| (***name).as_ref() == pool.as_str()))
        .flat_map(|(_, table)| &table.compartments)
}

/// The address of a door, which is called by its pool and its caller.
fn door(document: &Document, pool: &str, caller: &str) -> Option<Span> {
    let (_, table) = find(&document.pools, pool)?;
    let mut binds = table.compartments.values().flat_map(|part| &part.binds);
    let bind = binds.find(|(name, _)| (***name).as_ref() == caller);
    let operations = || {
        let bind = table.operations.as_ref();
        bind.filter(|_| caller == Caller::OPERATIONS)
    };
    bind.map(|(_, bind)| bind).or_else(operations).map(place)
}

fn bind(document: &Document, listener: &str) -> Option<Span> {
    if let Some((pool, caller)) = listener.split_once('/') {
        return door(document, pool, caller);
    }
    let mut named = document.listen.iter();
    let (name, table) = named.find(|(name, _)| name.as_str() == listener)?;
    Some(table.bind.as_ref().map_or_else(|| place(name), place))
}

fn find<'d, T>(
    named: &'d std::collections::BTreeMap<Located<Name>, T>,
    name: &str,
) -> Option<(&'d Located<Name>, &'d T)> {
    named.iter().find(|(given, _)| (***given).as_ref() == name)
}

fn place<T>(located: &Located<T>) -> Span {
    located.span().clone()
}
