//! The client side: to ask less of who is overloaded, and to come back at the right time.
//!
//! **Decides** three things before a request leaves, each in a core that takes `now` and dice as
//! arguments. [`AdaptiveThrottle`]: does it pay to ask at all? [`Backoff`]: when is it time to ask
//! again? [`RetryBudget`]: would asking again multiply the load? [`ThrottleLayer`] and
//! [`RetryLayer`] put them in front of any tower service that speaks HTTP; [`Classify`] says what
//! the answers mean.
//!
//! **Does not care** about connections, timeouts of single attempts, or which server answers.
//!
//! **Order.** Retries go outside, the throttle inside them, a timeout of single attempts innermost:
//! then each attempt is counted, one refused here is not repeated, and an attempt that timed out is
//! an answer like any other. One that is merely dropped says nothing about the server.
//!
//! ```
//! use std::{convert::Infallible, sync::{Arc, atomic::{AtomicU32, Ordering::Relaxed}}};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use watertight_layers::client::{
//!     ClientMetrics, RetryLayer, RetrySettings, ThrottleLayer, ThrottleSettings,
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = ClientMetrics::default();
//! let asked = Arc::new(AtomicU32::new(0));
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetrySettings::default())?.with_metrics(metrics.clone()))
//!     .layer(ThrottleLayer::new(ThrottleSettings::default())?.with_metrics(metrics.clone()))
//!     .service(service_fn(move |_: Request<String>| {
//!         let mut response = Response::new("a cart");
//!         if asked.fetch_add(1, Relaxed) == 0 {
//!             *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
//!         }
//!         async { Ok::<_, Infallible>(response) }
//!     }));
//! let request = Request::get("http://shop.example/cart").body(String::new())?;
//! let response = client.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!((metrics.requests(), metrics.accepted(), metrics.retries()), (2, 1, 1));
//! # Ok(())
//! # }
//! ```

mod adaptive;
mod asked;
mod backoff;
mod budget;
mod classify;
mod error;
mod metrics;
mod rate_limit;
mod retry;
mod targets;
mod throttle;
mod window;

pub use adaptive::{AdaptiveThrottle, ThrottleSettings};
pub use asked::asked_wait;
pub use backoff::Backoff;
pub use budget::{BudgetSettings, RetryBudget};
pub use classify::{Answer, Classify, StandardClassifier, Verdict};
pub use error::{ClientError, SettingsError};
pub use metrics::ClientMetrics;
pub use retry::{RetryLayer, RetryService, RetrySettings};
pub use throttle::{ThrottleLayer, ThrottleService};

/// Dice that are in [0, 1] whatever was passed in.
fn unit(dice: f64) -> f64 {
    if dice.is_nan() {
        return 0.0;
    }
    dice.clamp(0.0, 1.0)
}
