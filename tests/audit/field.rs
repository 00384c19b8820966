//! Plays the cases on one server: several workers, each with a database and a proxy of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use mysql_retry::Executor;
use mysql_retry_fixture::{Server, make_known_well};

use crate::{
    calibrate::{self, Effect},
    cases::{self, Case, Question, Selection},
    corpus, errors,
    judge::{self, Crime},
    ledger::Ledger,
    prepared, snapshot,
    stage::{STUCK, Stage, run_all},
    state::{self, Left},
    table::{self, Findings},
    told::Told,
    transactions,
};

/// So many cases are under way at once: they wait for round trips and for the server most of the time.
const WORKERS: usize = 4;

/// What came of a case.
enum Played {
    State(Left),
    Transaction(Effect, transactions::Played),
    Prepared(prepared::Played),
    /// It could not be played: the form cannot be prepared, say.
    Nothing,
    Stuck,
    Panic(String),
}

struct Record {
    case: Case,
    played: Played,
    took: Duration,
}

/// All panics of the process, in whatever task.
static PANICS: AtomicU64 = AtomicU64::new(0);

pub async fn play(selection: Selection) -> Findings {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        report(info);
    }));
    let server = Arc::new(start_server().await);
    let mut conn = server.connect().await;
    run_all(&mut conn, corpus::of_server()).await;
    let mut stages = Vec::new();
    for worker in 0..WORKERS {
        stages.push(Stage::new(&server, worker).await);
    }
    snapshot::assert_that_it_sees(&stages[0]).await;
    let databases: Vec<String> = stages.iter().map(|stage| stage.database.clone()).collect();
    let (alone, together): (Vec<_>, Vec<_>) = by_form(selection).into_iter().partition(|cases| cases[0].form().serial);
    let queue = Arc::new(Mutex::new(VecDeque::from(together)));
    let workers: Vec<_> = stages.into_iter().map(|stage| tokio::spawn(work_through(stage, queue.clone()))).collect();
    let (mut records, mut known, mut rested) = (Vec::new(), BTreeMap::new(), Vec::new());
    for worker in workers {
        let (stage, played, forms) = worker.await.expect("a worker that does not panic");
        records.extend(played);
        known.extend(forms);
        rested.push(stage);
    }
    let alone = Arc::new(Mutex::new(VecDeque::from(alone)));
    let (stage, played, forms) = work_through(rested.pop().expect("a stage"), alone).await;
    rested.push(stage);
    records.extend(played);
    known.extend(forms);
    let errors = errors::play(&server, selection, rested).await;
    wait_until_alone(&server).await;
    let ledger = Ledger::read(&mut conn, &databases).await;
    let mut findings = pronounce(&server, &records, &known, &ledger);
    findings.add(errors.pronounce(&server.name(), &ledger));
    let unseen = PANICS.load(Ordering::SeqCst).saturating_sub(findings.panics);
    if unseen > 0 {
        println!("panic: {}: {unseen} in tasks of the library", server.name());
        findings.panics += unseen;
    }
    findings
}

async fn start_server() -> Server {
    let builder = Server::builder()
        .flag("--max-connections=500")
        .flag("--max-connect-errors=1000000")
        .flag("--skip-log-bin")
        .flag("--lock-wait-timeout=2")
        .flag("--innodb-lock-wait-timeout=2")
        .flag("--innodb-buffer-pool-size=64M")
        .flag("--local-infile=ON")
        .flag("--performance-schema=ON")
        .flag("--performance-schema-instrument=wait/lock/metadata/sql/mdl=ON")
        .flag("--performance-schema-instrument=transaction=ON")
        .flag("--performance-schema-consumer-events-transactions-current=ON");
    builder.start().await
}

/// The chosen cases, those of a form together.
fn by_form(selection: Selection) -> Vec<Vec<Case>> {
    let mut forms: BTreeMap<usize, Vec<Case>> = BTreeMap::new();
    let chosen = |case: &Case| match selection {
        Selection::One(_) => selection.has(case.number),
        Selection::All | Selection::Thin(_) => case.is_in_turn() && selection.has(case.number),
    };
    for case in cases::all().into_iter().filter(chosen) {
        forms.entry(case.index).or_default().push(case);
    }
    forms.into_values().collect()
}

type Queue = Arc<Mutex<VecDeque<Vec<Case>>>>;

