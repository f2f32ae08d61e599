//! Recommendations flood a PostgreSQL, and checkout does not notice.
//!
//! Run it; it takes 20 seconds:
//!
//! ```text
//! cargo run --release -p watertight-example-postgres
//! ```
//!
//! It starts a PostgreSQL of its own (`apt-get install postgresql`) and takes it away again. Or give it
//! one that takes 100 connections, in which it makes a table `watertight_stock`:
//!
//! ```text
//! DATABASE_URL=postgres://me@localhost/test cargo run --release -p watertight-example-postgres
//! ```
//!
//! What it prints is checkout's times without and with the flood, the most connections that each
//! service had at once, as the server says, and the alerts that fired.

use watertight_example_postgres::{Failure, Server, Storm};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let storm = Storm::default();
    let figures = match std::env::var("DATABASE_URL") {
        Ok(url) => storm.run(&url.parse()?).await?,
        Err(_) => {
            let server = Server::start().await?;
            storm.run(&server.config()).await?
        }
    };
    #[expect(clippy::print_stdout, reason = "this is what it is for")]
    {
        print!("{figures}");
    }
    Ok(())
}
