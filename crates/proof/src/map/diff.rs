//! What a change of the configuration does to the walls, for a review.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Compartment, Map, Pool, Service, User};

/// What differs between two maps.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Diff {
    /// The digest before.
    pub before: String,
    /// The digest after.
    pub after: String,
    /// What changed, what weakens a wall first.
    pub changes: Vec<Change>,
}

/// One fact that changed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Change {
    /// Where: the names on the way to it.
    pub what: String,
    /// What it was; none: it is new.
    pub before: Option<String>,
    /// What it is; none: it is gone.
    pub after: Option<String>,
    /// What that does to the walls.
    pub effect: Effect,
}

/// What a change does to walls.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Less holds than before.
    Weaker,
    /// To be judged by whoever reviews it.
    Other,
    /// More holds than before.
    Stronger,
}

/// What differs between `before` and `after`. Live use is none of it.
#[must_use]
pub fn diff(before: &Map, after: &Map) -> Diff {
    let (old, new) = (facts(before), facts(after));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut changes: Vec<Change> = names
        .into_iter()
        .filter_map(|what| {
            let (old, new) = (old.get(what), new.get(what));
            let rule = new.or(old)?.rule;
            let (old, new) = (old.map(|it| &it.value), new.map(|it| &it.value));
            (old != new).then(|| Change {
                what: what.clone(),
                before: old.cloned(),
                after: new.cloned(),
                effect: rule.effect(old, new),
            })
        })
        .collect();
    changes.sort_by(|a, b| a.effect.cmp(&b.effect).then_with(|| a.what.cmp(&b.what)));
    Diff {
        before: before.digest.clone(),
        after: after.digest.clone(),
        changes,
    }
}

impl Diff {
    /// The changes as text, one a line: `!` weakens a wall, `+` strengthens one, `~` is to be judged.
    #[must_use]
    pub fn text(&self) -> String {
        if self.changes.is_empty() {
            return format!("the same walls: {}\n", self.after);
        }
        let line = |change: &Change| {
            let none = || "nothing".to_owned();
            let before = change.before.clone().unwrap_or_else(none);
            let after = change.after.clone().unwrap_or_else(none);
            let mark = match change.effect {
                Effect::Weaker => '!',
                Effect::Other => '~',
                Effect::Stronger => '+',
            };
            format!("{mark} {}: {before} → {after}\n", change.what)
        };
        let lines: String = self.changes.iter().map(line).collect();
        let weaker = self.changes.iter().filter(|it| it.effect == Effect::Weaker);
        format!(
            "{lines}\n{} changes, {} of them weaken a wall; map {} → {}\n",
            self.changes.len(),
            weaker.count(),
            self.before,
            self.after
        )
    }

    /// The changes as JSON, indented.
    #[must_use]
    #[expect(clippy::expect_used, reason = "texts in structs: all can be JSON")]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("changes can be written as JSON")
    }
}

/// Something that a map says.
struct Fact {
    value: String,
    rule: Rule,
}

/// How a change of a fact is judged.
#[derive(Clone, Copy)]
enum Rule {
    /// More is stronger; nothing is none.
    MoreIsStronger,
    /// Less is stronger; nothing is without bound.
    LessIsStronger,
    /// Less is stronger; with who comes or goes it comes and goes.
    LessIsStrongerWhileThere,
    /// More is stronger; nothing is as much as there can be.
    MoreIsStrongerAndNothingMost,
    /// That it is there is weaker.
    PresenceIsWeaker,
    /// That it is there is stronger.
    PresenceIsStronger,
    /// Nobody can say.
    Open,
}

impl Rule {
    fn effect(self, before: Option<&String>, after: Option<&String>) -> Effect {
        let number = |value: Option<&String>| value.and_then(|value| value.parse::<f64>().ok());
        let (old, new) = (number(before), number(after));
        let grows = match self {
            Self::MoreIsStronger => new.unwrap_or(0.0) > old.unwrap_or(0.0),
            Self::LessIsStronger => new.unwrap_or(f64::INFINITY) < old.unwrap_or(f64::INFINITY),
            Self::MoreIsStrongerAndNothingMost => {
                new.unwrap_or(f64::INFINITY) > old.unwrap_or(f64::INFINITY)
            }
            Self::PresenceIsWeaker | Self::PresenceIsStronger
                if before.is_some() && after.is_some() =>
            {
                return Effect::Other;
            }
            Self::LessIsStrongerWhileThere => match (old, new) {
                (Some(old), Some(new)) => new < old,
                _ => return Effect::Other,
            },
            Self::PresenceIsWeaker => after.is_none(),
            Self::PresenceIsStronger => after.is_some(),
            Self::Open => return Effect::Other,
        };
        if grows {
            Effect::Stronger
        } else {
            Effect::Weaker
        }
    }
}

