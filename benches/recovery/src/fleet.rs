//! A fleet: many programs, each with a pool of its own, on one server.
//!
//! The server is killed and started again, with room for all of their connections or for half of them; or it runs on, and has
//! room for a third of them. Five tasks of each program read rows, and each tries again when its call failed.
//!
//! * `starved`: programs that had no answer in the first 1.5 s after the server was back, or none at all at the full one;
//! * `opens`: connections that the server greeted or refused until 2 s after it was back, for each program;
//! * `all back`: until each task had an answer;
//! * `logins/s`: connections that the full server greeted or refused, a second;
//! * `calls/s`, `jain`: what the full server did, and how evenly (1: each program got the same).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mysql_async::{Conn, prelude::Queryable};
use mysql_retry_fixture::Server;
use tokio::{runtime::Runtime, time::sleep};

use crate::{
    columns::{Client, Column, Pool, Way},
    load::{TASKS, runtime},
    settings::Extent,
    stage,
};

/// Connections of each program, and tasks that use them.
const TASKS_EACH: usize = 5;
/// How long the server is gone.
const OUTAGE: Duration = Duration::from_secs(2);
/// Who has no answer by then is starved.
const SOON: Duration = Duration::from_millis(1_500);
/// Connections are counted for so long.
const RUSH: Duration = Duration::from_secs(2);
/// Whoever has no answer after this time is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a call.
const PAUSE: Duration = Duration::from_millis(100);
/// After a call to a full server, where the connections are to be wanted all the time.
const SHORT_PAUSE: Duration = Duration::from_millis(5);
/// After an error, where the library does not wait by itself.
const AFTER_ERROR: Duration = Duration::from_millis(20);

/// What is played.
#[derive(Clone, Copy)]
struct Scene {
    programs: usize,
    /// `max_connections` of the server.
    room: usize,
    pool: Pool,
    /// `None`: the server is killed and started again. Else it runs on, for so long.
    full_for: Option<Duration>,
}

/// What was seen of it.
struct Seen {
    starved: usize,
    opens: f64,
    all_back: Option<Duration>,
    logins: f64,
    calls: f64,
    jain: f64,
}

/// Plays all scenes with all columns, prints the table, and returns what this library did worse than is wanted.
pub(crate) async fn run(extent: Extent, columns: &[Column]) -> Vec<String> {
    let (mut failures, mut ours) = (Vec::new(), Vec::new());
    println!(
        "{:<46}{:<14}{:>9}{:>8}{:>10}{:>10}{:>9}{:>7}",
        "fleet", "", "starved", "opens", "all back", "logins/s", "calls/s", "jain"
    );
    for scene in scenes(extent) {
        for column in columns.iter().copied() {
            let seen = play(scene, column).await;
            println!("{:<46}{:<14}{}", scene.title(), column.name(), seen.cells(&scene));
            if column == Column::Ours {
                failures.extend(seen.failures(&scene, extent).map(|what| format!("{}: {what}", scene.title())));
                ours.push((scene, seen));
            }
        }
    }
    println!("{}", line(&ours));
    failures
}

fn scenes(extent: Extent) -> Vec<Scene> {
    let back = |programs, room, pool| Scene { programs, room, pool, full_for: None };
    let full = |programs, room, seconds| Scene {
        programs,
        room,
        pool: Pool { min: 0, max: TASKS_EACH },
        full_for: Some(Duration::from_secs(seconds)),
    };
    let (lazy, eager) = (Pool { min: 0, max: TASKS_EACH }, Pool { min: TASKS_EACH, max: TASKS_EACH });
    match extent {
        Extent::Full => vec![back(200, 500, lazy), back(200, 500, eager), back(400, 2_100, lazy), full(200, 300, 40)],
        Extent::Short => vec![back(60, 150, eager), full(60, 90, 5)],
    }
}

