//! `watertight top`: a node, live.
//!
//! What is drawn is a pure function of two snapshots and a size (`frame`), so that it can be tested
//! without a terminal. Where standard output is none, one plain frame is printed per interval.

mod bar;
mod frame;
mod line;
mod screen;
mod snapshot;

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use clap::Args;
use watertight_layers::Clock;

use self::{frame::frame, screen::Screen, snapshot::Snapshot};
use super::{
    access::{NodeArguments, runtime},
    environment, print,
};
use crate::client::{Client, ClientError};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    /// How often the node is asked.
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print one plain frame and stop.
    #[arg(long)]
    once: bool,
}

/// The size of a frame that no terminal bounds.
const PLAIN_WIDTH: usize = 100;
const PLAIN_HEIGHT: usize = 200;
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let client = arguments.node.client()?;
    let clock = Clock::start();
    if arguments.once || !std::io::stdout().is_terminal() {
        runtime()?.block_on(plain(&client, clock, arguments))?;
    } else {
        live(client, clock, arguments.interval)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn interval(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (INTERVAL_MIN..=INTERVAL_MAX).contains(&span) {
        return Ok(span);
    }
    Err("it lies between 100ms and 1h".to_owned())
}

async fn plain(client: &Client, clock: Clock, arguments: &Arguments) -> Result<(), ClientError> {
    let width = environment("COLUMNS").and_then(|columns| columns.parse().ok());
    let width = width.unwrap_or(PLAIN_WIDTH);
    let mut before: Option<Snapshot> = None;
    let mut every = tokio::time::interval(arguments.interval);
    loop {
        every.tick().await;
        let now = Snapshot::take(client, clock).await?;
        let lines = frame(before.as_ref().unwrap_or(&now), &now, width, PLAIN_HEIGHT);
        let lines: Vec<String> = lines.iter().map(line::Line::plain).collect();
        print(&lines.join("\n"));
        if arguments.once {
            return Ok(());
        }
        print("");
        before = Some(now);
    }
}

/// What happens while a terminal is drawn on.
enum Event {
    Taken(Box<Result<Snapshot, ClientError>>),
    Quit,
}

/// Asks the node on a thread of its own, so that keys are heard while it does not answer.
fn live(client: Client, clock: Clock, interval: Duration) -> anyhow::Result<()> {
    let (sender, events) = std::sync::mpsc::sync_channel(1);
    let signals = sender.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.spawn(async move {
        let mut every = tokio::time::interval(interval);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let taken = Event::Taken(Box::new(Snapshot::take(&client, clock).await));
            if sender.send(taken).is_err() {
                return;
            }
        }
    });
    let mut terminate = {
        let _in_runtime = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?
    };
    runtime.spawn(async move {
        terminate.recv().await;
        let _ = signals.send(Event::Quit);
    });
    let outcome = watch(&events);
    runtime.shutdown_background();
    outcome
}

fn watch(events: &std::sync::mpsc::Receiver<Event>) -> anyhow::Result<()> {
    let mut screen = Screen::open()?;
    let (mut before, mut now, mut trouble) = (None, None, None);
    loop {
        let mut is_stale = screen.was_resized();
        match events.try_recv() {
            Ok(Event::Quit) => return Ok(()),
            Ok(Event::Taken(taken)) => {
                is_stale = true;
                match *taken {
                    Ok(taken) => {
                        before = now.replace(taken).or(before);
                        trouble = None;
                    }
                    // Nothing was ever seen: there is nothing to keep showing.
                    Err(error) if now.is_none() => return Err(error.into()),
                    Err(error) => trouble = Some(error.to_string()),
                }
            }
            Err(_) => {}
        }
        if let (true, Some(now)) = (is_stale, &now) {
            let (width, height) = screen.size();
            let last = before.as_ref().unwrap_or(now);
            let lines = match &trouble {
                None => frame(last, now, width, height),
                Some(trouble) => {
                    let mut lines = frame(last, now, width, height.saturating_sub(1));
                    lines.insert(0, line::Line::of(line::Tone::Bad, trouble).cut(width));
                    lines
                }
            };
            screen.draw(&lines)?;
        }
        if screen.wait_for_quit()? {
            return Ok(());
        }
    }
}
