//! The configurations that tests begin with.

use std::net::SocketAddr;

use watertight_e2e::{client, node::Node, wait};

/// One service at `/`, called `app`; every tenant may use it, `acme` is listed.
pub(crate) fn one(upstream: &str) -> String {
    with(&[upstream], "")
}

/// One service with several upstreams, and more keys of its table.
pub(crate) fn with(upstreams: &[&str], keys: &str) -> String {
    format!(
        r#"
[identity]
tenant = ["header:x-tenant-id"]
unknown = "standard"
[plans.standard]
[tenants.acme]
plan = "standard"
[services.app]
tier = 2
routes = ["/"]
upstreams = {upstreams:?}
{keys}
"#
    )
}

/// One service with one seat, and nowhere to wait for it: who finds it taken is refused.
pub(crate) fn one_seat(upstream: &str, keys: &str) -> String {
    let service = with(&[upstream], &format!("uses = [\"database\"]\n{keys}"));
    format!(
        r#"{service}
[pools.database]
capacity = 1
[pools.database.compartments.app]
services = ["app"]
seats = 1
queue = 0
max_wait = "0s"
"#
    )
}

/// A table of a traffic listener on a free port, with its limits.
pub(crate) fn listener(limits: &str) -> String {
    format!("[listen.traffic]\nbind = \"127.0.0.1:0\"\n{limits}\n")
}

/// The status of a request for `path` on behalf of `acme`; 0 when no whole answer came.
pub(crate) fn status(to: SocketAddr, path: &str) -> u16 {
    run(client::ask(to, path, "acme")).map_or(0, |reply| reply.status)
}

/// Fails unless the one seat is held.
pub(crate) fn seat_is_held(node: &Node) {
    let status = status(node.traffic(), "/is-it-free");
    assert!(matches!(status, 429 | 503), "the seat is free: {status}");
}

/// Waits until the one seat is back.
pub(crate) fn seat_is_back(node: &Node) {
    wait::until("the seat is back", wait::SOON, || {
        (status(node.traffic(), "/is-it-free") == 200).then_some(())
    });
}

/// An address that nobody uses. It is not on the host that nodes and upstreams take free ports of, so
/// that none of them gets the same one.
pub(crate) fn free_address() -> SocketAddr {
    let socket = std::net::TcpListener::bind(("127.0.0.2", 0)).unwrap();
    socket.local_addr().unwrap()
}

/// Runs a test's future to its end, on threads of its own.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}
