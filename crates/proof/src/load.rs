//! The load generator: open loop, so that a slow answer is counted and never excused.
//!
//! Every request has an intended time, fixed before the first one is sent. It is sent then, whatever became of the
//! requests before it, and its latency runs from then: waiting for a connection, for the generator's own processor time,
//! or for a stalled server all count. A generator that waits for answers before it goes on would measure a collapse as
//! a handful of slow requests.
//!
//! It runs on a thread of its own, so that what it measures does not depend on its caller's event loop.

#![expect(
    clippy::disallowed_methods,
    reason = "measuring is this room's purpose: it reads the clock at its edge"
)]

mod connections;
mod measured;
mod pulse;
mod schedule;
mod stream;

pub use measured::{Answer, Failure, Latencies, Measured, Outcome};
pub use pulse::{Beat, PULSE_MAX, Pulse};
pub use schedule::{Arrival, schedule};
pub use stream::{BODY_MAX_BYTES, RATE_MAX_PER_S, Stream};

use crate::Error;
use connections::Connections;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stream::Prepared;
use tokio::sync::{mpsc, oneshot, watch};

/// What a client waits for an answer, unless told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(1);
/// Connections that a load opens at most, unless told otherwise.
pub const CONNECTIONS_MAX: usize = 4096;

const WHO: &str = "load generator";
const WARM_UP_GAP: Duration = Duration::from_millis(5);

/// One load on one front door.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the requests go.
    pub front_door: SocketAddr,
    /// Who sends what, how often.
    pub streams: Vec<Stream>,
    /// Fixes the intended time of every request.
    pub seed: u64,
    /// How long requests are sent for; answers may come later.
    pub length: Duration,
    /// What a client waits for an answer; then the request has failed.
    pub timeout: Duration,
    /// Connections at most, over all streams; a request beyond waits for one, and the wait counts.
    pub connections_max: usize,
    /// Requests per stream that are sent before, slowly and uncounted, to open connections.
    pub warm_up_requests: u32,
}

impl Load {
    /// A load with the usual time-out, connections and a warm-up of two requests per stream.
    #[must_use]
    pub fn new(front_door: SocketAddr, streams: Vec<Stream>, seed: u64, length: Duration) -> Self {
        Self {
            front_door,
            streams,
            seed,
            length,
            timeout: TIMEOUT,
            connections_max: CONNECTIONS_MAX,
            warm_up_requests: 2,
        }
    }

    /// Starts to send, on a thread of its own; dropping the run ends it.
    ///
    /// # Errors
    /// When a stream cannot be sent or the thread cannot be started.
    pub fn start(self) -> Result<Run, Error> {
        let prepared = self
            .streams
            .iter()
            .map(|stream| Prepared::new(stream, self.front_door).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let failed = |source| Error::Thread { who: WHO, source };
        let (begin, began) = oneshot::channel();
        let (stop, stopped) = watch::channel(false);
        let pulse = Arc::<Pulse>::default();
        let felt = Arc::clone(&pulse);
        let (mut finish, finished) = oneshot::channel();
        let live = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(failed);
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    // Nobody who listens: nobody to tell.
                    let _ = finish.send(Err(error));
                    return;
                }
            };
            runtime.block_on(async {
                let measured = tokio::select! {
                    measured = self.run(&prepared, begin, stopped, felt) => measured,
                    () = finish.closed() => return,
                };
                let _ = finish.send(Ok(measured));
            });
        };
        std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(live)
            .map_err(failed)?;
        Ok(Run {
            began,
            finished,
            stop,
            pulse,
        })
    }

    async fn run(
        self,
        prepared: &[Arc<Prepared>],
        begin: oneshot::Sender<Instant>,
        stopped: watch::Receiver<bool>,
        pulse: Arc<Pulse>,
    ) -> Measured {
        let connections = Connections::new(self.front_door, self.connections_max);
        let sender = Sender {
            prepared,
            connections: Arc::new(connections),
            timeout: self.timeout,
            stopped,
            pulse,
        };
        sender.send_all(&self.warm_up(), false).await;
        let arrivals = schedule(&self.streams, self.seed, self.length);
        // The one who asked may not care when it began.
        let _ = begin.send(Instant::now());
        let sent = sender.send_all(&arrivals, true).await;
        let Sent {
            outcomes,
            late,
            stopped,
        } = sent;
        Measured {
            streams: self.streams,
            length: stopped.unwrap_or(self.length),
            timeout: self.timeout,
            outcomes,
            late,
        }
    }

    fn warm_up(&self) -> Vec<Arrival> {
        let streams = || 0..self.streams.len();
        (0..self.warm_up_requests)
            .flat_map(|_| streams())
            .scan(Duration::ZERO, |at, stream| {
                let arrival = Arrival { at: *at, stream };
                *at += WARM_UP_GAP;
                Some(arrival)
            })
            .collect()
    }
}

