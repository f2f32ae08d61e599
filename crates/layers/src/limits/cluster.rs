//! Limits that all nodes count together.
//!
//! They are asked last, since their answer may take a round trip, and since what a node's own limits
//! refuse need not be counted by all. They are asked as one, in one trip: if one of them refuses, none
//! is charged. Then, or if a later step refuses, the node's own limits get back what they were charged,
//! and these too; the store with the next batch.

use std::{fmt::Write as _, sync::Arc};

use ring::digest::{SHA256, digest};
use watertight_base::Tick;
use watertight_guard::throttle::{
    Decision, Quota,
    lease::{Ask, Cluster, Known, Outcome, Sharing, Source, Standing, Verdict},
};
use watertight_plan::{Across, By};

use super::{Applied, Asked, Charged, Keyed, Rule};
use crate::QuotaState;

/// Units that all nodes counted.
#[derive(Debug)]
pub(super) struct HeldTogether {
    pub(super) rule: Arc<Rule>,
    question: Question,
    verdict: Verdict,
}

/// What one limit that all nodes count is asked.
#[derive(Debug)]
struct Question {
    name: String,
    /// How much of the name says which limit it is, whoever shares it.
    limit: usize,
    quota: Quota,
    cost: u64,
    sharing: Sharing,
    standing: Standing,
    binds: bool,
}

impl Charged {
    /// Asks all limits that all nodes count, as one. What they charge is given back if the request
    /// leaves meanwhile.
    pub(super) async fn ask_together(
        &mut self,
        cluster: &dyn Cluster,
        applied: &[&Applied],
        asked: &Asked<'_>,
    ) {
        let questions = applied.iter().filter_map(|applied| {
            let question = Question::of(&applied.rule, asked)?;
            Some((Arc::clone(&applied.rule), question))
        });
        let questions: Vec<_> = questions.collect();
        let asks = questions.iter().map(|(_, question)| question.ask());
        let outcomes = match asks.collect::<Vec<_>>().as_slice() {
            [] => return,
            [ask] => vec![Some(cluster.take(self.at, ask))],
            asks => cluster.take_all(self.at, asks),
        };
        let mut later = Vec::new();
        for ((rule, question), outcome) in questions.into_iter().zip(outcomes) {
            // Headers tell also of those that were not asked, what is known of them.
            if outcome.is_none()
                && !rule.limit.is_shadow
                && let Some(known) = cluster.peek(self.at, &question.ask())
            {
                self.tell(question.state(&rule, known.decision), applied);
            }
            let held = |verdict| HeldTogether {
                rule,
                question,
                verdict,
            };
            match outcome {
                Some(Outcome::Now(verdict)) => self.together.push(held(verdict)),
                Some(Outcome::Later(answer)) => later.push((held, answer)),
                None => {}
            }
        }
        for (held, answer) in later {
            self.together.push(held(answer.await));
        }
        // The answer may have taken a round trip.
        self.at = self.clock.now();
    }
}

/// What is known of a limit that all nodes count; takes nothing. None: nothing.
pub(super) fn peek(
    cluster: &dyn Cluster,
    now: Tick,
    applied: &Applied,
    asked: &Asked<'_>,
) -> Option<Decision> {
    known(cluster, now, applied, asked).map(|known| known.decision)
}

/// The same, and how it is known.
pub(super) fn known(
    cluster: &dyn Cluster,
    now: Tick,
    applied: &Applied,
    asked: &Asked<'_>,
) -> Option<Known> {
    let question = Question::of(&applied.rule, asked)?;
    cluster.peek(now, &question.ask())
}

impl Keyed {
    /// How it is known what is known of a limit that all nodes count. None: it is this node's own
    /// limit, or nothing is known of it here.
    pub(crate) fn source(&self, now: Tick, applied: &Applied, asked: &Asked<'_>) -> Option<Source> {
        let known = known(&**self.cluster.as_ref()?, now, applied, asked)?;
        Some(known.source)
    }
}

impl HeldTogether {
    /// Whether anything was taken.
    pub(super) fn is_charged(&self) -> bool {
        self.verdict.is_charged()
    }

    /// Gives back what was taken.
    pub(super) fn refund(&self, cluster: &dyn Cluster, now: Tick) {
        cluster.refund(now, &self.question.ask(), &self.verdict);
    }

    /// What is left when what was taken is there again.
    pub(super) fn state_given_back(&self) -> QuotaState {
        let mut state = self.state();
        let left = state.decision.remaining.saturating_add(self.question.cost);
        state.decision.remaining = left.min(state.quota.capacity());
        state
    }

    pub(super) fn state(&self) -> QuotaState {
        self.question.state(&self.rule, self.verdict.decision)
    }
}

impl Question {
    /// None: the limit is this node's own.
    fn of(rule: &Rule, asked: &Asked<'_>) -> Option<Self> {
        let (Some(quota), Across::Cluster(sharing)) = (rule.quota, rule.limit.across) else {
            return None;
        };
        let mut name = format!("{}/{}", rule.home, rule.id());
        let limit = name.len();
        add_who(&mut name, rule, asked);
        Some(Self {
            name,
            limit,
            quota,
            cost: rule.cost(asked),
            sharing,
            standing: standing(rule, asked),
            binds: rule.binds(),
        })
    }