fn facts(map: &Map) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    let mut add = |what: String, value: String, rule: Rule| {
        facts.insert(what, Fact { value, rule });
    };
    for service in &map.services {
        facts_of_service(service, &mut add);
    }
    for pool in &map.pools {
        facts_of_pool(pool, &mut add);
    }
    for upstream in &map.upstreams {
        for user in &upstream.users {
            let what = format!("shared upstream {}, {}", upstream.address, user.service);
            add(what, "calls it".to_owned(), Rule::PresenceIsWeaker);
        }
    }
    facts
}

fn facts_of_service(service: &Service, add: &mut impl FnMut(String, String, Rule)) {
    let name = format!("service {}", service.service);
    let mut say = |what: &str, value: String, rule| add(format!("{name}, {what}"), value, rule);
    say("tier", service.tier.to_string(), Rule::Open);
    for pool in &service.uses {
        say(&format!("uses {pool}"), "yes".to_owned(), Rule::Open);
    }
    for upstream in &service.upstreams {
        say(&format!("runs at {upstream}"), "yes".to_owned(), Rule::Open);
    }
    let connections = service.upstream_connections.to_string();
    say(
        "connections to an upstream",
        connections,
        Rule::LessIsStrongerWhileThere,
    );
    if let Some(dedicated) = &service.dedicated {
        say("says what is its own", "yes".to_owned(), Rule::Open);
        for own in dedicated {
            let what = format!("its own: {own}");
            say(&what, "yes".to_owned(), Rule::PresenceIsStronger);
        }
    }
    for (pool, credential) in &service.credentials {
        let what = format!("credential of {pool}");
        say(&what, credential.clone(), Rule::Open);
    }
    if let Some(cpu) = service.cpu_millicores {
        say("CPU in thousandths", cpu.to_string(), Rule::LessIsStronger);
    }
    if let Some(memory) = service.memory_bytes {
        say("memory in bytes", memory.to_string(), Rule::LessIsStronger);
    }
}

fn facts_of_pool(pool: &Pool, add: &mut impl FnMut(String, String, Rule)) {
    let name = format!("pool {}", pool.pool);
    add(
        format!("{name}, kind"),
        pool.kind.label().to_owned(),
        Rule::Open,
    );
    // Who is alone there needs no wall.
    let without_wall = match pool.users.len() {
        0 | 1 => Rule::Open,
        _ => Rule::PresenceIsWeaker,
    };
    for user in pool.users.iter().filter(|_| pool.compartments.is_empty()) {
        let what = format!("{name}, {} without a wall", user.service);
        add(what, "uses it".to_owned(), without_wall);
    }
    if pool.compartments.is_empty() {
        return;
    }
    add(
        format!("{name}, capacity"),
        pool.capacity.to_string(),
        Rule::Open,
    );
    add(
        format!("{name}, reserve"),
        pool.reserve.to_string(),
        Rule::MoreIsStronger,
    );
    let alert = pool.alert_percent.to_string();
    add(
        format!("{name}, alert at percent"),
        alert,
        Rule::LessIsStronger,
    );
    if let Some(min) = pool.adaptive_min {
        // Fixed, it never has fewer seats than its walls add up to.
        add(
            format!("{name}, seats at least"),
            min.to_string(),
            Rule::MoreIsStrongerAndNothingMost,
        );
    }
    for part in &pool.compartments {
        facts_of_compartment(&name, part, add);
    }
}

fn facts_of_compartment(
    pool: &str,
    part: &Compartment,
    add: &mut impl FnMut(String, String, Rule),
) {
    let name = format!("{pool}, compartment {}", part.compartment);
    let least = part.services.iter().map(|user| user.tier).max();
    let is_one_tier = least.is_none_or(|least| least == part.tier);
    // Seats of tier 1 are protection; seats of tier 3 are what it is capped at.
    let seats = match part.tier {
        1 if is_one_tier => Rule::MoreIsStronger,
        3 => Rule::LessIsStronger,
        _ => Rule::Open,
    };
    let mut say = |what: &str, value: String, rule| add(format!("{name}, {what}"), value, rule);
    say("seats", part.seats.to_string(), seats);
    say(
        "head-room",
        part.head_room.to_string(),
        Rule::MoreIsStronger,
    );
    for borrower in &part.lends_to {
        let what = format!("lends to {borrower}");
        say(&what, "yes".to_owned(), Rule::PresenceIsWeaker);
    }
    let back = part.borrow_max_ms.to_string();
    let until_back = match part.lends_to.is_empty() {
        true => Rule::Open,
        false => Rule::LessIsStronger,
    };
    say("a loan is back after ms", back, until_back);
    for user in &part.services {
        facts_of_user(&name, part.tier, is_one_tier, user, add);
    }
}

fn facts_of_user(
    part: &str,
    tier: u8,
    is_one_tier: bool,
    user: &User,
    add: &mut impl FnMut(String, String, Rule),
) {
    let sits = match is_one_tier || user.tier == tier {
        true => Rule::Open,
        false => Rule::PresenceIsWeaker,
    };
    add(
        format!("{part}, {}", user.service),
        "sits here".to_owned(),
        sits,
    );
    if let Some(cap) = user.cap {
        add(
            format!("{part}, cap of {}", user.service),
            cap.to_string(),
            Rule::LessIsStronger,
        );
    }
}