/// A load that has been started.
#[derive(Debug)]
pub struct Run {
    began: oneshot::Receiver<Instant>,
    finished: oneshot::Receiver<Result<Measured, Error>>,
    stop: watch::Sender<bool>,
    pulse: Arc<Pulse>,
}

impl Run {
    /// Waits for the end of the warm-up, and says when the counted requests began.
    ///
    /// # Errors
    /// When the load ended before it began. It can be asked once; later it is this error, too.
    pub async fn began(&mut self) -> Result<Instant, Error> {
        let ended = |_| Error::Ended { who: WHO };
        (&mut self.began).await.map_err(ended)
    }

    /// How the victims in tier 1 fare at this moment.
    #[must_use]
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Sends nothing more. What is measured is then as long as it was sent for.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the last answer or time-out.
    ///
    /// # Errors
    /// When the load could not run to its end.
    pub async fn measured(self) -> Result<Measured, Error> {
        self.finished.await.map_err(|_| Error::Ended { who: WHO })?
    }
}

struct Sender<'a> {
    prepared: &'a [Arc<Prepared>],
    connections: Arc<Connections>,
    timeout: Duration,
    stopped: watch::Receiver<bool>,
    pulse: Arc<Pulse>,
}

/// What became of arrivals.
struct Sent {
    outcomes: Vec<Outcome>,
    /// How late the latest was sent.
    late: Duration,
    /// How long after the start it was told to stop, if it was.
    stopped: Option<Duration>,
}

impl Sender<'_> {
    /// Sends every request at its time from now until it is stopped, and waits for all their ends. `is_felt`: they are
    /// part of the pulse.
    async fn send_all(&self, arrivals: &[Arrival], is_felt: bool) -> Sent {
        let start = tokio::time::Instant::now();
        // As many outcomes as arrivals, so this needs no bound of its own.
        let (report, mut reports) = mpsc::unbounded_channel();
        let mut late = Duration::ZERO;
        let mut stopped = self.stopped.clone();
        let mut is_stopped = None;
        for arrival in arrivals {
            let intended = start + arrival.at;
            if intended > tokio::time::Instant::now() {
                // A run that is gone stops nothing: it ends all of this.
                tokio::select! {
                    () = tokio::time::sleep_until(intended) => {}
                    Ok(_) = stopped.wait_for(|stop| *stop) => {}
                }
            }
            if *stopped.borrow() {
                is_stopped = Some(whole_us(start.elapsed()));
                break;
            }
            late = late.max(intended.elapsed());
            let one = One {
                prepared: Arc::clone(&self.prepared[arrival.stream]),
                connections: Arc::clone(&self.connections),
                arrival: *arrival,
                intended,
                timeout: self.timeout,
                pulse: is_felt.then(|| Arc::clone(&self.pulse)),
            };
            tokio::spawn(one.send(report.clone()));
        }
        drop(report);
        let mut outcomes = Vec::with_capacity(arrivals.len());
        while let Some(outcome) = reports.recv().await {
            outcomes.push(outcome);
        }
        Sent {
            outcomes,
            late,
            stopped: is_stopped,
        }
    }
}

/// One request that is due.
struct One {
    prepared: Arc<Prepared>,
    connections: Arc<Connections>,
    arrival: Arrival,
    intended: tokio::time::Instant,
    timeout: Duration,
    pulse: Option<Arc<Pulse>>,
}

impl One {
    /// Sends it, and reports its end.
    async fn send(self, report: mpsc::UnboundedSender<Outcome>) {
        let Self {
            prepared,
            connections,
            arrival: Arrival { at, stream },
            intended,
            timeout,
            pulse,
        } = self;
        let sent = connections.send(&prepared);
        let sent = tokio::time::timeout_at(intended + timeout, sent).await;
        let latency = intended.elapsed();
        let (answer, used) = match sent {
            Ok(Ok((answer, connection))) => (answer, Some(connection)),
            Ok(Err(failure)) => (Answer::Failed(failure), None),
            Err(_) => (Answer::Failed(Failure::Timeout), None),
        };
        // An answer may be found after the time-out when this thread was late: nobody waited that long.
        let late = latency > timeout;
        let answer = if late {
            Answer::Failed(Failure::Timeout)
        } else {
            answer
        };
        if let Some(pulse) = pulse {
            let Prepared { tier, class, .. } = *prepared;
            pulse.ended(Instant::now(), tier, class, answer.is_success());
        }
        // The receiver is gone only with the whole run.
        let _ = report.send(Outcome {
            stream,
            at,
            latency: whole_us(latency),
            answer,
        });
        drop(report);
        if let Some(used) = used {
            connections.give_back(&prepared, used).await;
        }
    }
}

/// Without the parts of a microsecond: what a report tells of a request is then all that its figures are made of.
fn whole_us(span: Duration) -> Duration {
    Duration::new(span.as_secs(), span.subsec_micros() * 1_000)
}
