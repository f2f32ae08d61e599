//! Laws that hold for any text.

use std::path::Path;

use proptest::{prelude::*, sample::select};
use watertight::config::{Failure, parse};

use super::{EXAMPLE, read};

/// Every place that is reported lies in the text, and everything can be shown.
fn check(text: &str) {
    let Err(failure) = read(text) else { return };
    assert!(!failure.problems().is_empty(), "{text:?}");
    for problem in failure.problems() {
        assert!(problem.span.end <= text.len(), "{problem:?}");
        assert!(problem.span.start <= problem.span.end, "{problem:?}");
        assert!(text.get(problem.span.clone()).is_some(), "{problem:?}");
        assert!(problem.line <= text.matches('\n').count() + 1);
    }
    assert!(!failure.render(true).is_empty());
    assert!(failure.to_json()["errors"].is_array());
}

/// Pieces from which texts are made that come near to being configurations.
fn piece() -> impl Strategy<Value = &'static str> {
    select(vec![
        "[tenants.a]\n",
        "[tenants.b]\n",
        "[tenants]\n",
        "[[tenants.a]]\n",
        "[plans.p]\n",
        "plan = 'p'\n",
        "segment = \"s\"\n",
        "a = { plan = 'p' }\n",
        "tenants.c.plan = 'p'\n",
        "[",
        "]",
        "{",
        "}",
        "'",
        "\"",
        "'''",
        "\"\"\"",
        "\n",
        "#",
        "=",
        ".",
        "${A}",
        "$${",
        "ä",
        "[services.x]\n",
        "tier = 9\n",
        "routes = ['/x']\n",
        "[pools.q.compartments.c]\n",
        "seats = 5\n",
        "[listen.admin]\n",
        "bind = '0.0.0.0:1'\n",
        "[ tenants . a ] # x\n",
        " ",
        "\r\n",
        "\u{feff}",
        "1",
        "x = 1979-05-27\n",
        "[[tenants.a.throttle]]\n",
        "[tenants.a.throttle]\n",
        "[[throttle]]\n",
        "throttle = [{ limit = 1, per = '1s' }]\n",
        "limit = 1\n",
        "per = '1s'\n",
        "weight = -1\n",
        "limit = 99999999999999999999\n",
    ])
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".{0,200}") {
        check(&text);
    }

    #[test]
    fn any_text_made_of_our_words_is_answered(pieces in prop::collection::vec(piece(), 0..24)) {
        check(&pieces.concat());
    }

    #[test]
    fn a_text_that_loads_is_toml(pieces in prop::collection::vec(piece(), 0..12)) {
        let text = pieces.concat();
        let is_toml = toml::de::DeTable::parse(&text).is_ok();
        match read(&text) {
            Ok(_) => prop_assert!(is_toml, "{text:?} loads and is not TOML"),
            Err(Failure::Problems { .. }) => {}
            Err(failure) => prop_assert!(!is_toml, "{text:?} is TOML: {failure}"),
        }
    }

    #[test]
    fn the_example_with_a_mistake_in_it_is_answered(
        at in 0..EXAMPLE.len(),
        length in 0..40_usize,
        with in prop_oneof![Just(String::new()), piece().prop_map(str::to_owned), ".{0,8}"],
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_a_variable_holds_is_never_structure(value in "\\PC{0,40}|[\\[\\]\"'=\n#${}a-z]{0,40}") {
        let environment = |_: &str| Some(value.clone());
        let text = "[identity.jwt]\nkeys = 'k'\nissuer = '${X}'\n[node]\nid = 'n'";
        // The file does not exist: that is the one problem, whatever the variable holds.
        let failure = parse("f", text, Path::new("/nonexistent"), &environment).unwrap_err();
        prop_assert_eq!(failure.problems().len(), 1);
        prop_assert_eq!(&failure.problems()[0].message, "there is no such file");
    }

    #[test]
    fn what_a_variable_holds_is_never_shown(value in "[a-z]{3,8}-s3cr3t-[ /;\"\\\\]{1,4}") {
        let environment = |_: &str| Some(value.clone());
        for text in [
            "[node]\nid = '${X}'",
            "[node]\ndrain_timeout = '${X}'",
            "[listen.traffic]\nbind = '${X}'\nmax_body = '${X}'",
            "[log]\naccess = '${X}'",
            "[identity]\ntenant = ['${X}']\ntrusted = ['${X}']\nunknown = '${X}'",
            "[plans.p]\n[tenants.t]\nplan = '${X}'",
            "throttle = [{ name = '${X}', limit = '${X}', per = '${X}' }]",
            "throttle = [{ limit = 1, per = '1s', services = ['${X}'], routes = ['${X}'] }]",
            "throttle = [{ limit = 1, per = '1s', excess = '${X}', by = ['${X}'] }]",
            "throttle = [{ limit = 1, per = '1s', excess = 'degrade', fallback = { header = '${X}' } }]",
            "[plans.p]\n[tenants.t]\nplan = 'p'\nthrottle = [{ limit = 1, per = '1s', services = ['${X}'] }]",
            "[stores.redis]\nurl = '${X}'",
            "[services.s]\ntier = 1\nroutes = ['${X}']\nupstreams = ['http://h:1']",
            "[services.s]\ntier = 1\nroutes = ['/']\nupstreams = ['${X}']\nuses = ['${X}']",
        ] {
            let failure = parse("f", text, Path::new(""), &environment).unwrap_err();
            let shown = format!("{}{}", failure.render(false), failure.to_json());
            prop_assert!(!shown.contains("s3cr3t"), "{shown}");
        }
    }
}

#[test]
fn a_flood_of_problems_is_counted_and_not_shown() {
    let mut text = "[plans.p]\n".to_owned();
    for number in 0..1_000 {
        text.push_str(&format!("[tenants.t{number}]\nplan = 'q'\n"));
    }
    let failure = read(&text).unwrap_err();
    assert_eq!(failure.problems().len(), 100);
    assert_eq!(failure.to_json()["more"], 900);
    assert!(
        failure
            .to_string()
            .ends_with("1000 problems, of which the first 100 are shown")
    );
}
