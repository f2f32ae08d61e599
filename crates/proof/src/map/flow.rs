//! "What shares a pool with checkout?": one service, everything that it shares, the riskiest first.
//!
//! **Risk** is the share of what the flow may need that others can take from it, in percent: all of it where
//! there is no wall. Behind one the flow may need the seats of its compartment, up to its own cap; others
//! take what the rest of the compartment leaves too little of, when those who sit there hold all that
//! they may, and borrowers all that is lent, for as long as a loan may stay away. Through a wall that does
//! not lend, nothing. Beside equals, the one with the least critical neighbour comes first. It says
//! where to look first, not how likely it is.

use serde::{Deserialize, Serialize};

use super::{Compartment, Map, Pool, User, thousandths};

/// What one service shares.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Flow {
    /// The service.
    pub flow: String,
    /// How much it matters.
    pub tier: u8,
    /// What it uses, the riskiest first.
    pub resources: Vec<Resource>,
}

/// Something that it uses.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Resource {
    /// Its name: a pool, an address, or a credential.
    pub resource: String,
    /// How it is shared.
    pub sharing: Sharing,
    /// The share of it that others can take from the flow, in percent, to a thousandth.
    pub risk_percent: f64,
    /// Seats that the flow may use, where there are any.
    pub seats: Option<u32>,
    /// Everybody else who uses it, the least critical first.
    pub others: Vec<Other>,
    /// How to separate it; none where that is done.
    pub separation: Option<Separation>,
}

/// How something is shared.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// With others, without a wall.
    NoWall,
    /// In one compartment with others.
    OneCompartment,
    /// Behind a wall of its own that lends.
    LendingWall,
    /// Behind a wall of its own.
    OwnWall,
    /// The resource is the flow's alone.
    Alone,
}

/// Another service that uses the same.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Other {
    /// The service.
    pub service: String,
    /// How much it matters.
    pub tier: u8,
    /// The most seats that it can take of those that the flow may use.
    pub takes: Option<u32>,
}

/// What separating costs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Separation {
    /// What to do.
    pub says: String,
    /// How much effort that is.
    pub effort: Effort,
    /// What it takes away from whom.
    pub cost: String,
}

/// How much effort a separation is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effort {
    /// A few lines and a reload: minutes.
    Reload,
    /// Callers get another address or name, and are restarted: hours.
    Restart,
    /// Something new is to be run: days.
    Deployment,
}

impl Flow {
    /// What `service` shares; none if there is no such service.
    #[must_use]
    pub fn of(map: &Map, service: &str) -> Option<Self> {
        let flow = map.service(service)?;
        let pools = map.pools.iter().filter_map(|pool| of_pool(pool, service));
        let mine = |users: &[User]| users.iter().any(|user| user.service == service);
        let upstreams = map.upstreams.iter().filter(|it| mine(&it.users));
        let upstreams =
            upstreams.map(|upstream| of_upstream(map, &upstream.address, &upstream.users, service));
        let credentials = flow.credentials.iter();
        let credentials =
            credentials.filter_map(|(pool, name)| of_credential(map, pool, name, service));
        let mut resources: Vec<Resource> = pools.chain(upstreams).chain(credentials).collect();
        let order = |it: &Resource| it.others.first().map(|other| std::cmp::Reverse(other.tier));
        resources.sort_by(|a, b| {
            let by_risk = b.risk_percent.total_cmp(&a.risk_percent);
            let by_neighbour = order(a).is_none().cmp(&order(b).is_none());
            let by_tier = order(a).cmp(&order(b));
            by_risk
                .then(by_neighbour)
                .then(by_tier)
                .then_with(|| a.resource.cmp(&b.resource))
        });
        Some(Self {
            flow: flow.service.clone(),
            tier: flow.tier,
            resources,
        })
    }

    /// What to separate first: the riskiest that is not separated yet.
    #[must_use]
    pub fn first(&self) -> Option<&Resource> {
        let mut open = self.resources.iter();
        open.find(|resource| resource.separation.is_some())
    }