/// The records of a worker, and how many cases of which form.
async fn work_through(mut stage: Stage, queue: Queue) -> (Stage, Vec<Record>, BTreeMap<usize, Effect>) {
    let (mut records, mut known) = (Vec::new(), BTreeMap::new());
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(cases) = next else { break };
        let index = cases[0].index;
        let form = cases[0].form();
        // numbers below those of the cases
        let Some(effect) = calibrate::calibrate(&mut stage, form, index as u32 + 1).await else {
            if is_verbose() {
                println!("not known: {}", form.sql);
            }
            continue;
        };
        known.insert(index, effect);
        let exec = stage.executor(2);
        if index % 2 == 0 {
            // what watches over transactions there is less, until a connection is lost
            // where it fails the cases are played on a new connection
            let _ = make_known_well(&exec).await;
        }
        for case in cases {
            calibrate::prepare(&mut stage, form, case.number).await;
            let begun = Instant::now();
            if std::env::var_os("AUDIT_TRACE").is_some() {
                eprintln!("begin {case}");
            }
            let playing = AssertUnwindSafe(play_one(&mut stage, &exec, &case, effect)).catch_unwind();
            let played = match tokio::time::timeout(STUCK, playing).await {
                Ok(Ok(played)) => played,
                Ok(Err(panic)) => Played::Panic(message_of(&*panic)),
                Err(_) => Played::Stuck,
            };
            stage.proxy.clear_rules();
            if matches!(played, Played::Stuck | Played::Panic(_)) {
                // it may have been in the middle of a question of the worker's own
                stage.own = stage.bare().await;
            }
            calibrate::clean_up(&mut stage, form, case.number).await;
            records.push(Record { case, played, took: begun.elapsed() });
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), exec.close()).await;
    }
    (stage, records, known)
}

async fn play_one(stage: &mut Stage, exec: &Executor, case: &Case, effect: Effect) -> Played {
    match case.question {
        Question::State(way) => Played::State(state::play(stage, case, way).await),
        Question::Transaction(manner, trouble) => {
            Played::Transaction(effect, transactions::play(stage, exec, case, manner, trouble).await)
        }
        Question::Prepared(cut) => match prepared::play(stage, exec, case, cut).await {
            Some(played) => Played::Prepared(played),
            None => Played::Nothing,
        },
    }
}

fn is_verbose() -> bool {
    std::env::var_os("AUDIT_VERBOSE").is_some()
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

/// Until no session of a case is left, so that nothing can happen any more.
async fn wait_until_alone(server: &Server) {
    let alone = async {
        while !server.connection_ids().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), alone).await.is_err() {
        let mut conn = server.connect().await;
        let rows: Vec<mysql_async::Row> =
            mysql_async::prelude::Queryable::query(&mut conn, "SHOW FULL PROCESSLIST").await.expect("a list");
        for row in rows {
            println!("left: {row:?}");
        }
        for id in server.connection_ids().await {
            server.kill_connection(id).await;
        }
    }
}

fn pronounce(server: &Server, records: &[Record], known: &BTreeMap<usize, Effect>, ledger: &Ledger) -> Findings {
    let server = server.name();
    let mut rows: BTreeMap<&'static str, Findings> = BTreeMap::new();
    for index in known.keys() {
        rows.entry(corpus::forms()[*index].0).or_default().forms += 1;
    }
    let mut times: BTreeMap<String, (u32, Duration)> = BTreeMap::new();
    for Record { case, played, took } in records {
        let time = times.entry(format!("{:?}", case.question)).or_default();
        *time = (time.0 + 1, time.1 + *took);
        let row = rows.entry(case.area()).or_default();
        let form = case.form();
        let mut crimes = Vec::new();
        let mut said = String::new();
        match played {
            Played::Nothing => {}
            Played::Stuck => crimes.push(Crime::Wrong("it hangs".into())),
            Played::Panic(message) => crimes.push(Crime::Panic(message.clone())),
            Played::State(left) => {
                row.states += 1;
                if left.read_as_neutral {
                    said = "read as neutral".into();
                }
                if !left.leaks.is_empty() && form.unseen {
                    row.unseen += 1;
                } else if !left.leaks.is_empty() {
                    crimes.push(Crime::Leak(left.leaks.join("; ")));
                }
            }
            Played::Transaction(effect, played) => {
                row.transactions += 1;
                let Question::Transaction(manner, trouble) = case.question else { continue };
                let undecided = played.again.as_ref().is_some_and(|again| matches!(again, Told::Unknown(_)));
                row.unknown += u64::from(undecided);
                said = format!("told {}", played.told);
                if let Some(again) = &played.again {
                    said += &format!(", then {again}");
                }
                let there = ledger.of(case.number);
                crimes.extend(judge::of_transaction(manner, trouble, *effect, form.fails, played, there));
            }
            Played::Prepared(played) => {
                row.prepared += 1;
                said = format!("told {}", played.told);
                let named = form.before.is_empty() && ledger.names_one(case.number);
                crimes.extend(judge::of_prepared(played, ledger.of(case.number).effects, named));
            }
        }
        for crime in crimes {
            row.note(&crime);
            println!("{server}: {case}: {crime}; {said}");
        }
    }
    if is_verbose() {
        for (question, (count, took)) in times {
            println!("{question}: {count} cases, {:.1} ms each", took.as_secs_f64() * 1000.0 / f64::from(count));
        }
        let mut slow: Vec<_> = records.iter().collect();
        slow.sort_by_key(|record| std::cmp::Reverse(record.took));
        for record in slow.into_iter().take(40) {
            println!("slow: {:.0} ms {}", record.took.as_secs_f64() * 1000.0, record.case);
        }
    }
    table::print_rows(&server, &rows);
    let mut sum = Findings::default();
    for row in rows.into_values() {
        sum.add(row);
    }
    sum
}
