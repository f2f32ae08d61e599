//! Settings that have no effect, or another than is likely meant: each is said aloud at its place, with
//! what to do, and what has an effect is not.

use super::notes::said;

/// A pool `db` with the seats of `u`, in one compartment `a`, and more keys for each table.
fn of_pool(service: &str, pool: &str, part: &str) -> String {
    said(&format!(
        "[pools.db]\n{pool}\n[pools.db.compartments.a]\nservices = ['u']\n{part}\n\
         [services.u]\ntier = 2\nroutes = ['/u']\nupstreams = ['http://h:1']\nuses = ['db']\n{service}\n"
    ))
}

/// Notes of exactly these words at that place.
fn is_said(notes: &str, place: &str, words: &str) {
    assert_eq!(notes, format!("watertight.toml:{place}: {words}"));
}

#[test]
fn seats_that_nobody_can_hold_are_said_aloud() {
    is_said(
        &of_pool("", "capacity = 9", "seats = 5"),
        "2:12",
        "nobody can hold 4 of these 9 seats: compartments and reserve have 5; give them the rest, or lower \
         `capacity` to 5",
    );
    let operations = "[plans.ops]\nclass = 'operations'\n[pools.db]\ncapacity = 9\nreserve = 3\n\
                      [pools.db.compartments.a]\nservices = ['u']\nseats = 5\n[services.u]\ntier = 2\n\
                      routes = ['/u']\nupstreams = ['http://h:1']\nuses = ['db']\n";
    assert!(said(operations).contains("nobody can hold 1 of these 9 seats"));
    assert_eq!(said(&operations.replace("seats = 5", "seats = 6")), "");
    let tcp = |capacity: u32| {
        said(&format!(
            "[services.u]\ntier = 2\nuses = ['cache']\n[pools.cache]\nkind = 'tcp'\n\
             upstreams = ['127.0.0.1:6379']\ncapacity = {capacity}\n[pools.cache.compartments.a]\n\
             services = ['u']\nseats = 4\nbinds = {{ u = '127.0.0.1:6380' }}\n"
        ))
    };
    assert!(tcp(5).contains("toml:7:12: nobody can hold 1 of"));
    assert_eq!(tcp(4), "");
}

#[test]
fn a_pool_that_no_service_uses_is_said_aloud() {
    for kind in ["capacity = 5", "kind = 'declared'"] {
        is_said(
            &said(&format!("[pools.db]\n{kind}\n")),
            "1:8",
            "no service uses pool db: name it in `uses` of a service, or leave it out",
        );
    }
    let used = "[services.u]\ntier = 2\nroutes = ['/u']\nupstreams = ['http://h:1']\nuses = ['db']\n\
                [pools.db]\nkind = 'declared'\n";
    assert_eq!(said(used), "");
}

#[test]
fn fewer_connections_than_seats_are_said_aloud() {
    let (pool, part) = ("capacity = 600", "seats = 600");
    let words = |each: u32| {
        format!(
            "u may hold 600 seats, and its upstreams take {each} connections at once, {each} each: beyond \
             them requests hold seats and wait for a connection; raise `upstream_connections` to 600, or \
             give it fewer seats"
        )
    };
    is_said(
        &of_pool("upstream_connections = 599", pool, part),
        "11:24",
        &words(599),
    );
    // So does what is not written.
    is_said(&of_pool("", pool, part), "6:11", &words(256));
    assert_eq!(of_pool("upstream_connections = 600", pool, part), "");
    let capped = "seats = 600\ncaps = { u = 256 }";
    assert_eq!(of_pool("", pool, capped), "");
    let own = "[services.v]\ntier = 2\nroutes = ['/v']\nupstreams = ['http://h:1', 'http://h:2']\n";
    assert_eq!(said(&format!("{own}upstream_connections = 128\n")), "");
    let fewer = said(&format!("{own}upstream_connections = 127\n"));
    assert!(fewer.contains("take 254 connections"), "{fewer}");
    assert!(fewer.contains("to 128"), "{fewer}");
}

