//! The walls of a running node, as audit and map look at them.

use std::process::ExitCode;

use watertight_plan::Plan;
use watertight_proof::{NodeView, Sitting, Wall};

use super::{
    access::{NamedNode, runtime},
    complain,
};
use crate::{
    admin::view::{Alerts, Config, EffectivePlan, Pools, Status},
    client::{Client, ClientError},
};

/// Nobody could look: that is another answer than a hole.
const UNKNOWN: u8 = 2;

/// What came of looking at walls; an error is said, and is [`UNKNOWN`].
pub(super) fn seen(looked: anyhow::Result<ExitCode>) -> ExitCode {
    looked.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::from(UNKNOWN)
    })
}

/// What the node says that was named; none where none was.
pub(super) fn ask(node: &NamedNode, plan: &Plan) -> anyhow::Result<Option<NodeView>> {
    let Some(arguments) = node.named() else {
        return Ok(None);
    };
    let client = arguments.client()?;
    Ok(Some(runtime()?.block_on(view(&client, plan))?))
}

async fn view(client: &Client, plan: &Plan) -> Result<NodeView, ClientError> {
    let status: Status = client.get("/v1/status").await?;
    let config: Config = client.get("/v1/config").await?;
    let pools: Pools = client.get("/v1/pools").await?;
    let alerts: Alerts = client.get("/v1/alerts").await?;
    let firing = alerts.alerts.iter().filter(|alert| alert.state == "firing");
    Ok(NodeView {
        node: status.node,
        uptime_s: status.uptime_s,
        runs_this: config.plan == EffectivePlan::from(plan),
        firing: firing.map(|alert| alert.says.clone()).collect(),
        webhook_error: alerts.webhook.and_then(|webhook| webhook.error),
        walls: walls(&pools),
    })
}

fn walls(pools: &Pools) -> Vec<Wall> {
    let parts = pools.pools.iter().flat_map(|pool| {
        let parts = pool.compartments.iter();
        parts.map(move |part| (pool.pool.clone(), part))
    });
    parts
        .map(|(pool, part)| Wall {
            pool,
            compartment: part.compartment.clone(),
            seats: part.seats,
            in_use: part.in_use,
            borrowed: part.borrowed,
            lent: part.lent,
            waiting: part.waiting,
            seat_seconds: part.seat_seconds,
            sitting: part
                .slots
                .iter()
                .map(|slot| Sitting {
                    service: slot.service.clone(),
                    in_use: slot.in_use,
                    waiting: slot.waiting,
                    seat_seconds: slot.seat_seconds,
                    granted: slot.granted,
                    shed: slot.shed,
                    mean_wait_ms: slot.mean_wait_ms,
                })
                .collect(),
        })
        .collect()
}
