//! Whose connections are whose, held against random histories, and bugs planted to be found.
//!
//! The checker counts by itself, from what was asked and answered on each connection, and compares
//! with what the node says each tenant has.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{tests::*, *};

const MAX: u32 = 2;
const CONNECTIONS: usize = 5;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bug {
    /// A connection that ends goes on counting.
    Forgets,
    /// Whoever carries requests of two tenants is taken for a balancer.
    TrustsEverybody,
    /// A connection counts for whoever came first, for good.
    CountsForTheFirst,
    /// Each request counts as a connection.
    CountsRequests,
    /// There is no quota.
    Unlimited,
}

#[derive(Clone, Debug)]
enum Step {
    /// A request of a tenant begins on a connection.
    Begin {
        connection: usize,
        tenant: usize,
        is_trusted: bool,
    },
    /// The oldest request on a connection ends.
    End(usize),
    /// A connection is closed, with all that is under way on it.
    Close(usize),
}

/// A connection, and what the checker knows of it.
#[derive(Default)]
struct Connection {
    tenancy: Arc<Tenancy>,
    requests: Vec<(usize, UnderWay)>,
    tenants: BTreeSet<usize>,
    latest: Option<usize>,
    is_trusted: bool,
}

impl Connection {
    /// Whether it should count for a tenant.
    fn counts_for(&self, tenant: usize) -> bool {
        let has_request = self.requests.iter().any(|(of, _)| *of == tenant);
        match self.tenants.len() {
            0 | 1 => self.tenants.contains(&tenant),
            _ => has_request || self.latest == Some(tenant) && !self.is_trusted,
        }
    }

    fn begin(&mut self, who: &[Who; 2], tenant: usize, is_trusted: bool, bug: Option<Bug>) -> bool {
        let first = self.tenants.first().copied().unwrap_or(tenant);
        let (counted, trusted) = match bug {
            Some(Bug::CountsForTheFirst) => (first, is_trusted),
            Some(Bug::TrustsEverybody) => (tenant, true),
            _ => (tenant, is_trusted),
        };
        let tenancy = match bug {
            Some(Bug::CountsRequests) => Arc::default(),
            _ => Arc::clone(&self.tenancy),
        };
        let Ok(under_way) = tenancy.begin(&who[counted], trusted) else {
            return false;
        };
        self.requests.push((tenant, under_way));
        self.tenants.insert(tenant);
        (self.latest, self.is_trusted) = (Some(tenant), is_trusted);
        true
    }
}

fn play(steps: &[Step], bug: Option<Bug>) -> Result<(), String> {
    let admission = admission(if bug == Some(Bug::Unlimited) { 99 } else { MAX });
    let who = ["a", "b"].map(|name| who(&admission, name));
    let mut all: BTreeMap<usize, Connection> = BTreeMap::new();
    let last = (0..CONNECTIONS).map(Step::Close);
    for step in steps.iter().cloned().chain(last) {
        let counts = |all: &BTreeMap<usize, Connection>, tenant| {
            let count = all.values().filter(|it| it.counts_for(tenant)).count();
            u32::try_from(count).unwrap()
        };
        match step {
            Step::Begin {
                connection,
                tenant,
                is_trusted,
            } => {
                let before = counts(&all, tenant);
                let connection = all.entry(connection).or_default();
                let may = connection.counts_for(tenant) || before < MAX;
                let began = connection.begin(&who, tenant, is_trusted, bug);
                if began != may {
                    return Err(format!("began: {began}, with {before} of {MAX}"));
                }
            }
            Step::End(connection) => {
                let connection = all.get_mut(&connection);
                if let Some(it) = connection.filter(|it| !it.requests.is_empty()) {
                    it.requests.remove(0);
                }
            }
            Step::Close(connection) => {
                let closed = all.remove(&connection);
                if bug == Some(Bug::Forgets) {
                    std::mem::forget(closed.map(|it| it.tenancy));
                }
            }
        }
        let expected = [0, 1].map(|tenant| counts(&all, tenant));
        let counted = counted(&admission);
        if counted != expected {
            return Err(format!("{counted:?} counted, {expected:?} held"));
        }
    }
    Ok(())
}

fn histories() -> impl Strategy<Value = Vec<Step>> {
    let connection = || 0..CONNECTIONS;
    let step = prop_oneof![
        6 => (connection(), 0..2_usize, any::<bool>()).prop_map(
            |(connection, tenant, is_trusted)| Step::Begin { connection, tenant, is_trusted }
        ),
        5 => connection().prop_map(Step::End),
        1 => connection().prop_map(Step::Close),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn a_connection_counts_for_whom_it_should_and_nobody_has_more_than_allowed(
        steps in histories(),
    ) {
        play(&steps, None).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn the_checker_finds_bugs_planted_in_who_owns_connections() {
    for bug in [
        Bug::Forgets,
        Bug::TrustsEverybody,
        Bug::CountsForTheFirst,
        Bug::CountsRequests,
        Bug::Unlimited,
    ] {
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let found = TestRunner::new_with_rng(config, rng).run(&histories(), |steps| {
            play(&steps, Some(bug)).map_err(TestCaseError::fail)
        });
        assert!(found.is_err(), "{bug:?} was not seen");
    }
}
