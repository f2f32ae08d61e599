//! A calm, then a flood: what becomes of checkout while recommendations and reporting ask for all
//! that there is?
//!
//! Checkouts come at a fixed rate, whether or not earlier ones are done, and are timed from when they
//! were due; so a wait is not hidden by fewer requests. Who holds what is asked of the server itself.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_postgres::Config;
use watertight_base::{TenantId, Tick};
use watertight_guard::alert::Effect;
use watertight_layers::{Alerts, Bulkheads, Clock};

use crate::{Connections, bulkheads};

/// What is done to the database.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// How long checkout is alone.
    pub calm: Duration,
    /// How long the others flood.
    pub flooded: Duration,
    /// Checkouts per second.
    pub rate: u32,
    /// How many of each of the others ask at once.
    pub floods: u32,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Checkout's times, sorted, without and with the flood.
    pub times: [Vec<Duration>; 2],
    /// Checkouts that failed.
    pub failures: u64,
    /// Queries of recommendations and reporting that were answered, and that were refused.
    pub answered: u64,
    /// See above.
    pub refused: u64,
    /// The most connections of each service at once, as the server says, and when it first said so.
    pub most: BTreeMap<String, (i64, Tick)>,
    /// The alerts that fired.
    pub told: Vec<Told>,
    /// When the flood began.
    pub began: Tick,
}

/// An alert.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its kind: `cap-filling`.
    pub kind: &'static str,
    /// What it is about, by label.
    pub about: BTreeMap<&'static str, String>,
    /// A sentence for people.
    pub says: String,
    /// When the value reached its mark.
    pub began: Tick,
    /// When we were told.
    pub at: Tick,
}

/// Whatever stopped the example.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

type Services = HashMap<String, Connections>;

const WHO_HOLDS_WHAT: &str = "SELECT application_name, count(*) FROM pg_stat_activity \
    WHERE backend_type = 'client backend' GROUP BY 1";
const CHECKOUT: &str = "UPDATE watertight_stock SET amount = amount - 1 WHERE item = $1";
/// A tenth of a second in which the connection is held.
const SLOW: &str = "SELECT count(*) FROM watertight_stock, pg_sleep(0.1) WHERE amount > $1";
const ITEMS: i64 = 1_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

impl Default for Storm {
    fn default() -> Self {
        Self {
            calm: Duration::from_secs(6),
            flooded: Duration::from_secs(12),
            rate: 100,
            floods: 64,
        }
    }
}

impl Storm {
    /// Lets it blow.
    ///
    /// # Errors
    /// When the database is not to be had. What a service meets afterwards is counted instead.
    pub async fn run(&self, config: &Config) -> Result<Figures, Failure> {
        let walls = bulkheads()?;
        let services = Self::services(&walls, config)?;
        prepare(&services).await?;
        let (stop, stopped) = watch::channel(false);
        let figures = Arc::new(Mutex::new(Figures::default()));
        let mut observers = JoinSet::new();
        let watching = observers.spawn(listen(walls.clone(), Arc::clone(&figures)));
        let operations = services["operations"].clone();
        observers.spawn(count(operations, stopped.clone(), Arc::clone(&figures)));

        let checkout = &services["checkout"];
        let (calm, mut failures) = checkouts(checkout, self.rate, self.calm).await;
        let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let mut flood = JoinSet::new();
        let began = walls.admission().clock().now();
        for number in 0..2 * self.floods {
            let name = ["recommendations", "reporting"][number as usize % 2];
            let connections = services[name].clone();
            flood.spawn(ask_on(connections, stopped.clone(), Arc::clone(&counts)));
        }
        let (flooded, more) = checkouts(checkout, self.rate, self.flooded).await;
        failures += more;
        stop.send_replace(true);
        flood.join_all().await;
        watching.abort();
        while observers.join_next().await.is_some() {}

        let mut figures = figures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        figures.began = began;
        figures.times = [calm, flooded];
        figures.failures = failures;
        figures.answered = counts[0].load(Ordering::Relaxed);
        figures.refused = counts[1].load(Ordering::Relaxed);
        Ok(figures)
    }

    /// The connections of everybody, by name.
    ///
    /// # Errors
    /// None, as long as the names are those of [`bulkheads`].
    pub fn services(
        walls: &Bulkheads,
        config: &Config,
    ) -> Result<Services, watertight_layers::BulkheadError> {
        let compartments: [&[&str]; 2] = [&["checkout"], &["recommendations", "reporting"]];
        Connections::of(walls, config, &compartments)
    }
}

/// Makes the table.
async fn prepare(services: &Services) -> Result<(), Failure> {
    let mut database = services["operations"].acquire(&tenant("setup")).await?;
    for step in [
        "CREATE TABLE IF NOT EXISTS watertight_stock (item BIGINT PRIMARY KEY, amount BIGINT NOT NULL)",
        "INSERT INTO watertight_stock SELECT item, 1000000 FROM generate_series(0, 999) AS item \
         ON CONFLICT DO NOTHING",
    ] {
        database.query(step, &[]).await?;
    }
    Ok(())
}

