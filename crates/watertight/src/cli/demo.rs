//! `watertight demo`: the shop, calm, in a storm without walls, and in a storm with walls.
//!
//! A real node stands in front of a real shop, on free ports. Taking the walls out and raising them
//! again is a reload of its configuration, like any other.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use watertight_guard::alert::State;
use watertight_plan::Plan;
use watertight_proof::{
    Alert, Error, FrontDoor, Phase, Progress, Report, Scenario, Shop, Walls, report,
    scenario::{Stage, Step},
    shop::{Listen, configuration},
    verdict,
};

use super::{
    Output, print,
    progress::Bar,
    say,
    up::{control_runtime, raise_open_files},
};
use crate::{admin::Admin, alerts::Watch, config, node::Node};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Write the report, one self-contained HTML page, to this file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// How the figures are printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Stop when the figures are printed, instead of keeping node and shop running.
    #[arg(long)]
    exit: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    raise_open_files();
    control_runtime()?.block_on(demo(arguments))
}

async fn demo(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let shop = Shop::start()?;
    // Port 0 takes a free one.
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listen = Listen {
        traffic: any,
        admin: any,
        connections: None,
    };
    let text = |walls| configuration(shop.addresses(), walls, listen);
    let door = Door::open(&text(Walls::Up), &text(Walls::Out))?;
    let bar = Bar::new();
    let report = Scenario::default().run(&shop, &door, &bar).await?;
    bar.clear();
    match arguments.output {
        Output::Json => print(&report.json()),
        Output::Table => print(&report::table(&report)),
    }
    if let Some(path) = &arguments.report {
        let page = report::html(&report);
        std::fs::write(path, page)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        say(&format!("the report is in {}", path.display()));
    }
    if !arguments.exit {
        keep_running(&door).await?;
    }
    Ok(exit_code(&report))
}

/// 1 when the walls did not hold, so that a pipeline notices; what broke is said.
fn exit_code(report: &Report) -> ExitCode {
    let broken = verdict::broken(report);
    for promise in &broken {
        say(&format!("broken promise: {promise}"));
    }
    if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn keep_running(door: &Door) -> anyhow::Result<()> {
    say(&format!(
        "\nNode and shop keep running, walls up. Try:\n  \
         curl -i -H 'x-tenant-id: acme' http://{traffic}/checkout\n  \
         watertight top --node http://{admin}\n  \
         watertight explain --tenant acme --path /checkout --node http://{admin}\n\
         Press Ctrl-C to stop.",
        traffic = door.traffic,
        admin = door.admin_address()?,
    ));
    tokio::signal::ctrl_c()
        .await
        .context("signals cannot be received")
}

/// The node under proof, with the two plans that it is switched between.
struct Door {
    node: Arc<Node>,
    traffic: SocketAddr,
    up: Plan,
    out: Plan,
    admin: Admin,
    _alerts: Watch,
}

impl Door {
    fn open(up: &str, out: &str) -> anyhow::Result<Self> {
        let plan = |text| {
            Ok::<_, anyhow::Error>(
                config::parse("shop.toml", text, Path::new("."), &|_| None)?.plan,
            )
        };
        let (up, out) = (plan(up)?, plan(out)?);
        let node = Node::start(up.clone(), Vec::new(), None)?;
        let admin = Admin::open(&node)?;
        let traffic = node
            .gateway()
            .address("traffic")
            .context("the front door is not open")?;
        Ok(Self {
            traffic,
            up,
            out,
            _alerts: Watch::start(&node, admin.url()),
            admin,
            node,
        })
    }

    fn admin_address(&self) -> anyhow::Result<SocketAddr> {
        let plan = self.node.plan();
        let mut addresses = plan
            .listeners()
            .iter()
            .filter_map(|listener| self.admin.address(listener));
        addresses.next().context("the admin listener is not open")
    }
}

impl FrontDoor for Door {
    fn address(&self) -> SocketAddr {
        self.traffic
    }

    async fn set_walls(&self, walls: Walls) -> Result<(), Error> {
        let plan = match walls {
            Walls::Up => &self.up,
            Walls::Out | Walls::Shared => &self.out,
        };
        self.node
            .replace(plan.clone())
            .map_err(|error| Error::FrontDoor(Box::new(error)))?;
        Ok(())
    }

    fn seat_seconds(&self, service: &str) -> f64 {
        let pools = self.node.gateway().admission().pools();
        let slots = pools
            .iter()
            .flat_map(|pool| &pool.compartments)
            .flat_map(|part| &part.slots);
        let seats = slots.filter(|slot| slot.service.as_str() == service);
        seats.map(|slot| slot.seat_time.as_secs_f64()).sum()
    }

    fn seats_open(&self, services: &[&str]) -> u32 {
        let pools = self.node.gateway().admission().pools();
        let parts = pools.iter().flat_map(|pool| &pool.compartments);
        // The reserve is not open to tenants.
        let slots = parts
            .filter(|part| !part.is_reserve)
            .flat_map(|part| &part.slots);
        let open = slots.filter(|slot| services.contains(&slot.service.as_str()));
        open.map(|slot| slot.cap).sum()
    }

    fn alerts(&self) -> Vec<Alert> {
        let board = self.node.alarm().view().board;
        let fired = board.alerts.into_iter();
        let fired = fired.filter(|alert| alert.state != State::Pending);
        let clock = self.node.clock();
        let told = fired.map(|alert| Alert {
            began: clock.instant(alert.began),
            says: alert.says,
        });
        told.collect()
    }
}

impl Progress for Bar {
    fn at(&self, step: Step) {
        let what = match step.phase {
            Phase::Calm => "calm",
            Phase::StormUnguarded => "storm, without walls",
            Phase::StormGuarded => "storm, with walls",
        };
        let stage = match step.stage {
            Stage::Preparing => " (warming up)",
            Stage::Measuring { .. } => "",
            Stage::Settling => " (settling)",
        };
        self.show(format!("{what}{stage}"), step.overall_pct());
    }
}
