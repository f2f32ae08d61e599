//! A drill against a target that goes down with the fault that is injected.

use super::*;
use crate::Class;
use crate::drill::{About, Bounds, Cast, DrillReport, Fault, Outcome, Role};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The hits of the fault that is in force.
type InForce = Arc<Mutex<Option<u64>>>;

/// A node without walls: while a fault is in force, it fails every request.
struct Fragile {
    address: SocketAddr,
    fault: InForce,
}

impl Fragile {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = InForce::default();
        let in_force = Arc::clone(&fault);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&in_force)));
            }
        });
        Self { address, fault }
    }
}

async fn serve(mut stream: TcpStream, in_force: InForce) -> std::io::Result<()> {
    let mut head = [0; 4_096];
    while stream.read(&mut head).await? > 0 {
        let status = match in_force.lock().unwrap().as_mut() {
            Some(hits) => {
                *hits += 1;
                "503 Service Unavailable"
            }
            None => "200 OK",
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

impl Target for Fragile {
    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn inject(&self, _: &Fault) -> Result<u64, Error> {
        *self.fault.lock().unwrap() = Some(0);
        Ok(1)
    }

    async fn renew(&self, _: u64) -> Result<Option<u64>, Error> {
        Ok(*self.fault.lock().unwrap())
    }

    async fn restore(&self) -> Result<(), Error> {
        *self.fault.lock().unwrap() = None;
        Ok(())
    }

    async fn seats(&self, _: &[String]) -> Result<Seats, Error> {
        Ok(Seats::default())
    }

    async fn rest(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn cast() -> Cast {
    let role = |service: &str, tier, rate_per_s| Role {
        service: service.to_owned(),
        tier,
        path: format!("/{service}"),
        rate_per_s,
    };
    Cast {
        roles: vec![role("checkout", 1, 100.0), role("reporting", 3, 5.0)],
        tenants: vec![("acme".to_owned(), Class::Standard)],
        noisy: "noisy".to_owned(),
        bounds: Bounds {
            storm_per_s: 20.0,
            ..Bounds::NODE
        },
        is_shop: false,
    }
}

#[test]
fn a_guard_that_trips_while_a_fault_is_in_force_ends_the_storm_and_makes_a_report() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Longer than it takes until leases are renewed.
    let timing = Timing {
        phase_length: Duration::from_secs(2),
        ..Timing::default()
    };
    let spec = Spec::new(Name::SaturateTier(3), &cast(), None).unwrap();
    assert!(!spec.faults.is_empty());
    let (findings, in_force) = runtime.block_on(async {
        let target = Fragile::start().await;
        let findings = run(&spec, timing, &target, &|_| {}).await;
        (findings, *target.fault.lock().unwrap())
    });
    let findings = findings.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(in_force, None);
    let aborted = findings.aborted.clone().unwrap();
    assert!(aborted.at_s < 2.0, "{aborted:?}");
    assert!(findings.pressure.faults[0].hits > 0);
    let report = DrillReport::new(About::default(), &spec, timing, findings);
    assert_eq!(report.outcome, Outcome::NotHeld);
    assert!(report.verdict.contains("the guard"), "{}", report.verdict);
}
