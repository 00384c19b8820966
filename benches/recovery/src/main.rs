//! What an outage costs the callers: this library beside what people use today.
//!
//! A server goes away for a while and comes back. What happens to 200 tasks that need it is decided by the library that
//! they call: whether it hammers at a server that is down, how long after the server everybody works again, and who is
//! told of errors that a little patience would have spared. Here each column has the same load and the same outages, one
//! after the other in one run:
//!
//! * `mysql-retry`: this library;
//! * `bare pool`: a `mysql_async::Pool`, whose errors are the caller's;
//! * `backoff loop`: `backoff::future::retry` around calls on such a pool;
//! * `sqlx pool`: a pool of sqlx.
//!
//! With `FLEET=full` or `short` many programs with a pool each are measured instead (`fleet`), with `THROUGHPUT=full` how many calls
//! so many tasks make while nothing is lost (`throughput`).
//!
//! How the outages come about is in `stage`, how attempts are counted in `attempts`, what is wanted in `bounds`. The run
//! fails if this library let an error through that its deadline outlives, or tried to connect far too often.

mod attempts;
mod bounds;
mod budget;
mod cell;
mod columns;
mod fleet;
mod form;
mod load;
mod picture;
mod settings;
mod stage;
mod table;
mod throughput;

use std::process::ExitCode;

use mysql_retry_fixture::Server;

use cell::Cell;
use columns::Column;
use form::Form;
use settings::Settings;
use stage::Stage;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let settings = match Settings::from_env() {
        Ok(settings) => settings,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    if let Some(extent) = settings.fleet {
        let failures = fleet::run(extent, &settings.columns).await;
        return told(&failures);
    }
    let server = Server::builder().flag("--max-connections=1000").start().await;
    stage::prepare(&server).await;
    if settings.throughput {
        return told(&throughput::run(&server, &settings.columns).await);
    }
    let cells = measure(&settings, &server).await;
    let (budgets, overspent) = spend(&settings, &server).await;

    table::print(&cells);
    table::print_errors(&cells);
    table::print_bounds(&cells);
    let is_whole = settings.is_whole() && Form::ALL.iter().all(|form| cells.iter().any(|cell| cell.form == *form));
    match picture::write(&server.name(), &cells, is_whole) {
        Ok(path) => println!("\npicture: {}", path.display()),
        Err(error) => println!("\nno picture: {error}"),
    }
    for line in budgets {
        println!("{line}");
    }
    let mut failures = bounds::failures(&cells);
    failures.extend(overspent);
    let code = told(&failures);
    match table::Worst::of(&cells) {
        Some(worst) => println!("{}", worst.line()),
        None => println!("recovery: this library did not take part"),
    }
    code
}

fn told(failures: &[String]) -> ExitCode {
    for failure in failures {
        println!("FAILED: {failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures all cells, with the columns side by side for each outage.
async fn measure(settings: &Settings, server: &Server) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for form in settings.forms.iter().copied() {
        if let Err(problem) = form.is_available() {
            println!("{}: skipped, {problem}", form.name());
            continue;
        }
        for asked in settings.outages_of(form).iter().copied() {
            for column in settings.columns.iter().copied().filter(|column| settings.takes_part(*column, form)) {
                let stage = Stage::set(form, server).await;
                let cell = cell::measure(column, form, asked, settings.settle, stage).await;
                println!("{}", progress(&cell));
                cells.push(cell);
            }
        }
    }
    cells
}

fn progress(cell: &Cell) -> String {
    let (title, column) = (bounds::title(cell), cell.column.name());
    let (attempts, errors) = (cell.attempts, cell.errors());
    let back = match cell.share(99) {
        Some(time) => format!("99 % are back after {} ms", time.as_millis()),
        None => format!("{} tasks are back", cell.seen.again.len()),
    };
    format!("{title}: {column}: {attempts} attempts, {errors} errors, {back}")
}

/// The scenario of the retry budget, for those columns of the run that retry, and whether this library kept to it. The line
/// for machines is this library's.
async fn spend(settings: &Settings, server: &Server) -> (Vec<String>, Option<String>) {
    let (mut lines, mut overspent) = (Vec::new(), None);
    for column in budget::COLUMNS.into_iter().filter(|column| settings.columns.contains(column)) {
        let budget = budget::measure(column, server, settings.budget).await;
        println!("retry budget: {}: {}; {}", column.name(), budget.line(), budget.rest());
        lines.push(match column {
            Column::Ours => {
                overspent = budget.failure();
                format!("budget: {}", budget.line())
            }
            _ => format!("budget of the {}: {}", column.name(), budget.line()),
        });
    }
    (lines, overspent)
}