    fn state(&self, rule: &Rule, decision: Decision) -> QuotaState {
        QuotaState {
            limit: rule.id().clone(),
            quota: self.quota,
            decision,
        }
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            name: &self.name,
            limit: &self.name[..self.limit],
            quota: &self.quota,
            cost: self.cost,
            sharing: self.sharing,
            standing: self.standing,
            binds: self.binds,
        }
    }
}

/// Who can bring the name of those who share a limit into being: what the configuration names is in
/// nobody's way, and users are their tenant's, so a listed one's are no invention of anybody.
fn standing(rule: &Rule, asked: &Asked<'_>) -> Standing {
    let who = asked.who;
    let has_user = rule.is_by(By::User) && who.user.is_some();
    // Unlisted tenants have one name where a limit is by tenant alone.
    let names_tenant = rule.is_by(By::User) || (rule.is_by(By::Key) && who.key.is_none());
    if rule.is_by(By::Address) || (names_tenant && !who.is_listed) {
        Standing::Anybody
    } else if has_user {
        Standing::Proven
    } else {
        Standing::Named
    }
}

/// Adds to the name of a limit who shares it, in words that are the same on all nodes:
/// `plan standard/rate/tenant=acme`. Names have no `/` or `=`; what a caller chose is written so that
/// it has none either.
fn add_who(name: &mut String, rule: &Rule, asked: &Asked<'_>) {
    for by in &rule.limit.by {
        let who = asked.who;
        // Infallible: writing to a String.
        let _ = match by {
            By::Address => write!(name, "/address={}", asked.network().unwrap_or_default()),
            By::Global => Ok(()),
            By::Key => match &who.key {
                Some(key) => write!(name, "/key={}", escaped(key)),
                None => write!(name, "/tenant={}/key=", who.tenant),
            },
            By::Plan => write!(name, "/plan={}", who.plan()),
            By::Region => write!(name, "/region={}", asked.region()),
            By::Route => write!(name, "/route={}", escaped(asked.route())),
            By::Segment => {
                let segment = who.lane.segment.as_ref();
                write!(name, "/segment={}", segment.map_or("", |id| id.as_str()))
            }
            By::Service => write!(name, "/service={}", asked.service),
            // Unlisted tenants share lanes on a node; together they share one counter.
            By::Tenant if !who.is_listed => write!(name, "/tenant={}", crate::tenants::UNLISTED),
            By::Tenant => write!(name, "/tenant={}", who.tenant),
            By::User => {
                let user = escaped(who.user.as_deref().unwrap_or_default());
                write!(name, "/tenant={}/user={user}", who.tenant)
            }
        };
    }
}

/// Characters of a word in a name, and how many of a longer one are left in front of its digest.
const WORD_MAX: usize = 64;
const CUT_AT: usize = 48;

/// A word, with the bytes that would not be told apart in a name as hex. Of one that is long then there
/// is the beginning, and 128 bits of the whole word's SHA-256: that is the same on all nodes, and nobody
/// finds two users of one limit by trying names. A hash of a known seed would let them be found.
fn escaped(word: &str) -> String {
    let mut text = String::new();
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        if text.len() > WORD_MAX {
            return cut(text, word);
        }
    }
    text
}

/// The beginning of an escaped word, and what tells it from others that begin so. No word that is not cut
/// has a `~`.
fn cut(mut text: String, word: &str) -> String {
    text.truncate(CUT_AT);
    text.push('~');
    for byte in digest(&SHA256, word.as_bytes()).as_ref().iter().take(16) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{CUT_AT, WORD_MAX, escaped};

    #[test]
    fn words_that_differ_are_told_apart_in_a_name() {
        let long = "a".repeat(200);
        let words = [
            " 1".to_owned(),
            "\u{201}".to_owned(),
            "%201".to_owned(),
            "~".to_owned(),
            "A".to_owned(),
            "a".to_owned(),
            "a".repeat(WORD_MAX),
            "a".repeat(WORD_MAX + 1),
            format!("{long}1"),
            format!("{long}2"),
            // Cut within what stands for one byte.
            format!("{}\u{e4}{long}", "a".repeat(CUT_AT - 1)),
            format!("{}\u{e5}{long}", "a".repeat(CUT_AT - 1)),
            escaped(&long),
            long.clone(),
        ];
        let names: BTreeSet<_> = words.iter().map(|word| escaped(word)).collect();
        assert_eq!(names.len(), words.len());
        let is_plain = |name: &String| !name.contains(['/', '=', ' ']) && name.is_ascii();
        assert!(names.iter().all(is_plain));
        assert!(names.iter().all(|name| name.len() <= CUT_AT + 33));
    }

    #[test]
    fn a_word_is_written_alike_by_all_nodes() {
        assert_eq!(escaped("ann.lee@acme_1"), "ann.lee@acme_1");
        assert_eq!(escaped(" 1/\u{201}~"), "%201%2F%C8%81%7E");
        let long = format!("{}~b366daa7039bf7ca3d119d056909a7f2", "%20".repeat(16));
        assert_eq!(escaped(&" ".repeat(22)), long);
    }
}
