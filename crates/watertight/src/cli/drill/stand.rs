//! What a drill leans on: a node behind its admin API, and the shop behind that if it is ours.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use watertight_proof::{
    Error, Shop,
    drill::{About, Fault, Seats, Target},
};

use crate::{
    admin::{
        Admin,
        view::{Fault as FaultView, FaultsRemoved, Pools, Status},
    },
    client::{Client, ClientError},
    node::Node,
};

/// How long the shop may take to come to rest.
const REST_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// How often it is looked whether it has.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

/// What is drilled.
pub(super) struct Stand {
    client: Client,
    traffic: SocketAddr,
    status: Status,
    walls: &'static str,
    /// Numbers of the faults that were injected and not taken back yet.
    injected: Mutex<Vec<u64>>,
    own: Option<Own>,
}

/// What is ours alone: dropped, it is gone.
pub(super) struct Own {
    pub(super) shop: Shop,
    pub(super) _admin: Admin,
    pub(super) _node: Arc<Node>,
}

impl Stand {
    pub(super) async fn new(
        client: Client,
        traffic: SocketAddr,
        walls: &'static str,
        own: Option<Own>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            status: client.get("/v1/status").await?,
            client,
            traffic,
            walls,
            injected: Mutex::default(),
            own,
        })
    }

    pub(super) fn allows_faults(&self) -> bool {
        self.status.injected.allowed
    }

    pub(super) fn title(&self) -> String {
        let walls = self.walls;
        match self.own {
            Some(_) => format!("the shop, walls {walls}"),
            None => format!("node {} at {}", self.status.node, self.client.node()),
        }
    }

    pub(super) fn about(&self) -> About {
        About {
            node: self.status.node.clone(),
            address: self.traffic.to_string(),
            walls: self.walls.to_owned(),
            map: self.status.map.clone(),
            began: now(),
            ended: String::new(),
        }
    }

    /// Whether nobody sits or waits at the front door.
    async fn is_idle(&self) -> Result<bool, Error> {
        let pools: Pools = self.client.get("/v1/pools").await.map_err(failed)?;
        let mut parts = pools.pools.iter().flat_map(|pool| &pool.compartments);
        Ok(parts.all(|part| part.in_use == 0 && part.waiting == 0))
    }

    fn injected(&self) -> MutexGuard<'_, Vec<u64>> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target for Stand {
    fn address(&self) -> SocketAddr {
        self.traffic
    }

    async fn inject(&self, fault: &Fault) -> Result<u64, Error> {
        let injected: FaultView = self
            .client
            .post("/v1/faults", Some(fault))
            .await
            .map_err(failed)?;
        self.injected().push(injected.id);
        Ok(injected.id)
    }

    async fn renew(&self, id: u64) -> Result<Option<u64>, Error> {
        let path = format!("/v1/faults/{id}");
        let renewed = self.client.post::<FaultView>(&path, None::<&()>).await;
        match renewed {
            Ok(fault) => Ok(Some(fault.hits)),
            Err(ClientError::Problem { status: 404, .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn restore(&self) -> Result<(), Error> {
        let ids = std::mem::take(&mut *self.injected());
        let mut result = Ok(());
        for id in ids {
            let path = format!("/v1/faults/{id}");
            match self.client.delete::<FaultsRemoved>(&path).await {
                Ok(_) | Err(ClientError::Problem { status: 404, .. }) => {}
                Err(error) => {
                    self.injected().push(id);
                    result = Err(failed(error));
                }
            }
        }
        result
    }

    async fn seats(&self, services: &[String]) -> Result<Seats, Error> {
        let pools: Pools = self.client.get("/v1/pools").await.map_err(failed)?;
        let parts = pools.pools.iter().flat_map(|pool| &pool.compartments);
        let slots = parts
            .filter(|part| !part.reserve)
            .flat_map(|part| &part.slots)
            .filter(|slot| services.contains(&slot.service));
        Ok(slots.fold(Seats::default(), |seats, slot| Seats {
            seats: seats.seats.saturating_add(slot.cap),
            used_seat_s: seats.used_seat_s + slot.seat_seconds,
        }))
    }

    async fn rest(&self) -> Result<(), Error> {
        let Some(Own { shop, .. }) = &self.own else {
            return Ok(());
        };
        let rests = async {
            // First the door: what it still has to do, the shop will have to do.
            while !self.is_idle().await? {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            shop.wait_until_idle().await;
            Ok(())
        };
        tokio::time::timeout(REST_MAX, rests)
            .await
            .unwrap_or_else(|_| {
                let statistics = shop.database().statistics();
                Err(Error::StillBusy {
                    waited: REST_MAX,
                    in_use: statistics.in_use,
                    waiting: statistics.waiting,
                })
            })
    }
}

fn failed(error: ClientError) -> Error {
    Error::Node(Box::new(error))
}

/// The time of day, RFC 3339.
#[expect(clippy::disallowed_methods, reason = "a report tells the time of day")]
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
