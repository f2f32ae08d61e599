//! How services leave pools in which tiers meet without a wall, and come to the others as themselves.
//!
//! `uses` and `credentials` are one key each, whatever number of pools they name: of two snippets that
//! write one of them, the second would undo the first. So all that a service should say of its pools is
//! worked out at once, and each finding that asks for some of it shows all of it.

use std::collections::{BTreeMap, BTreeSet};

use watertight_base::PoolId;

use super::{
    Subject,
    snippet::{Snippet, inline, list, string},
};
use crate::map::{Kind, Map, Pool, Service};

/// The lines by which `tier` leaves all pools that nothing divides, and that it shares with lower ones.
pub(super) fn leave(subject: Subject<'_>, tier: u8) -> String {
    let moves = Moves::of(subject.map, tier);
    let mut snippet = Snippet::default();
    for own in moves.0.values() {
        snippet = snippet.table(&["pools", own]).set("kind", "\"declared\"");
    }
    let services = subject.map.services.iter();
    for service in services.filter(|service| service.tier == tier && moves.concern(service)) {
        let uses = service.uses.iter().map(|pool| moves.now(pool));
        snippet = snippet
            .table(&["services", &service.service])
            .set("uses", list(uses));
        let roles = roles(subject.map, service, &moves);
        if !roles.is_empty() {
            snippet = snippet.set("credentials", written(&roles));
        }
    }
    snippet.finish()
}

/// The lines by which a service of tier 1 comes to each of its pools as itself.
pub(super) fn as_itself(subject: Subject<'_>, service: &Service) -> String {
    let moves = Moves::of(subject.map, service.tier);
    if moves.concern(service) {
        return leave(subject, service.tier);
    }
    Snippet::default()
        .table(&["services", &service.service])
        .set("credentials", written(&roles(subject.map, service, &moves)))
        .finish()
}

/// Those of lower tiers who come to `pool` as the same as `service` of tier 1.
pub(super) fn lower_as<'m>(
    map: &'m Map,
    pool: &'m str,
    role: &'m str,
) -> impl Iterator<Item = &'m Service> {
    let lower = map.services.iter().filter(|other| other.tier > 1);
    lower.filter(move |other| other.credentials.get(pool).is_some_and(|it| it == role))
}

/// The pools that `service` of tier 1 shares with lower tiers.
pub(super) fn shared<'m>(map: &'m Map, service: &'m Service) -> impl Iterator<Item = &'m Pool> {
    map.pools.iter().filter(|pool| {
        let users = || pool.users.iter();
        users().any(|user| user.service == service.service) && users().any(|user| user.tier > 1)
    })
}

/// Pools that a tier leaves, each with the name of the one that it gets instead.
struct Moves<'m>(BTreeMap<&'m str, String>);

impl<'m> Moves<'m> {
    fn of(map: &'m Map, tier: u8) -> Self {
        let meets = |pool: &&Pool| {
            let tiers = || pool.users.iter().map(|user| user.tier);
            pool.kind == Kind::Declared
                && tiers().min() == Some(tier)
                && tiers().any(|other| other > tier)
        };
        // A pool may be called like no other pool, and like no service.
        let mut taken: BTreeSet<String> = map.pools.iter().map(|it| it.pool.clone()).collect();
        taken.extend(map.services.iter().map(|it| it.service.clone()));
        let mut moves = BTreeMap::new();
        for pool in map.pools.iter().filter(meets) {
            let own = free_name(&format!("-tier-{tier}"), &pool.pool, |name| {
                name.len() <= PoolId::MAX_LENGTH && !taken.contains(name)
            });
            taken.insert(own.clone());
            moves.insert(pool.pool.as_str(), own);
        }
        Self(moves)
    }

    fn concern(&self, service: &Service) -> bool {
        let mut uses = service.uses.iter();
        uses.any(|pool| self.0.contains_key(pool.as_str()))
    }

    /// What is to be used in place of `pool`.
    fn now<'p>(&'p self, pool: &'p str) -> &'p str {
        self.0.get(pool).map_or(pool, String::as_str)
    }
}

/// As whom `service` should come to its pools, when it has left some.
fn roles(map: &Map, service: &Service, moves: &Moves<'_>) -> BTreeMap<String, String> {
    let is_first = service.tier == 1;
    let own = |pool: &str| {
        free_name(&format!("-{pool}"), &service.service, |name| {
            name.len() <= ROLE_MAX && lower_as(map, pool, name).next().is_none()
        })
    };
    let said = service.credentials.iter().map(|(pool, role)| {
        let is_shared = is_first && lower_as(map, pool, role).next().is_some();
        let role = if is_shared { own(pool) } else { role.clone() };
        (moves.now(pool).to_owned(), role)
    });
    let mut roles: BTreeMap<String, String> = said.collect();
    let stays = |pool: &&Pool| !moves.0.contains_key(pool.pool.as_str());
    for pool in shared(map, service).filter(|pool| is_first && stays(pool)) {
        roles
            .entry(pool.pool.clone())
            .or_insert_with(|| own(&pool.pool));
    }
    roles
}

fn written(roles: &BTreeMap<String, String>) -> String {
    inline(
        roles
            .iter()
            .map(|(pool, role)| (pool.as_str(), string(role))),
    )
}

/// `stem` with `ending`, with a number where that is not free, and cut where it is too long.
fn free_name(ending: &str, stem: &str, is_free: impl Fn(&str) -> bool) -> String {
    let lengths = (1..=stem.len()).rev();
    let names = lengths.flat_map(|length| {
        let stem: String = stem.chars().take(length).collect();
        let numbered = (2..NUMBERS).map(|number| format!("-{number}"));
        let numbered = std::iter::once(String::new()).chain(numbered);
        numbered.map(move |number| format!("{stem}{ending}{number}"))
    });
    names
        .into_iter()
        .find(|name| is_free(name))
        .unwrap_or_default()
}

/// Names that are tried before one is cut.
const NUMBERS: u32 = 100;
/// The longest name of a role, in characters.
const ROLE_MAX: usize = 128;
