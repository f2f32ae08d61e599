//! Each target over mutations of its seeds: 2,000 of them, or for `WATERTIGHT_FUZZ_SECONDS`.
//! `WATERTIGHT_SEED` replays a search.

use std::panic::catch_unwind;

use watertight_fuzz::{
    beat, configuration, dialogue, gossip, gossip_seeds, identity, keeping, mutations, names, path,
    waits,
};

const RUNS: usize = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a search is as long as it was told to be"
)]
fn search(target: fn(&[u8]), seeds: &[&[u8]]) {
    let seed = number("WATERTIGHT_SEED").unwrap_or(1);
    let end = number("WATERTIGHT_FUZZ_SECONDS")
        .map(|seconds| std::time::Instant::now() + std::time::Duration::from_secs(seconds));
    for (run, bytes) in mutations(seeds, seed).enumerate() {
        let over = match end {
            None => run >= RUNS,
            Some(end) => run % 64 == 0 && std::time::Instant::now() >= end,
        };
        if over {
            return;
        }
        if catch_unwind(|| target(&bytes)).is_err() {
            panic!(
                "seed {seed}, run {run}: {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn names_hold_their_laws() {
    search(
        names,
        &[b"acme", b"a.b-c_d", b"__other__", &[b'x'; 64], &[b'x'; 65]],
    );
}

#[test]
fn paths_hold_their_laws() {
    search(
        path,
        &[
            b"/cart/7",
            b"/a/%2e%2e/b",
            b"//a/./b/..",
            b"/a%2Fb/%41?q",
            b"/t/acme/x",
        ],
    );
}

#[test]
fn identity_holds_its_laws() {
    search(
        identity,
        &[
            b"/t/acme/cart\nx-tenant-id:acme\nhost:t-acme.shop.example:80",
            b"/\nauthorization:Bearer eyJhbGciOiJIUzI1NiJ9.eyJ0ZW5hbnQiOiJhIn0.AAAA",
            b"http://t-acme.shop.example/\nx-api-key:a key of some bytes",
            b"/x\nx-tenant-id:a\nx-tenant-id:b\nauthorization:Basic x",
        ],
    );
}

#[test]
fn keeping_holds_its_laws() {
    search(
        keeping,
        &[
            b"max-age=60, must-revalidate\ns-maxage=9, public",
            b"private=\"x-name, y\", No-Store",
            b"no-cache\n max-age=\"5\" ,,",
            b"accept-encoding, Accept\n*",
        ],
    );
}

#[test]
fn configurations_hold_their_laws() {
    let sample = include_bytes!("../../watertight.example.toml");
    search(
        configuration,
        &[
            sample,
            b"[node]\nid = \"${X:-edge}\"\n",
            b"[plans.a]\nweight = 0\n",
        ],
    );
}

#[test]
fn waits_hold_their_laws() {
    search(
        waits,
        &[
            b"120\nSun, 06 Nov 1994 08:49:37 GMT\n\"a\";r=0;t=5, b;r=1;t=9",
            b"Sun, 06 Nov 2044 08:49:37 GMT\nSun, 06 Nov 2044 08:49:07 GMT\n",
            b"Sunday, 06-Nov-94 08:49:37 GMT\nSun Nov  6 08:49:37 1994",
            b"99999999999999999999\n\n",
            b"\n\n\"a\";r=0;t=5;pk=:cHNzc3Q=:\n%\"f%c3\";r=0;t=1, (a b;c);r=0, @1;x=?1;r=0;t=-1.5",
        ],
    );
}

#[test]
fn the_search_finds_a_planted_bug() {
    fn planted(bytes: &[u8]) {
        assert!(
            !bytes.windows(2).any(|pair| pair == b".."),
            "two dots in a row"
        );
    }
    assert!(catch_unwind(|| search(planted, &[b"/a/./b"])).is_err());
}

#[test]
fn beats_hold_their_laws() {
    search(
        beat,
        &[
            b"\x01\x04n-17\x03\x2a\xe8\x07\x00",
            b"\x01\x01a\x00\x00\x00\x05\x01\x02\x00\x32\x00",
        ],
    );
}

#[test]
fn gossip_holds_its_laws() {
    let seeds = gossip_seeds();
    assert!(seeds.len() > 10);
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    search(gossip, &seeds);
}

#[test]
fn the_dialogue_holds_its_laws() {
    search(
        dialogue,
        &[
            b"POST /heartbeat\n{\"node_id\": \"w1\", \"ts\": 1.5}",
            b"POST /v1/heartbeats\n[{\"node_id\":\"a\",\"generation\":2,\"sequence\":7,\"interval_ms\":100,\
              \"metadata\":{\"load\":40,\"shards\":[\"s\"]}},{\"node_id\":\"b\"},{\"node_id\":\"c\"},{\"node_id\":\"d\"}]",
            b"GET /v1/heartbeats?from=0&most=10\n",
            b"DELETE /v1/heartbeats/w1?generation=7\n",
            b"GET /status\n",
            b"GET /v1/missed\n",
        ],
    );
}
