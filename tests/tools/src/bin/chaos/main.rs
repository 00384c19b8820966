//! A minute of chaos: 64 tasks read and write through an executor while the server is killed, restarted and frozen and
//! the path to it is cut in every way. Then what each caller was told is compared with what is in the database.
//!
//! Run it with `make chaos`. `CHAOS_SECONDS` makes it shorter or longer, `CHAOS_SEED` repeats a schedule of faults. The
//! last line and the exit code say what was found; `target/chaos/chaos.svg` is a picture of the run.

mod judge;
mod kinds;
mod picture;
mod progress;
mod record;
mod strike;
mod table;
mod tables;
mod transaction;
mod work;

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mysql_retry::{Counters, Executor, RetryPolicy};
use mysql_retry_fixture::{Fault, Proxy, Server, Transport};
use tokio::task::JoinSet;

use judge::Judgment;
use record::Record;
use tables::Found;
use work::{Step, Worker};

/// Why the run could not be finished. A broken promise is not an error: it is counted.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// How many broken promises are printed in full.
const TOLD: usize = 10;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("chaos: it could not be run to its end: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// False if a promise was broken.
async fn run() -> Result<bool, Problem> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seconds = number_from("CHAOS_SECONDS")?.unwrap_or(60);
    let seed = number_from("CHAOS_SEED")?.unwrap_or(u64::from(clock.subsec_micros()));
    // Sessions whose client is gone stay for a while, and must leave room for the others.
    let server = Arc::new(Server::builder().flag("--max-connections=500").start().await);
    tables::set_up(&server).await;
    let proxy = Arc::new(Proxy::start(&server).await);
    let name = name_of(&server);
    println!("chaos: {name}, {} tasks, {seconds} s, CHAOS_SEED={seed}", work::TASKS);

    let record = Arc::new(Record::new());
    let (steps, counters) = storm(&server, &proxy, &record, seed, seconds).await?;
    progress::clear();
    let found = Found::look(&server).await?;
    let judgment = Judgment::of(&steps, &found, &record);
    table::print(&judgment);
    let run = format!("{name}, {} tasks, seed {seed}", work::TASKS);
    let path = picture::write(&run, counters, &judgment, &record)?;
    println!("picture: {}", path.display());
    Ok(tell(&judgment, &steps, counters))
}

/// Runs the work and the faults for `seconds`, waits for the last calls, and ends all sessions.
async fn storm(
    server: &Arc<Server>,
    proxy: &Arc<Proxy>,
    record: &Arc<Record>,
    seed: u64,
    seconds: u64,
) -> Result<(Vec<Step>, Counters), Problem> {
    let policy = RetryPolicy::builder()
        .deadline(work::DEADLINE)
        .attempt_timeout(work::ATTEMPT_TIMEOUT)
        .connect_timeout(work::ATTEMPT_TIMEOUT)
        .max_replays(10)
        .build()?;
    let heard = record.clone();
    let builder = Executor::builder().policy(policy).on_event(move |event| heard.hear(event));
    // The faults of single commands hit probes too. With few probes an outage would seem to last.
    let exec = builder.probe_interval(Duration::from_millis(20)).build(proxy.opts())?;
    exec.create_guard_table().await?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for task in 0..work::TASKS {
        tasks.spawn(Worker::new(exec.clone(), record.clone(), seed, task).work(end));
    }
    let shown = tokio::spawn(progress::show(exec.clone(), record.clone(), seconds));
    let strikes = (
        tokio::spawn(strike::at_server(server.clone(), record.clone(), seed, end)),
        tokio::spawn(strike::at_path(proxy.clone(), record.clone(), seed, end)),
        tokio::spawn(strike::at_commands(proxy.clone(), record.clone(), seed, end)),
    );
    let (at_server, at_path, at_commands) = tokio::join!(strikes.0, strikes.1, strikes.2);
    at_server?;
    at_path?;
    at_commands?;
    proxy.clear_rules();
    proxy.heal().await;
    let mut steps = Vec::new();
    while let Some(done) = tasks.join_next().await {
        steps.extend(done?);
    }
    shown.abort();
    let counters = exec.counters();
    // A session that is left may still write, so all end before the tables are read.
    let _ = tokio::time::timeout(Duration::from_secs(10), exec.close()).await;
    proxy.cut_all(Fault::Fin).await;
    for id in server.connection_ids().await {
        server.kill_connection(id).await;
        server.wait_gone(id).await;
    }
    Ok((steps, counters))
}

/// Prints the broken promises and the last line. False if there are any.
fn tell(judgment: &Judgment, steps: &[Step], counters: Counters) -> bool {
    if let Some(step) = steps.iter().find(|step| step.odd) {
        let odd = steps.iter().filter(|step| step.odd).count();
        let error = step.error.as_deref().unwrap_or_default();
        println!("{odd} statements failed without a loss; the first: {}: {error}", step.kind.name());
    }
    if counters.unfenced > 0 {
        println!(
            "{} replays of writes went out unfenced: their lost attempts may have run after them",
            counters.unfenced
        );
    }
    for complaint in judgment.complaints.iter().take(TOLD) {
        eprintln!("chaos: BROKEN PROMISE: {complaint}");
    }
    if judgment.complaints.len() > TOLD {
        eprintln!("chaos: and {} more", judgment.complaints.len() - TOLD);
    }
    println!(
        "chaos: statements={} losses={} replays={} wrong={} duplicates={} lost={} stuck={}",
        judgment.sum(|count| count.statements),
        counters.losses,
        counters.replays,
        judgment.sum(|count| count.wrong),
        judgment.sum(|count| count.duplicates),
        judgment.sum(|count| count.lost),
        judgment.sum(|count| count.stuck),
    );
    judgment.complaints.is_empty()
}

fn number_from(variable: &str) -> Result<Option<u64>, Problem> {
    match std::env::var(variable) {
        Ok(text) => text.parse().map(Some).map_err(|_| format!("{variable}={text} is no whole number").into()),
        Err(_) => Ok(None),
    }
}

fn name_of(server: &Server) -> String {
    let transport = match server.transport() {
        Transport::Tcp => "TCP",
        Transport::Unix => "a unix socket",
    };
    format!("{} over {transport}", server.name())
}