    /// The answer as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}, tier {}, uses, the riskiest first:\n",
            self.flow, self.tier
        );
        for (at, it) in self.resources.iter().enumerate() {
            let seats = it
                .seats
                .map_or(String::new(), |seats| format!(", {seats} seats"));
            let (number, risk) = (at + 1, it.risk_percent);
            let (name, how) = (&it.resource, it.sharing.label());
            text.push_str(&format!(
                "\n{number}. {name}: {how}{seats}, risk {risk} %\n"
            ));
            for other in &it.others {
                let takes = match other.takes {
                    Some(0) => ", takes none of these".to_owned(),
                    Some(takes) => format!(", can take {takes}"),
                    None => String::new(),
                };
                text.push_str(&format!(
                    "   {} (tier {}){takes}\n",
                    other.service, other.tier
                ));
            }
            if let Some(how) = &it.separation {
                let effort = how.effort.label();
                text.push_str(&format!("   to separate: {}\n", how.says));
                text.push_str(&format!("   effort: {effort}; cost: {}\n", how.cost));
            }
        }
        match self.first() {
            Some(first) => text.push_str(&format!("\nseparate first: {}\n", first.resource)),
            None => text.push_str("\nnothing is left to separate\n"),
        }
        text
    }
}

impl Sharing {
    /// The words for it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoWall => "shared without a wall",
            Self::OneCompartment => "in one compartment with others",
            Self::LendingWall => "behind a wall of its own, which lends",
            Self::OwnWall => "behind a wall of its own",
            Self::Alone => "nobody else uses it",
        }
    }
}

impl Effort {
    /// The words for it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reload => "a few lines and a reload",
            Self::Restart => "other addresses or names for those who call it, and their restart",
            Self::Deployment => "something new to run",
        }
    }
}

fn of_pool(pool: &Pool, flow: &str) -> Option<Resource> {
    if pool.users.iter().all(|user| user.service != flow) {
        return None;
    }
    let Some(part) = pool.compartment_of(flow) else {
        let others = others(&pool.users, flow, |_| None);
        let is_alone = others.is_empty();
        let separation = (!is_alone).then(|| Separation {
            says: format!(
                "put walls into {}: kind = \"tcp\" with a compartment for {flow}, or give {flow} one of its own",
                pool.pool
            ),
            effort: Effort::Restart,
            cost: "the seats that the walls keep for it, idle at times".to_owned(),
        });
        return Some(Resource {
            resource: pool.pool.clone(),
            sharing: if is_alone {
                Sharing::Alone
            } else {
                Sharing::NoWall
            },
            risk_percent: if is_alone { 0.0 } else { 100.0 },
            seats: None,
            others,
            separation,
        });
    };
    Some(behind_wall(pool, part, flow))
}

