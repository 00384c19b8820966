//! Metrics that a Prometheus server can scrape.
//!
//! The program installs a recorder of the crate `metrics` before its first call, and serves what it has recorded. This one is the
//! exporter's, with the buckets that OpenTelemetry recommends for the duration of a call; the HTTP server is a few lines, where
//! yours has a route.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --features metrics --example prometheus -- 60`: for 60 s
//! you can look at the address that it prints. Without a number it scrapes itself once and ends.

use std::{error::Error, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use mysql_retry::{Annotate, Executor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to the URL of a database to try this in")?;
    let duration = Matcher::Full("db_client_operation_duration".to_owned());
    let recorded = PrometheusBuilder::new().set_buckets_for_metric(duration, &SECONDS)?.install_recorder()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, recorded));
    println!("http://{address}/metrics");

    let exec = Executor::from_url(url)?;
    let exec_at_work = exec.clone();
    let work = tokio::spawn(async move {
        loop {
            let _: Vec<u32> = exec_at_work.query("SELECT 42".idempotent()).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        #[expect(unreachable_code, reason = "it says what the task returns")]
        Ok::<_, mysql_retry::Error>(())
    });
    // something to see: a connection is lost, and what ran on it is sent again
    let mut session = exec.session().await?;
    let id = session.id().ok_or("a session has a connection")?;
    exec.query_drop(format!("KILL {id}")).await?;
    let _: Option<u32> = session.query_first("SELECT 1".idempotent()).await?;
    drop(session);

    if let Some(seconds) = std::env::args().nth(1) {
        tokio::time::sleep(Duration::from_secs(seconds.parse()?)).await;
    }
    work.abort();
    let page = scrape(&address.to_string()).await?;
    for line in page.lines().filter(|line| line.starts_with("mysql_retry_") || line.contains("_count")) {
        println!("{line}");
    }
    assert!(page.lines().any(|line| line == "mysql_retry_losses 1"), "{page}");
    assert!(page.contains("db_client_operation_duration_bucket{"), "{page}");
    exec.close().await?;
    Ok(())
}

/// Answers whatever is asked.
async fn serve(listener: TcpListener, recorded: PrometheusHandle) -> std::io::Result<()> {
    loop {
        let (mut client, _) = listener.accept().await?;
        let recorded = recorded.clone();
        tokio::spawn(async move {
            // the request of a scraper fits into one read
            let _ = client.read(&mut [0; 4096]).await?;
            let page = recorded.render();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                page.len()
            );
            client.write_all((head + &page).as_bytes()).await
        });
    }
}

async fn scrape(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