#[test]
fn head_room_beyond_a_cap_says_what_slow_tenants_get() {
    let part = |head_room: u32| format!("seats = 40\nhead_room = {head_room}\ncaps = {{ u = 10 }}");
    is_said(
        &of_pool("", "capacity = 40", &part(10)),
        "6:13",
        "this is not less than the cap of u (10), of which as great a part is kept: 2; tenants whose \
         requests are slow get 8 of its seats; lower `head_room`, or raise the cap, if that is too few",
    );
    assert!(of_pool("", "capacity = 40", &part(39)).contains("are slow get 1 of its"));
    assert_eq!(of_pool("", "capacity = 40", &part(9)), "");
    // Head-room that nobody wrote is meant for whatever caps there are.
    let small = "seats = 40\ncaps = { u = 2 }";
    assert_eq!(of_pool("", "capacity = 40", small), "");
}

#[test]
fn queues_in_which_nobody_waits_are_said_aloud() {
    let of = |part: &str| of_pool("", "capacity = 4", &format!("seats = 4\n{part}"));
    is_said(
        &of("queue = 9\nqueue_total = 8"),
        "6:9",
        "no tenant gets so many places: `queue_total` is 8; lower this, or raise `queue_total`",
    );
    is_said(
        &of("queue = 9\nmax_wait = '0s'"),
        "6:9",
        "nobody waits here, since `max_wait` is 0s, so this changes nothing: leave it out, or raise \
         `max_wait`",
    );
    for part in [
        "queue = 8\nqueue_total = 8",
        "queue_total = 8",
        "queue = 0\nmax_wait = '0s'",
        "max_wait = '0s'",
    ] {
        assert_eq!(of(part), "", "{part}");
    }
}

#[test]
fn a_pool_that_cannot_adapt_is_said_aloud() {
    let of = |min: u32| {
        let pool = format!("capacity = 9\nadaptive = {{ min = {min} }}");
        of_pool("", &pool, "seats = 9")
    };
    is_said(
        &of(9),
        "3:20",
        "the pool has 9 seats at least and at most, so it never adapts: lower `min`, or leave `adaptive` \
         out",
    );
    assert_eq!(of(8), "");
}

#[test]
fn times_of_calls_that_are_never_made_are_said_aloud() {
    let of = |service: &str| {
        said(&format!(
            "[services.u]\ntier = 2\nuses = ['cache']\n{service}\n[pools.cache]\nkind = 'tcp'\n\
             upstreams = ['127.0.0.1:6379']\ncapacity = 4\n[pools.cache.compartments.a]\n\
             services = ['u']\nseats = 4\nbinds = {{ u = '127.0.0.1:6380' }}\n"
        ))
    };
    is_said(
        &of("timeout = '2s'"),
        "4:11",
        "u takes no requests, only connections, so `timeout` changes nothing: leave it out; a pool of \
         connections has times of its own",
    );
    for key in [
        "connect_timeout = '1s'",
        "upgrade_idle = '1m'",
        "upstream_connections = 3",
        "response_buffer = '1MiB'",
    ] {
        assert!(of(key).contains("changes nothing"), "{key}");
    }
    assert_eq!(of(""), "");
}

/// What is said of a breaker of a service, with three tenants.
fn of_breaker(keys: &str) -> String {
    said(&format!(
        "[services.u]\ntier = 2\nroutes = ['/u']\nupstreams = ['http://h:1']\nbreaker = {{ {keys} }}\n\
         [plans.p]\n[tenants]\na = {{ plan = 'p' }}\nb = {{ plan = 'p' }}\nc = {{ plan = 'p' }}\n"
    ))
}