fn behind_wall(pool: &Pool, part: &Compartment, flow: &str) -> Resource {
    let lent = match part.lends_to.is_empty() {
        true => 0,
        false => part.seats.saturating_sub(part.head_room),
    };
    let own = part.services.iter().find(|user| user.service == flow);
    let needed = own.map_or(part.seats, |user| part.most(user));
    // What is missing to the flow when others hold so many.
    let missing = |held: u32| needed - part.seats.saturating_sub(held).min(needed);
    let others = others(&pool.users, flow, |user| {
        let here = part.services.iter().find(|it| it.service == user.service);
        let borrows = || {
            let of = pool.compartment_of(&user.service);
            of.is_some_and(|of| part.lends_to.contains(&of.compartment))
        };
        Some(missing(match here {
            Some(here) => part.most(here),
            None if borrows() => lent,
            None => 0,
        }))
    });
    let inside = part.services.iter().filter(|user| user.service != flow);
    let held = inside.fold(0_u32, |held, user| held.saturating_add(part.most(user)));
    let taken = missing(held.saturating_add(lent));
    let sharing = match (held, lent, others.is_empty()) {
        (1.., _, _) => Sharing::OneCompartment,
        (0, 1.., _) => Sharing::LendingWall,
        (0, 0, true) => Sharing::Alone,
        (0, 0, false) => Sharing::OwnWall,
    };
    let separation = match sharing {
        Sharing::OneCompartment => Some(Separation {
            says: format!(
                "take {flow} out of {} into a compartment of its own in {}",
                part.compartment, pool.pool
            ),
            effort: Effort::Reload,
            cost: format!(
                "its share of the {} seats there, which the others lose",
                part.seats
            ),
        }),
        Sharing::LendingWall => Some(Separation {
            says: format!("lend = false in {} of {}", part.compartment, pool.pool),
            effort: Effort::Reload,
            cost: format!("{lent} seats that others may no longer borrow while they are idle"),
        }),
        Sharing::NoWall | Sharing::OwnWall | Sharing::Alone => None,
    };
    Resource {
        resource: pool.pool.clone(),
        sharing,
        risk_percent: thousandths(f64::from(taken) * 100.0 / f64::from(needed.max(1))),
        seats: Some(needed),
        others,
        separation,
    }
}

/// An address that several services call. Where both sit in compartments of one pool, apart, the walls
/// bound what each sends there; where they do not, nothing does.
fn of_upstream(map: &Map, address: &str, users: &[User], flow: &str) -> Resource {
    let others = others(users, flow, |_| None);
    let is_walled = others
        .iter()
        .all(|other| walls_between(map, flow, &other.service));
    let separation = Separation {
        says: format!("run {flow} by itself, at an address of its own"),
        effort: Effort::Deployment,
        cost: "another instance".to_owned(),
    };
    Resource {
        resource: format!("upstream {address}"),
        sharing: if is_walled {
            Sharing::OwnWall
        } else {
            Sharing::NoWall
        },
        risk_percent: if is_walled { 0.0 } else { 100.0 },
        seats: None,
        others,
        separation: (!is_walled).then_some(separation),
    }
}

/// Whether a pool that both use has them in two compartments.
pub(crate) fn walls_between(map: &Map, one: &str, other: &str) -> bool {
    map.pools.iter().any(|pool| {
        let parts = pool.compartment_of(one).zip(pool.compartment_of(other));
        parts.is_some_and(|(one, other)| one.compartment != other.compartment)
    })
}

/// A role or user with which several services come. Whatever is granted, limited or locked there, is so
/// for all of them; seats it has none, so a wall is not what is missing.
fn of_credential(map: &Map, pool: &str, name: &str, flow: &str) -> Option<Resource> {
    let services = map.services.iter();
    let users: Vec<User> = services
        .filter(|service| service.credentials.get(pool).is_some_and(|it| it == name))
        .map(|service| User {
            service: service.service.clone(),
            tier: service.tier,
            cap: None,
        })
        .collect();
    let others = others(&users, flow, |_| None);
    if others.is_empty() {
        return None;
    }
    Some(Resource {
        resource: format!("credential {name} of {pool}"),
        sharing: Sharing::NoWall,
        risk_percent: 100.0,
        seats: None,
        others,
        separation: Some(Separation {
            says: format!("give {flow} a role of its own in {pool}"),
            effort: Effort::Restart,
            cost: "one more role to look after".to_owned(),
        }),
    })
}

/// Everybody but the flow, the least critical first.
fn others(users: &[User], flow: &str, takes: impl Fn(&User) -> Option<u32>) -> Vec<Other> {
    let others = users.iter().filter(|user| user.service != flow);
    let mut others: Vec<Other> = others
        .map(|user| Other {
            service: user.service.clone(),
            tier: user.tier,
            takes: takes(user),
        })
        .collect();
    others.sort_by(|a, b| b.tier.cmp(&a.tier).then_with(|| a.service.cmp(&b.service)));
    others
}
