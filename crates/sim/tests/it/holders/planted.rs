//! The laws over parties with a bug planted: the search must find each.

use watertight_sim::Seeds;

use super::laws::{Clocks, STORM, Scene, run};
use super::party::Bug;

fn is_found(bug: Bug, law: &str) {
    let found = Seeds::fixed(1, 150).search(|seed| run(seed, bug, Clocks::WithinTheMargin));
    let found = found.unwrap_err();
    assert!(found.what.starts_with(law), "{bug:?}: {found}");
}

#[test]
fn a_token_that_is_not_raised_is_found() {
    is_found(Bug::TokenNotRaised, "law 2");
}

#[test]
fn a_term_counted_from_the_answer_is_found() {
    is_found(Bug::CountedFromTheAnswer, "law 1");
}

#[test]
fn a_resource_without_a_fence_is_found() {
    is_found(Bug::NoFence, "law 4");
}

#[test]
fn a_renewal_after_the_loss_is_found() {
    is_found(Bug::RenewedAfterLoss, "law 3");
}

#[test]
fn clocks_beyond_the_margin_are_found() {
    let found = Seeds::fixed(1, 150).search(|seed| {
        let mut scene = Scene::new(seed, Bug::None, Clocks::Wild);
        scene.run(STORM, Clocks::WithinTheMargin)
    });
    assert!(found.unwrap_err().what.starts_with("law 1"));
}
