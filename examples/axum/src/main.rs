//! An axum app behind admission.
//!
//! Run it:
//!
//! ```text
//! cargo run -p watertight-example-axum               # on 127.0.0.1:3000, or: -- 127.0.0.1:4000
//! ```
//!
//! One request, with what is left of the tenant's quota in `ratelimit`:
//!
//! ```text
//! curl -i -H 'x-tenant-id: acme' http://127.0.0.1:3000/checkout
//! ```
//!
//! A flood by acme: some pass, the rest get 429 with a problem document that names the limit.
//! Meanwhile globex, in another shell, is answered as ever:
//!
//! ```text
//! seq 400 | xargs -P 40 -I{} curl -s -w '%{http_code}\n' -H 'x-tenant-id: acme' http://127.0.0.1:3000/reports
//! curl -i -H 'x-tenant-id: globex' http://127.0.0.1:3000/reports
//! ```

use std::error::Error;

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:3000");
    let listener = TcpListener::bind(address).await?;
    let app = watertight_example_axum::router()?;
    axum::serve(listener, app).await?;
    Ok(())
}
