//! Listeners: encryption, tiers, and what a reload does to them.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider},
};
use watertight_gateway::Gateway;
use watertight_plan::{Secret, Tls};

use crate::world::{echo, get, get_over, plan, service, start, traffic};

/// An authority, and a certificate that it issued.
pub(crate) struct Paper {
    authority: String,
    certificate: String,
    key: String,
}

impl Paper {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Self {
            authority: issuer.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn tls(&self, client_ca: bool) -> Tls {
        Tls {
            certificate: self.certificate.clone().into_bytes(),
            key: Secret::new(self.key.as_bytes()),
            client_ca: client_ca.then(|| self.authority.clone().into_bytes()),
        }
    }

    pub(crate) async fn connect(
        &self,
        gateway: &Gateway,
        shown: Option<&Self>,
    ) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap();
        roots.add(authority).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            None => config.with_no_client_auth(),
            Some(paper) => {
                let chain = CertificateDer::from_pem_slice(paper.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(paper.key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![chain], key).unwrap()
            }
        };
        let stream = TcpStream::connect(gateway.address("traffic").unwrap())
            .await
            .unwrap();
        let name = ServerName::try_from("shop.example").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn an_encrypted_listener_tells_the_service_so() {
    let paper = Paper::new();
    let listener = traffic("traffic", Some(paper.tls(false)), None);
    let gateway = start(
        plan()
            .service(service("echo", 1, echo().await))
            .listener(listener),
    );
    let answer = get_over(paper.connect(&gateway, None).await, "/echo")
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("proto=https"), "{}", answer.text);
}

#[tokio::test]
async fn mutual_tls_serves_whom_the_authority_knows_and_nobody_else() {
    let (paper, stranger) = (Paper::new(), Paper::new());
    let listener = traffic("traffic", Some(paper.tls(true)), None);
    let gateway = start(
        plan()
            .service(service("echo", 1, echo().await))
            .listener(listener),
    );
    let known = paper.connect(&gateway, Some(&paper)).await;
    assert_eq!(get_over(known, "/echo").await.unwrap().status, 200);
    for shown in [None, Some(&stranger)] {
        let stream = paper.connect(&gateway, shown).await;
        assert!(get_over(stream, "/echo").await.is_err());
    }
}

#[tokio::test]
async fn a_tier_listener_serves_its_tier_alone() {
    let upstream = echo().await;
    let gateway = start(
        plan()
            .service(service("checkout", 1, upstream))
            .service(service("reports", 3, upstream))
            .listener(traffic("traffic", None, None))
            .listener(traffic("traffic-tier1", None, Some(1))),
    );
    let shared = gateway.address("traffic").unwrap();
    let tier1 = gateway.address("traffic-tier1").unwrap();
    assert_eq!(get(tier1, "/checkout").await.status, 200);
    assert_eq!(get(tier1, "/reports").await.status, 404);
    assert_eq!(get(shared, "/checkout").await.status, 200);
    assert_eq!(get(shared, "/reports").await.status, 200);
}

#[tokio::test]
async fn a_reload_opens_and_closes_listeners_and_keeps_the_others() {
    let upstream = echo().await;
    let base = || plan().service(service("echo", 1, upstream));
    let gateway = start(base().listener(traffic("traffic", None, None)));
    let first = gateway.address("traffic").unwrap();
    let mut limited = traffic("traffic", None, None);
    limited.limits.max_body_bytes = 0;
    let extra = traffic("traffic-extra", None, None);
    let both = base().listener(limited).listener(extra).build().unwrap();
    gateway.reload(Arc::new(both)).unwrap();
    assert_eq!(
        gateway.address("traffic"),
        Some(first),
        "its socket was kept"
    );
    assert_eq!(get(first, "/echo").await.status, 200);
    let second = gateway.address("traffic-extra").unwrap();
    assert_eq!(get(second, "/echo").await.status, 200);
    let one = base()
        .listener(traffic("traffic", None, None))
        .build()
        .unwrap();
    gateway.reload(Arc::new(one)).unwrap();
    assert_eq!(gateway.address("traffic-extra"), None);
    assert_eq!(get(first, "/echo").await.status, 200);
}

/// Answers each request by halves: the second comes when it may.
async fn by_halves(may: Arc<Notify>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = stream.read(&mut [0; 4096]).await.unwrap();
        assert!(head > 0);
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na";
        stream.write_all(half).await.unwrap();
        may.notified().await;
        stream.write_all(b"b").await.unwrap();
    });
    address
}

#[tokio::test]
async fn an_answer_under_way_outlives_its_listener() {
    for tier in [None, Some(1)] {
        let may = Arc::new(Notify::new());
        let upstream = by_halves(Arc::clone(&may)).await;
        let base = || plan().service(service("halves", 1, upstream));
        let gateway = start(base().listener(traffic("traffic-gone", None, tier)));
        let address = gateway.address("traffic-gone").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = "GET /halves HTTP/1.1\r\nhost: shop.example\r\nx-tenant-id: acme\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\na") {
            answer.push(char::from(stream.read_u8().await.unwrap()));
        }
        gateway.reload(Arc::new(base().build().unwrap())).unwrap();
        // Nobody accepts any more, so whoever did is gone.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        may.notify_one();
        assert_eq!(stream.read_u8().await.unwrap(), b'b', "tier {tier:?}");
    }
}

#[tokio::test]
async fn a_reload_that_cannot_bind_changes_nothing() {
    let upstream = echo().await;
    let base = || plan().service(service("echo", 1, upstream));
    let gateway = start(base().listener(traffic("traffic", None, None)));
    let mut taken = traffic("traffic-extra", None, None);
    taken.bind = upstream;
    let plan = base()
        .listener(traffic("traffic", None, None))
        .listener(taken);
    let error = gateway.reload(Arc::new(plan.build().unwrap())).unwrap_err();
    assert!(
        error.to_string().contains("traffic-extra cannot bind"),
        "{error}"
    );
    assert_eq!(gateway.plan().listeners().len(), 1);
    assert_eq!(
        get(gateway.address("traffic").unwrap(), "/echo")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_drained_gateway_takes_no_connections() {
    let gateway = start(plan().listener(traffic("traffic", None, None)));
    let address = gateway.address("traffic").unwrap();
    let idle = TcpStream::connect(address).await.unwrap();
    assert_eq!(gateway.drain(std::time::Duration::from_secs(5)).await, 0);
    drop(idle);
    assert!(TcpStream::connect(address).await.is_err());
}
