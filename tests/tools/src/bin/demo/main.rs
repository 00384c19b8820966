//! What bare `mysql_async` does and what the executor does when connections get lost, side by side.
//!
//! Run it with `make demo`, or `cargo run -p mysql-retry-tools --bin demo` where a MariaDB or MySQL server is installed. It
//! starts a private server, loses connections in five ways, and compares what was reported with what is in the database.
//! The last line and the exit code say whether every promise was kept.

mod crash;
mod figures;
mod idle;
mod judge;
mod ledger;
mod load;
mod reply;
mod screen;

use std::{process::ExitCode, time::Duration};

use mysql_retry_fixture::Server;

use figures::Figures;

/// Why the demo could not be shown. A broken promise is not an error: it is counted.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// The scenes take about a third of it. A scene that takes longer breaks the promise that no call waits for ever.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    // The fixture panics where it cannot go on, for example because no server is installed. Its message is enough.
    std::panic::set_hook(Box::new(|panic| {
        let sentence = panic.payload().downcast_ref::<String>().map_or("a bug in the demo", String::as_str);
        eprintln!("demo: it could not be shown to its end: {sentence}");
    }));
    let server = Server::builder().flag("--wait-timeout=2").start().await;
    screen::intro(&server.name());
    let Ok(shown) = tokio::time::timeout(LIMIT, show(&server)).await else {
        eprintln!("demo: broken promise: a scene did not end within {LIMIT:?}, though every wait is bounded");
        return ExitCode::FAILURE;
    };
    let scenes = match shown {
        Ok(scenes) => scenes,
        Err(problem) => {
            eprintln!("demo: it could not be shown to its end: {problem}");
            return ExitCode::FAILURE;
        }
    };
    let kept = figures::tell(&scenes);
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn show(server: &Server) -> Result<Vec<Figures>, Problem> {
    ledger::set_up(server).await;
    Ok(vec![
        idle::past_the_time_out(server).await?,
        idle::killed_by_an_administrator(server).await?,
        crash::while_tasks_work(server).await?,
        reply::of_an_insert(server).await?,
        reply::of_an_update(server).await?,
    ])
}
