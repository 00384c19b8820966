//! How many calls a second so many tasks make while nothing is lost: this library, the bare pool, sqlx, and tasks with a connection
//! of their own in the hand.
//!
//! Each call reads a row by its key. The clients take turns, some times each, and the median counts, so that what else the machine
//! does meets all of them. Server and clients share the machine.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mysql_async::{Conn, prelude::Queryable};
use mysql_retry_fixture::{Server, median};
use mysql_retry_tools::{Picture, Scale};
use tokio::{sync::Barrier, time::sleep};

use crate::columns::{Client, Column, Done, POOL_SIZE, READ, Way, held_opts};

const TASKS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
const ROUNDS: u32 = 7;
/// One client with so many tasks, in one round.
const TURN: Duration = Duration::from_millis(700);

/// Who makes the calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Held,
    Pool(Column),
}

impl Who {
    /// A backoff loop is the bare pool as long as nothing is lost.
    fn all(columns: &[Column]) -> Vec<Who> {
        let pools = columns.iter().filter(|column| **column != Column::RetryLoop).copied().map(Who::Pool);
        std::iter::once(Who::Held).chain(pools).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Who::Held => "connection in the hand",
            Who::Pool(column) => column.name(),
        }
    }

    fn key(self) -> &'static str {
        match self {
            Who::Held => "held",
            Who::Pool(column) => column.key(),
        }
    }
}

/// What one task calls.
enum Caller {
    Held(Conn),
    Pool(Client),
}

impl Caller {
    async fn read(&mut self, id: u32) -> Done {
        match self {
            Caller::Held(conn) => {
                conn.exec_first::<u64, _, _>(READ, (id,)).await.map(drop).map_err(|error| error.to_string())
            }
            Caller::Pool(client) => client.read(id).await,
        }
    }
}

/// A client, and what it did with each number of tasks.
struct Line {
    who: Who,
    calls: Vec<f64>,
}

/// Measures, prints a table and draws the picture. Returns what went wrong.
pub(crate) async fn run(server: &Server, columns: &[Column]) -> Vec<String> {
    let mut lines: Vec<Line> = Who::all(columns).into_iter().map(|who| Line { who, calls: Vec::new() }).collect();
    for tasks in TASKS {
        let mut seen = vec![Vec::new(); lines.len()];
        for _ in 0..ROUNDS {
            for (line, seen) in lines.iter().zip(&mut seen) {
                match turn(server, line.who, tasks).await {
                    Ok(calls) => seen.push(calls),
                    Err(error) => return vec![format!("{} with {tasks} tasks: {error}", line.who.name())],
                }
            }
        }
        for (line, seen) in lines.iter_mut().zip(seen) {
            line.calls.push(median(seen));
        }
        let shown: Vec<String> = lines
            .iter()
            .map(|line| format!("{} {:.0}", line.who.name(), line.calls.last().copied().unwrap_or_default()))
            .collect();
        println!("{tasks:>4} tasks, calls a second: {}", shown.join(", "));
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("throughput.svg");
    match std::fs::write(&path, draw(&server.name(), &lines).svg()) {
        Ok(()) => println!("picture: {}", path.display()),
        Err(error) => println!("no picture: {error}"),
    }
    Vec::new()
}

/// Calls a second.
async fn turn(server: &Server, who: Who, tasks: u32) -> Result<f64, String> {
    let port = server.port();
    let pool = match who {
        Who::Held => None,
        Who::Pool(column) => Some(column.client(&Way::to(port))),
    };
    let (stops, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let ready = Arc::new(Barrier::new(tasks as usize + 1));
    let mut running = Vec::new();
    for id in 0..tasks {
        let mut caller = match &pool {
            Some(client) => Caller::Pool(client.clone()),
            None => Caller::Held(Conn::new(held_opts(port)).await.map_err(|error| error.to_string())?),
        };
        let (stops, count, ready) = (stops.clone(), count.clone(), ready.clone());
        running.push(tokio::spawn(async move {
            // its connection is there, and the statement is prepared
            let first = caller.read(id).await;
            ready.wait().await;
            first?;
            while !stops.load(Relaxed) {
                caller.read(id).await?;
                count.fetch_add(1, Relaxed);
            }
            Ok(())
        }));
    }
    ready.wait().await;
    let began = Instant::now();
    let before = count.load(Relaxed);
    sleep(TURN).await;
    let (calls, took) = (count.load(Relaxed) - before, began.elapsed());
    stops.store(true, Relaxed);
    for task in running {
        task.await.unwrap_or_else(|error| Err(error.to_string()))?;
    }
    Ok(calls as f64 / took.as_secs_f64())
}

const SIZE: (f64, f64) = (760.0, 420.0);
const LEFT: f64 = 64.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 366.0;

const STYLE: &str = ".held{stroke:#868e96;fill:#868e96}.ours{stroke:#2f9e44;fill:#2f9e44}.bare{stroke:#d9480f;fill:#d9480f}\
    .sqlx{stroke:#7048e8;fill:#7048e8}.line{fill:none;stroke-width:2}.dot{stroke-width:6;stroke-linecap:round}";

fn draw(server: &str, lines: &[Line]) -> Picture {
    let highest = lines.iter().flat_map(|line| &line.calls).copied().fold(1.0, f64::max);
    let scale = Scale::linear(highest, 6, (BOTTOM, TOP));
    // each number of tasks is twice the one before
    let x = |index: usize| LEFT + 24.0 + (RIGHT - LEFT - 48.0) * index as f64 / (TASKS.len() - 1) as f64;
    let mut picture = Picture::new(SIZE.0, SIZE.1, STYLE);
    picture.text("title", (16.0, 25.0), "Calls a second while nothing is lost");
    let second = format!(
        "{server}: reads of a row by its key; pools of {POOL_SIZE} connections; server and clients on the same processors."
    );
    picture.text("", (16.0, 44.0), second);
    for value in &scale.ticks {
        let y = scale.at(*value);
        picture.path("grid", format_args!("M{LEFT} {y:.1}H{RIGHT}"));
        picture.text("name end", (LEFT - 6.0, y + 3.5), format_args!("{}k", value / 1e3));
    }
    picture.path("axis", format_args!("M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"));
    for (index, tasks) in TASKS.iter().enumerate() {
        picture.text("name middle", (x(index), BOTTOM + 16.0), tasks);
    }
    picture.text("middle", ((LEFT + RIGHT) / 2.0, BOTTOM + 36.0), "tasks");
    for (number, line) in lines.iter().enumerate() {
        let key = line.who.key();
        let points: Vec<String> = line
            .calls
            .iter()
            .enumerate()
            .map(|(index, calls)| format!("{:.1} {:.1}", x(index), scale.at(*calls)))
            .collect();
        picture.path(&format!("{key} line"), format_args!("M{}", points.join("L")));
        for point in &points {
            picture.path(&format!("{key} dot"), format_args!("M{point}h0"));
        }
        let y = TOP + 16.0 + 20.0 * number as f64;
        picture.path(&format!("{key} line"), format_args!("M{} {y}h18", RIGHT + 20.0));
        picture.text("", (RIGHT + 44.0, y + 4.0), line.who.name());
    }
    picture
}
