//! Beyond a limit: what is served instead of a refusal, and how fast bytes go.

use http::{Method, Request};
use watertight_e2e::{
    client::{Client, Reply, get},
    node::Node,
    upstream::Upstream,
};

use crate::settings::{one, run, with};

/// One request an hour to each of three prefixes, and then less.
fn config(upstream: &Upstream) -> String {
    let limit = |name: &str, fallback: &str| {
        format!(
            "{{ name = \"{name}\", limit = 1, per = \"1h\", routes = [\"/{name}\"], \
             excess = \"degrade\", fallback = {fallback} }}"
        )
    };
    let limits = [
        limit("fixed", "{ status = 200, body = \"later\" }"),
        limit("stale", "{ stale = \"10m\" }"),
        limit("less", "{ header = \"x-serve-less\", value = \"1\" }"),
    ];
    with(
        &[&upstream.http()],
        &format!("throttle = [{}]", limits.join(", ")),
    )
}

async fn head(client: &mut Client, path: &str) -> Reply {
    let mut request: Request<_> = get(path, "acme");
    *request.method_mut() = Method::HEAD;
    client.ask(request).await.expect("an answer")
}

#[test]
fn each_limit_serves_what_it_says_over_both_protocols() {
    let upstream = Upstream::start();
    let node = Node::start(&config(&upstream));
    run(async {
        let mut first = Client::http1(node.traffic()).await;
        for path in ["/fixed", "/stale", "/less"] {
            let whole = first.ask(get(path, "acme")).await.expect("an answer");
            assert_eq!(
                (whole.status, whole.header("watertight-degraded")),
                (200, "")
            );
        }
        for mut client in [first, Client::http2(node.traffic()).await] {
            for path in ["/fixed", "/stale", "/less"] {
                let less = client.ask(get(path, "acme")).await.expect("an answer");
                assert_eq!(less.status, 200, "{path}");
                assert_eq!(less.header("watertight-degraded"), &path[1..]);
                let length = less.body.len().to_string();
                match path {
                    "/fixed" => assert_eq!(less.body, "later"),
                    "/stale" => assert!(less.header("cache-status").contains("hit")),
                    _ => assert_eq!(less.json()["headers"]["x-serve-less"], "1"),
                }
                if path != "/less" {
                    let head = head(&mut client, path).await;
                    assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
                    assert_eq!(head.header("content-length"), length);
                }
            }
        }
    });
}

#[test]
fn the_last_good_answer_outlives_its_service_and_a_reload() {
    let mut upstream = Upstream::start();
    let config = config(&upstream);
    let node = Node::start(&config);
    let ask = |tenant: &str| {
        run(async {
            let mut client = Client::http1(node.traffic()).await;
            client.ask(get("/stale", tenant)).await.expect("an answer")
        })
    };
    let whole = ask("acme");
    assert_eq!(whole.status, 200);
    upstream.kill();
    node.reload(&config.replace("10m", "9m"));
    let stale = ask("acme");
    assert_eq!((stale.status, &stale.body), (200, &whole.body));
    assert_eq!(stale.header("watertight-degraded"), "stale");
    let other = ask("globex");
    assert_eq!(other.status, 502, "another tenant gets none of it");
    assert_eq!(ask("globex").status, 429);
}

#[test]
fn bytes_go_both_ways_as_fast_as_they_may_and_all_arrive() {
    let upstream = Upstream::start();
    let limit =
        "[[throttle]]\nname = \"bytes\"\nlimit = \"64KiB\"\nper = \"1s\"\ncounts = \"bytes\"\n";
    let node = Node::start(&format!(
        "{}timeout = \"500ms\"\n{limit}",
        one(&upstream.http())
    ));
    run(async {
        let mut client = Client::http1(node.traffic()).await;
        let down = client.ask(get("/bytes?n=150000", "acme")).await;
        assert_eq!(down.expect("an answer").body.len(), 150_000);
        let mut up = get("/sink", "acme");
        *up.method_mut() = Method::POST;
        *up.body_mut() = vec![7; 150_000].into();
        let up = client.ask(up).await.expect("an answer");
        assert_eq!(up.status, 200);
        assert_eq!(up.json()["body_bytes"], 150_000);
    });
}
