//! What answers say.

use super::*;

#[test]
fn server_errors_and_time_outs_are_failures_unless_something_else_is_said() {
    let classifier = Classifier::default();
    assert_eq!(classifier.status(200), Outcome::Success);
    assert_eq!(classifier.status(429), Outcome::Success);
    assert_eq!(classifier.status(500), Outcome::Failure);
    assert_eq!(classifier.status(599), Outcome::Failure);
    assert_eq!(classifier.error(CallError::Timeout), Outcome::Failure);
    assert_eq!(classifier.error(CallError::Connect), Outcome::Ignored);
    assert_eq!(classifier.error(CallError::Reset), Outcome::Ignored);
}

#[test]
fn what_is_ignored_is_not_recorded() {
    let classifier = Classifier {
        record_statuses: vec![429..=429, 500..=599],
        ignore_statuses: vec![503..=503],
        ignore_grpc: Grpc::all().filter(|one| one.name() == "UNKNOWN").collect(),
        ..Classifier::default()
    };
    assert_eq!(classifier.status(429), Outcome::Failure);
    assert_eq!(classifier.status(502), Outcome::Failure);
    assert_eq!(classifier.status(503), Outcome::Ignored);
    assert_eq!(classifier.grpc(Grpc::UNKNOWN), Outcome::Ignored);
}

#[test]
fn of_grpc_those_statuses_are_failures_that_speak_of_the_server() {
    let classifier = Classifier::default();
    let failures: Vec<_> = Grpc::all()
        .filter(|status| classifier.grpc(*status) == Outcome::Failure)
        .map(Grpc::name)
        .collect();
    let expected = [
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    ];
    assert_eq!(failures, expected);
}

#[test]
fn a_grpc_status_that_is_none_is_unknown() {
    assert_eq!(Grpc::of_field(b"0").name(), "OK");
    assert_eq!(Grpc::of_field(b"14").name(), "UNAVAILABLE");
    for field in [&b"17"[..], b"", b"-1", b"OK", b"\xff", b"256"] {
        assert_eq!(Grpc::of_field(field), Grpc::UNKNOWN, "{field:?}");
    }
}
