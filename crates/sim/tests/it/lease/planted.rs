//! The laws over nodes with a bug planted: the search must find each.

use watertight_sim::Seeds;

use super::laws::{cut_off, stormy};
use super::party::Bug;

fn is_found(bug: Bug) {
    let found = Seeds::fixed(1, 40).search(|seed| stormy(seed, bug));
    let found = found.unwrap_err();
    assert!(found.what.contains("beyond the limit"), "{found}");
}

#[test]
fn leases_that_never_end_are_found() {
    is_found(Bug::LeasesNeverEnd);
}

#[test]
fn an_answer_taken_twice_is_found() {
    is_found(Bug::AnswerTwice);
}

#[test]
fn leases_that_do_not_count_against_the_burst_are_found() {
    is_found(Bug::OutIsForgotten);
}

#[test]
fn gateways_that_take_themselves_for_the_only_one_are_found() {
    let found = Seeds::fixed(1, 4).search(|seed| cut_off(seed, 3, Bug::AloneInTheWorld));
    let found = found.unwrap_err();
    assert!(found.what.contains("in all beyond the limit"), "{found}");
}