/// Checks out at a fixed rate. The times, sorted, and how many failed.
async fn checkouts(connections: &Connections, rate: u32, span: Duration) -> (Vec<Duration>, u64) {
    let mut clock = tokio::time::interval(Duration::from_secs(1) / rate);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + span;
    let mut under_way = JoinSet::new();
    let mut number = 0_i64;
    loop {
        let due = clock.tick().await;
        if due > end {
            break;
        }
        number += 1;
        let connections = connections.clone();
        under_way.spawn(async move {
            let who = tenant(if number % 2 == 0 { "acme" } else { "globex" });
            let mut database = connections.acquire(&who).await?;
            database.query(CHECKOUT, &[&(number * 7 % ITEMS)]).await?;
            drop(database);
            Ok::<_, crate::Error>(due.elapsed())
        });
    }
    let results = under_way.join_all().await;
    let asked = results.len();
    let mut times: Vec<_> = results.into_iter().flatten().collect();
    times.sort_unstable();
    let failures = (asked - times.len()) as u64;
    (times, failures)
}

/// Asks for slow answers, one after the other.
async fn ask_on(
    connections: Connections,
    stopped: watch::Receiver<bool>,
    counts: Arc<[AtomicU64; 2]>,
) {
    let who = tenant("acme");
    while !*stopped.borrow() {
        let answer = async {
            let mut database = connections.acquire(&who).await?;
            database.query(SLOW, &[&0_i64]).await
        };
        let [answered, refused] = &*counts;
        match answer.await {
            Ok(_) => answered.fetch_add(1, Ordering::Relaxed),
            Err(_) => refused.fetch_add(1, Ordering::Relaxed),
        };
        tokio::task::yield_now().await;
    }
}

/// Collects the alerts that fire, as long as it is awaited.
async fn listen(walls: Bulkheads, figures: Arc<Mutex<Figures>>) {
    let clock = walls.admission().clock();
    let alerts = Alerts::new().on_alert(move |effect| {
        let Effect::Fired(alert) = effect else {
            return;
        };
        let told = Told {
            kind: alert.key.kind.label(),
            about: alert.key.labels.clone(),
            says: alert.says.clone(),
            began: alert.began,
            at: clock.now(),
        };
        let mut figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
        figures.told.push(told);
    });
    alerts.watch(walls.admission()).await;
}

/// Asks the server who holds what.
async fn count(
    operations: Connections,
    stopped: watch::Receiver<bool>,
    figures: Arc<Mutex<Figures>>,
) {
    let clock: Clock = operations.seats().admission().clock();
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    while !*stopped.borrow() {
        looks.tick().await;
        let Ok(mut database) = operations.acquire(&tenant("watch")).await else {
            continue;
        };
        let Ok(rows) = database.query(WHO_HOLDS_WHAT, &[]).await else {
            continue;
        };
        let now = clock.now();
        let mut figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let most = figures.most.entry(row.get(0)).or_default();
            let number: i64 = row.get(1);
            if number > most.0 {
                *most = (number, now);
            }
        }
    }
}

fn tenant(name: &str) -> TenantId {
    #[expect(clippy::expect_used, reason = "a word of this file")]
    name.parse().expect("a tenant's name")
}

impl Figures {
    /// Checkout's `percent` quickest time of calm (0) or flood (1).
    pub fn percentile(&self, phase: usize, percent: usize) -> Duration {
        let times = &self.times[phase];
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default()
    }

    /// What checkout's 99th percentile may be in the flood: a quarter more than in the calm, or 10 ms.
    pub fn target(&self) -> Duration {
        let calm = self.percentile(0, 99);
        calm.mul_f64(1.25).max(calm + Duration::from_millis(10))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |phase, percent| self.percentile(phase, percent).as_secs_f64() * 1e3;
        writeln!(f, "checkout          p50        p99")?;
        for (phase, name) in ["calm", "flooded"].into_iter().enumerate() {
            let (half, most) = (millis(phase, 50), millis(phase, 99));
            writeln!(f, "  {name:<10} {half:>7.2} ms {most:>7.2} ms")?;
        }
        let target = self.target();
        let verdict = if self.percentile(1, 99) <= target {
            "kept"
        } else {
            "missed"
        };
        let target = target.as_secs_f64() * 1e3;
        writeln!(f, "  target                {target:>7.2} ms: {verdict}")?;
        let all = self.times[0].len() + self.times[1].len();
        writeln!(f, "  {} of {all} failed", self.failures)?;
        writeln!(
            f,
            "the others: {} answered, {} refused",
            self.answered, self.refused
        )?;
        let since = |tick: Tick| (tick - self.began).as_secs_f64() * 1e3;
        writeln!(
            f,
            "most connections at once, as the server says; first seen after so much of the flood"
        )?;
        for (service, (most, at)) in &self.most {
            writeln!(f, "  {service:<16} {most:>3} {:>9.2} ms", since(*at))?;
        }
        writeln!(
            f,
            "alerts; so after so much of the flood, and told after so much"
        )?;
        for told in &self.told {
            let (began, at) = (since(told.began), since(told.at));
            writeln!(
                f,
                "  {began:>8.2} ms {at:>8.2} ms {}: {}",
                told.kind, told.says
            )?;
        }
        Ok(())
    }
}