/// `fleet: starved=0 logins_per_s=N opens=N all_back_ms=N jain=N`: the worst of all scenes.
fn line(ours: &[(Scene, Seen)]) -> String {
    if ours.is_empty() {
        return "fleet: this library did not take part".to_owned();
    }
    let full = || ours.iter().filter(|(scene, _)| scene.full_for.is_some()).map(|(_, seen)| seen);
    let back = ours.iter().filter(|(scene, _)| scene.full_for.is_none());
    let all_back = back.map(|(_, seen)| seen.all_back).try_fold(Duration::ZERO, |most, one| Some(most.max(one?)));
    format!(
        "fleet: starved={} logins_per_s={:.0} opens={:.1} all_back_ms={} jain={:.2}",
        ours.iter().map(|(_, seen)| seen.starved).sum::<usize>(),
        full().map(|seen| seen.logins).fold(0.0, f64::max),
        ours.iter().map(|(_, seen)| seen.opens).fold(0.0, f64::max),
        all_back.map_or("never".to_owned(), |time| time.as_millis().to_string()),
        full().map(|seen| seen.jain).fold(1.0, f64::min),
    )
}

impl Scene {
    fn title(&self) -> String {
        let Scene { programs, room, pool, full_for } = self;
        let what = if full_for.is_some() { "full" } else { "killed" };
        format!("{what}: {programs} programs, pool ({}, {}), room {room}", pool.min, pool.max)
    }
}

impl Seen {
    /// What is worse than wanted. The short form is for CI: it fails for nothing that a slow machine makes worse.
    fn failures(&self, scene: &Scene, extent: Extent) -> impl Iterator<Item = String> {
        const LOGINS: f64 = 300.0;
        const OPENS: f64 = 3.0;
        let is_starved = self.starved > 0 && (extent == Extent::Full || scene.full_for.is_some());
        [
            (is_starved, format!("{} programs had no answer", self.starved)),
            (scene.full_for.is_none() && self.all_back.is_none(), "a task had no answer".to_owned()),
            (self.logins > LOGINS, format!("{:.0} logins a second", self.logins)),
            (self.opens > OPENS, format!("{:.1} connections for each program", self.opens)),
        ]
        .into_iter()
        .filter_map(|(is_bad, what)| is_bad.then_some(what))
    }

    fn cells(&self, scene: &Scene) -> String {
        let unless =
            |is_full: bool, text: String| if scene.full_for.is_some() == is_full { text } else { "-".to_owned() };
        let all_back = self.all_back.map_or("never".to_owned(), |time| format!("{} ms", time.as_millis()));
        format!(
            "{:>9}{:>8}{:>10}{:>10}{:>9}{:>7}",
            self.starved,
            unless(false, format!("{:.1}", self.opens)),
            unless(false, all_back),
            unless(true, format!("{:.0}", self.logins)),
            unless(true, format!("{:.0}", self.calls)),
            unless(true, format!("{:.2}", self.jain)),
        )
    }
}

async fn play(scene: Scene, column: Column) -> Seen {
    let server =
        Server::builder().flag(format!("--max-connections={}", scene.room)).flag("--back-log=4096").start().await;
    stage::prepare(&server).await;
    // as its user may, it has a place beside those of all
    let mut admin = server.connect().await;
    let way = Way { pool: scene.pool, ..Way::to(server.port()) };
    let fleet = Fleet::start(scene, column, &way);
    let seen = match scene.full_for {
        Some(time) => full(&fleet, &mut admin, time).await,
        None => {
            drop(admin);
            killed(&fleet, &server).await
        }
    };
    fleet.end();
    seen
}

async fn full(fleet: &Fleet, admin: &mut Conn, time: Duration) -> Seen {
    // the first logins are not what is counted
    sleep(Duration::from_secs(2)).await;
    let (start, logins, calls) = (Instant::now(), connections(admin).await, fleet.calls());
    sleep(time).await;
    let seconds = start.elapsed().as_secs_f64();
    let logins = (connections(admin).await - logins) as f64 / seconds;
    let calls: Vec<f64> = fleet.calls().iter().zip(calls).map(|(now, then)| (now - then) as f64).collect();
    let (sum, squares) = (calls.iter().sum::<f64>(), calls.iter().map(|calls| calls * calls).sum::<f64>());
    Seen {
        starved: calls.iter().filter(|calls| **calls == 0.0).count(),
        opens: 0.0,
        all_back: None,
        logins,
        calls: sum / seconds,
        jain: if squares > 0.0 { sum * sum / (calls.len() as f64 * squares) } else { 0.0 },
    }
}

