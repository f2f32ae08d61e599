//! Who may ask.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use watertight::client::{Access, Client, ClientError};

use super::{LISTEN, Running, ask, scratch};

const TOKEN: &str = "a-token-that-nobody-guesses";

fn with_token(name: &str) -> Running {
    let file = scratch(name).join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let token = format!(
        "listen.admin.token_file = {:?}\n",
        file.display().to_string()
    );
    Running::of(&format!("{LISTEN}{token}"), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_everywhere_but_at_the_health_checks() {
    let running = with_token("everywhere");
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(running.get(path).await.status, 200, "{path}");
    }
    let document = watertight::admin::openapi();
    let paths = document["paths"].as_object().unwrap();
    let closed = paths
        .keys()
        .filter(|path| !matches!(path.as_str(), "/livez" | "/readyz" | "/healthz"));
    for path in closed.map(String::as_str).chain(["/nowhere"]) {
        let answer = running.get(path).await;
        assert_eq!(answer.problem().status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{path}");
    }
    assert_eq!(running.post("/v1/reload").await.problem().status, 401);
    let order = running.post_json("/v1/breakers/a", r#"{"state": "forced-open"}"#);
    assert_eq!(order.await.problem().status, 401);
    let right = format!("Bearer {TOKEN}");
    for (shown, expected) in [
        (right.as_str(), 200),
        ("Bearer wrong-token-of-some-length", 401),
    ] {
        let headers = [("authorization", shown), ("host", "node.internal")];
        let answer = ask(running.admin(), "GET", "/v1/status", &headers).await;
        assert_eq!(answer.status, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_rebound_to_loopback_is_refused() {
    let running = Running::shop();
    for (host, expected) in [
        ("evil.example", 403),
        ("localhost:7070", 200),
        ("127.0.0.1", 200),
    ] {
        let answer = ask(running.admin(), "GET", "/v1/status", &[("host", host)]).await;
        assert_eq!(answer.status, expected, "{host}");
        if expected == 403 {
            assert!(answer.problem().detail.contains("localhost"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_cannot_reload() {
    let running = Running::shop();
    let headers = [("sec-fetch-site", "cross-site")];
    let answer = ask(running.admin(), "POST", "/v1/reload", &headers).await;
    assert_eq!(answer.problem().status, 403);
    let headers = [("sec-fetch-site", "same-origin")];
    let answer = ask(running.admin(), "POST", "/v1/reload", &headers).await;
    assert_eq!(answer.problem().status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_is_refused() {
    let running = Running::shop();
    let mut stream = TcpStream::connect(running.admin()).await.unwrap();
    let head = "POST /v1/reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 65537\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_caches_and_none_is_sniffed() {
    let running = Running::shop();
    for path in ["/livez", "/metrics", "/v1/status", "/nowhere"] {
        let answer = running.get(path).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
}

fn client(node: String, token: Option<&str>) -> Client {
    let access = Access {
        node: Some(node),
        token: token.map(str::to_owned),
        ..Access::default()
    };
    Client::new(&access).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_says_what_to_do_about_what_goes_wrong() {
    let running = with_token("client");
    let get = async |node: String, token| {
        let client = client(node, token);
        client.get::<serde_json::Value>("/v1/status").await
    };
    assert!(get(running.url(), Some(TOKEN)).await.is_ok());
    let error = get(running.url(), None).await.unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized { .. }));
    assert!(error.to_string().contains("--token-file"), "{error}");
    let traffic = format!("http://{}", running.traffic());
    let error = get(traffic, None).await.unwrap_err();
    assert!(error.to_string().contains("admin listener"), "{error}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let error = get(format!("http://{address}"), None).await.unwrap_err();
    let expected = format!(
        "no node answers at http://{address} (connection refused): is it running? `watertight up`"
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_behind_mutual_tls_answers_who_shows_a_certificate() {
    let folder = scratch("tls");
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = parameters.self_signed(&authority).unwrap();
    let issuer = rcgen::Issuer::from_params(&parameters, &authority);
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ca = write("ca.pem", ca.pem());
    let signed = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        let certificate = write(&format!("{name}.pem"), certificate.pem());
        (
            certificate,
            write(&format!("{name}.key"), key.serialize_pem()),
        )
    };
    let (server, client) = (signed("localhost"), signed("operator"));
    let tls = format!(
        "listen.admin.tls = {{ certificate = {:?}, key = {:?}, client_ca = {:?} }}\n",
        server.0.display().to_string(),
        server.1.display().to_string(),
        ca.display().to_string(),
    );
    let running = Running::of(&format!("{LISTEN}{tls}"), None);
    let access = Access {
        node: Some(format!("https://localhost:{}", running.admin().port())),
        ca: Some(ca),
        identity: Some(client),
        ..Access::default()
    };
    let shown = Client::new(&access).unwrap();
    let status: serde_json::Value = shown.get("/v1/status").await.unwrap();
    assert_eq!(status["listeners"][0]["mutual_tls"], true);
    let anonymous = Access {
        identity: None,
        ..access
    };
    let anonymous = Client::new(&anonymous).unwrap();
    assert!(anonymous.text("/livez").await.is_err());
}