#[test]
fn settings_of_breakers_that_change_nothing_are_said_aloud() {
    let (once, longest) = (
        "exponential_backoff_multiplier = 1",
        "exponential_max_wait_duration_in_open_state = '1m'",
    );
    is_said(
        &of_breaker(&format!("{longest}, {once}")),
        "5:59",
        "`exponential_backoff_multiplier` is 1, so it stays open for as long each time and this changes \
         nothing: raise the factor, or leave this out",
    );
    is_said(
        &of_breaker("state = 'disabled', minimum_number_of_calls = 9"),
        "5:59",
        "`state` is \"disabled\", so `minimum_number_of_calls` changes nothing unless the state is changed \
         at run time: leave one of the two out",
    );
    is_said(
        &of_breaker("ignore_statuses = ['5xx']"),
        "5:32",
        "every status that is recorded is ignored, so no status is a failure: ignore fewer, or say \
         `record_statuses = []` if that is meant",
    );
    is_said(
        &of_breaker("rollup_minimum_tenants = 4"),
        "5:38",
        "the breaker of all tenants never opens: 4 must fail, and 3 are listed; lower this, or say 0 for no \
         such breaker",
    );
    for keys in [
        once,
        longest,
        "state = 'disabled'",
        "state = 'metrics-only', minimum_number_of_calls = 9",
        "ignore_statuses = ['503']",
        // A success that says nothing is less than a success.
        "ignore_statuses = ['404']",
        "record_statuses = [], ignore_statuses = ['404']",
        "rollup_minimum_tenants = 3",
        "rollup_minimum_tenants = 0",
    ] {
        assert_eq!(of_breaker(keys), "", "{keys}");
    }
}

#[test]
fn unlisted_tenants_have_one_vote_together() {
    let of = |least: u32| {
        said(&format!(
            "[identity]\nunknown = 'p'\n[plans.p]\n[tenants]\na = {{ plan = 'p' }}\n[services.u]\n\
             tier = 2\nroutes = ['/u']\nupstreams = ['http://h:1']\n\
             breaker = {{ rollup_minimum_tenants = {least} }}\n"
        ))
    };
    assert_eq!(of(2), "");
    // Nobody is there who could fail.
    let nobody = "[services.u]\ntier = 2\nroutes = ['/u']\nupstreams = ['http://h:1']\n\
                  breaker = { rollup_minimum_tenants = 3 }\n";
    assert_eq!(said(nobody), "");
    let notes = of(3);
    assert!(
        notes
            .contains("3 must fail, and 1 are listed, and all unlisted ones together are one more"),
        "{notes}"
    );
}

#[test]
fn alerts_that_never_fire_are_said_aloud() {
    is_said(
        &said("[alerts]\nqueue_wait = '1001ms'\n"),
        "2:14",
        "this alert never fires: the longest `max_wait` of all compartments is 1s; lower it below that",
    );
    assert_eq!(said("[alerts]\nqueue_wait = '1s'\n"), "");
    is_said(
        &said("[alerts]\nborrowed_for = '1m'\n"),
        "2:16",
        "this alert never fires: no compartment lends seats to another; leave it out, or say `lend = true` \
         of one",
    );
    let two = "[alerts]\nborrowed_for = '1m'\n[pools.db]\ncapacity = 4\n[pools.db.compartments.a]\n\
               services = ['u']\nseats = 2\n[pools.db.compartments.b]\nservices = ['v']\nseats = 2\n\
               [services.u]\ntier = 2\nroutes = ['/u']\nupstreams = ['http://h:1']\nuses = ['db']\n\
               [services.v]\ntier = 3\nroutes = ['/v']\nupstreams = ['http://h:1']\nuses = ['db']\n";
    assert_eq!(said(two), "");
    assert!(said(&two.replace("tier = 3", "tier = 1")).contains("never fires"));
}

#[test]
fn a_webhook_that_is_never_told_is_said_aloud() {
    let of = |off: &str| {
        said(&format!(
            "[alerts]\noff = [{off}]\nwebhook = {{ url = 'http://h:1/' }}\n"
        ))
    };
    let most = "'pool-filling', 'compartment-filling', 'cap-filling', 'queue-wait', 'breaker-open', \
                'limit-near', 'node-dead'";
    assert_eq!(of(most), "");
    is_said(
        &of(&format!("{most}, 'seats-borrowed'")),
        "3:11",
        "this webhook is never told anything: `off` names every alert; take out those that it should hear \
         of",
    );
}

#[test]
fn an_alert_that_looks_like_a_share_is_said_aloud() {
    let of = |alert: &str| of_pool("", &format!("capacity = 4\nalert = {alert}"), "seats = 4");
    is_said(
        &of("0.7"),
        "3:9",
        "this is 0.7 %, less than one in a hundred: is 70 % meant? Then write 70",
    );
    assert!(of("0.07").contains("write 7"));
    assert_eq!(of("1"), "");
    assert_eq!(of("70"), "");
}