async fn killed(fleet: &Fleet, server: &Server) -> Seen {
    sleep(Duration::from_secs(5)).await;
    server.kill().await;
    sleep(OUTAGE).await;
    server.start_again().await;
    let ready = fleet.now();
    fleet.tally.ready.store(ready, Relaxed);
    let start = Instant::now();
    let mut admin = server.connect().await;
    sleep(SOON.saturating_sub(start.elapsed())).await;
    let starved = fleet.programs_without_an_answer();
    sleep(RUSH.saturating_sub(start.elapsed())).await;
    // from its start on; a few are this bench's own
    let opens = connections(&mut admin).await as f64 / fleet.tally.calls.len() as f64;
    while !fleet.tally.again.iter().all(|again| again.load(Relaxed) != 0) && start.elapsed() < PATIENCE {
        sleep(Duration::from_millis(5)).await;
    }
    let back: Vec<u64> = fleet.tally.again.iter().map(|again| again.load(Relaxed)).collect();
    let all_back =
        back.iter().all(|time| *time != 0).then(|| back.iter().max().map_or(0, |last| last.saturating_sub(ready)));
    Seen { starved, opens, all_back: all_back.map(Duration::from_nanos), logins: 0.0, calls: 0.0, jain: 1.0 }
}

/// How many connections the server has greeted or refused.
async fn connections(admin: &mut Conn) -> u64 {
    let row: Option<(String, u64)> =
        admin.query_first("SHOW GLOBAL STATUS LIKE 'Connections'").await.expect("a status");
    row.expect("a status").1
}

/// The programs of one column at work.
struct Fleet {
    tally: Arc<Tally>,
    runtime: Runtime,
}

/// What the tasks write down. Times are nanoseconds since the start, and 0 is never.
struct Tally {
    start: Instant,
    /// When the server was back.
    ready: AtomicU64,
    /// Answers of each program.
    calls: Vec<AtomicU64>,
    /// For each task, when it had its first answer after the server was back.
    again: Vec<AtomicU64>,
}

impl Fleet {
    fn start(scene: Scene, column: Column, way: &Way) -> Self {
        let runtime = runtime();
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        let tally = Arc::new(Tally {
            start: Instant::now(),
            ready: AtomicU64::new(0),
            calls: zeros(scene.programs),
            again: zeros(scene.programs * TASKS_EACH),
        });
        let pause = if scene.full_for.is_some() { SHORT_PAUSE } else { PAUSE };
        for program in 0..scene.programs {
            let client = {
                let _inside = runtime.enter();
                column.client(way)
            };
            for task in 0..TASKS_EACH {
                runtime.spawn(work(client.clone(), tally.clone(), program, program * TASKS_EACH + task, pause));
            }
        }
        Fleet { tally, runtime }
    }

    fn now(&self) -> u64 {
        self.tally.now()
    }

    fn calls(&self) -> Vec<u64> {
        self.tally.calls.iter().map(|calls| calls.load(Relaxed)).collect()
    }

    fn programs_without_an_answer(&self) -> usize {
        self.tally.again.chunks(TASKS_EACH).filter(|tasks| tasks.iter().all(|again| again.load(Relaxed) == 0)).count()
    }

    fn end(self) {
        self.runtime.shutdown_background();
    }
}

impl Tally {
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

async fn work(client: Client, tally: Arc<Tally>, program: usize, task: usize, pause: Duration) {
    // not all at once
    sleep(pause.mul_f64(task as f64 / tally.again.len() as f64)).await;
    loop {
        match client.read(task as u32 % TASKS).await {
            Ok(()) => {
                tally.calls[program].fetch_add(1, Relaxed);
                if tally.ready.load(Relaxed) != 0 && tally.again[task].load(Relaxed) == 0 {
                    tally.again[task].store(tally.now(), Relaxed);
                }
                sleep(pause).await;
            }
            Err(_) => sleep(AFTER_ERROR).await,
        }
    }
}
