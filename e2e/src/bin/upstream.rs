//! A service to put behind a node: HTTP/1.1 and cleartext HTTP/2 on the address given, which it prints.
//!
//! It ends when its standard input does, so that it never outlives the test that started it.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, sync::oneshot};
use watertight_e2e::service::{self, Account};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let (tell, told) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            // Whether it ends or breaks, whoever held it is gone.
            let _ = std::io::stdin().read(&mut [0]);
            drop(tell);
        });
        tokio::select! {
            result = serve(listener) => result,
            _ = told => Ok(()),
        }
    })
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let account = Arc::new(Account::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let account = Arc::clone(&account);
        tokio::spawn(async move {
            let _connected = account.connected();
            let answer = |request| service::answer(Arc::clone(&account), request);
            // A connection that a client breaks is the client's affair.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}
