//! Bad configurations, and the exact words that they get.
//!
//! The words are in `tests/it/golden/NAME.txt`. With `GOLDEN=write` in the environment the test
//! writes them anew, to be read before they are committed.

use super::read;

const SERVICE: &str =
    "[services.a]\ntier = 1\nroutes = ['/a']\nupstreams = ['http://127.0.0.1:9001']\n";

#[test]
fn every_mistake_gets_its_place_and_its_remedy() {
    let cases: Vec<(&str, String)> = vec![
        ("not-toml", "[node\nid = 'a'".into()),
        ("not-toml-tenant", "[tenants.a]\nplan = 'p'\n[tenants.b]\nplan = ]\n".into()),
        ("tenant-twice", "[tenants.a]\nplan = 'p'\n[plans.p]\n[tenants.a]\nplan = 'p'\n".into()),
        ("missing-key", "[services.checkout]\nroutes = ['/']\nupstreams = []\n".into()),
        ("misspelt-table", "[service.checkout]\ntier = 1\n".into()),
        ("misspelt-key", SERVICE.replace("tier", "teir")),
        ("misspelt-deep-key", format!("{SERVICE}[services.a.breaker]\nsliding-window = '1s'\n")),
        ("misspelt-limit-key", "[plans.p]\nthrottle = [{ limit = 5, per = '1s', brust = 7 }]".into()),
        ("misspelt-word", "[plans.p]\nthrottle = [{ algorithm = 'tokenbucket', limit = 5, per = '1s' }]".into()),
        ("misspelt-listener", "[listen.trafic]\nbind = '127.0.0.1:1'\n".into()),
        ("wrong-type", "[services.a]\ntier = 'one'\nroutes = '/a'\nupstreams = ['http://h:1']\ntimeout = 5\n".into()),
        ("unknown-plan", "[plans.standard]\n[tenants.acme]\nplan = 'standart'\n[identity]\nunknown = 'vip'".into()),
        ("overbooked", format!("{SERVICE}uses = ['db']\n[pools.db]\ncapacity = 100\nreserve = 20\n[pools.db.compartments.a]\nservices = ['a']\nseats = 90\n")),
        ("walls", format!("{SERVICE}uses = ['bd', 'db']\n[pools.db]\ncapacity = 9\n[pools.db.compartments.a]\nservices = ['a', 'b']\nseats = 5\ncaps = {{ a = 6 }}\n[pools.a]\nkind = 'declared'\n")),
        ("seatless", format!("{SERVICE}uses = ['db']\n[pools.db]\ncapacity = 9\n")),
        ("cap-above-seats", format!("{SERVICE}uses = ['db']\n[pools.db]\ncapacity = 9\n[pools.db.compartments.a]\nservices = ['a']\nseats = 5\ncaps = {{ a = 6 }}\n")),
        ("declared-with-seats", "[pools.s]\nkind = 'declared'\ncapacity = 5\n[pools.t]\n".into()),
        ("duplicate-route", format!("{SERVICE}{}", SERVICE.replace("services.a", "services.b"))),
        ("bad-route", SERVICE.replace("'/a'", "'a', '/x/../y'")),
        ("bad-upstream", SERVICE.replace("'http://127.0.0.1:9001'", "'https://h:1', 'http://h', 'http://h:1/x'")),
        ("variable-unset", "[node]\nregion = '${REGION}'\nid = '${ID'\n".into()),
        ("secret-missing", "[listen.admin]\ntoken_file = 'nowhere/token'\n".into()),
        ("not-built", format!("{SERVICE}cpu = 2\n[plans.p]\nthrottle = [\n  {{ limit = 5, per = '1s', shadow = true, algorithm = 'sliding-log', by = ['plan'], excess = 'delay', max_wait = '1s' }},\n]\n[pools.p]\ncapacity = 'adaptive'\n[pools.q]\nkind = 'tcp'\n[listen.sqs]\nbind = '127.0.0.1:9324'\n[identity]\ntenant = ['certificate:san']\n[pools.q.compartments.c]\nservices = ['a']\nseats = 1\nlend = true\n")),
        ("exposed", "[listen.traffic]\nbind = '0.0.0.0:80'\n[listen.admin]\nbind = '[::]:7070'\n".into()),
        ("address-twice", "[listen.traffic]\nbind = '127.0.0.1:7070'\n".into()),
        ("listener-keys", "[listen.admin]\ntier = 1\nbind = 'localhost:80'\n[listen.traffic-a]\ntoken_file = 't'\n".into()),
        ("bad-network", "[identity]\ntrusted = ['10.0.0.0/33', 'localhost']\n".into()),
        ("bad-source", "[identity]\ntenant = ['cookie:x', 'jwt:t', 'api-key', 'host:{tenant}', 'header:a', 'header:A']\n".into()),
        ("bad-duration", SERVICE.to_owned() + "timeout = '2 seconds'\nconnect_timeout = '2m'\n"),
        ("bad-size", "[listen.traffic]\nmax_header = '4KiB'\nmax_body = '64 MB'\n".into()),
        ("tier-4", SERVICE.replace("tier = 1", "tier = 4")),
        ("bad-name", "[plans.'a b']\n[node]\nid = '-x'\n".into()),
        ("limit-twice", "[plans.p]\nthrottle = [{ limit = 1, per = '1s' }, { limit = 9, per = '1m' }]\n".into()),
        ("impossible-rate", "[plans.p]\nthrottle = [{ limit = 1, per = '365d', burst = 1000000000 }]\n".into()),
        ("two-problems", "[node]\nidd = 'a'\n[metrics]\ntenant_label_max = 10001\n".into()),
    ];
    let mut differ = Vec::new();
    for (name, text) in cases {
        let failure = read(&text).expect_err(name);
        let path = format!("{}/tests/it/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let said = failure.render(false);
        if std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
            std::fs::write(&path, &said).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        if golden != said {
            differ.push(format!("--- {path}\n{golden}+++ now\n{said}"));
        }
        for problem in failure.problems() {
            let place = format!("{}:{}:{}", problem.file, problem.line, problem.column);
            assert!(said.contains(&place), "{place} is not in\n{said}");
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
