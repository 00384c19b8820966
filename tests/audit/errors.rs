//! Each error number, said in place of an execution and after one.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mysql_retry::{Annotate as _, Executor, TxOpts};
use mysql_retry_fixture::{Fault, Place, Rule, Server, When};

use crate::{
    cases::Selection,
    corpus::mark,
    judge::Crime,
    ledger::Ledger,
    numbers::{self, Said},
    proofs,
    stage::Stage,
    table::{self, Findings},
    told::Told,
};

/// Numbers of cases begin here: so many for each error number, those of foreign servers behind them.
const FIRST: u32 = 10_000_000;
const FOREIGN: u32 = 20_000_000;

/// An executor is used for so many cases.
const USES: usize = 60;

const DEADLINE: Duration = Duration::from_millis(300);
const STUCK: Duration = Duration::from_secs(10);

/// What meets the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Insert,
    Select,
    /// A transaction's COMMIT, without and with a token.
    Commit,
    Guarded,
    Login,
}

/// When it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    InPlace,
    /// Each time.
    Always,
    After,
    /// After the execution, and the text's earlier results are let through.
    Last,
}

#[derive(Clone, Debug)]
pub struct Case {
    number: u32,
    pub work: Work,
    pub moment: Moment,
    pub idempotent: bool,
    pub said: Said,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { number, work, moment, idempotent, said: Said { code, state, message } } = self;
        let annotation = if *idempotent { ", idempotent" } else { "" };
        let message: String = message.chars().take(60).collect();
        write!(f, "AUDIT_CASE={number} {code} ({state}) `{message}`, {work:?} {moment:?}{annotation}")
    }
}

const VARIANTS: [(Work, Moment, bool); 16] = [
    (Work::Insert, Moment::InPlace, false),
    (Work::Insert, Moment::InPlace, true),
    (Work::Insert, Moment::After, false),
    (Work::Insert, Moment::After, true),
    (Work::Insert, Moment::Always, false),
    (Work::Select, Moment::InPlace, false),
    (Work::Select, Moment::After, false),
    (Work::Select, Moment::After, true),
    (Work::Commit, Moment::InPlace, false),
    (Work::Commit, Moment::After, false),
    (Work::Commit, Moment::Last, false),
    (Work::Guarded, Moment::InPlace, false),
    (Work::Guarded, Moment::After, false),
    (Work::Guarded, Moment::Last, false),
    (Work::Login, Moment::InPlace, false),
    (Work::Login, Moment::InPlace, true),
];

fn cases(own: Vec<Said>) -> Vec<Case> {
    let of_server = own.into_iter().map(|said| (FIRST + u32::from(said.code) * 20, said));
    let foreign = numbers::foreign().into_iter().zip(0..).map(|(said, index)| (FOREIGN + index * 20, said));
    let all = of_server.chain(foreign).flat_map(|(first, said)| {
        VARIANTS.into_iter().zip(first..).map(move |((work, moment, idempotent), number)| Case {
            number,
            work,
            moment,
            idempotent,
            said: said.clone(),
        })
    });
    all.collect()
}

struct Record {
    case: Case,
    told: Told,
    /// The call lost an attempt in another way than by the error that was said.
    lost: bool,
}

/// What has been played.
pub struct Errors(Vec<Record>);

pub async fn play(server: &Arc<Server>, selection: Selection, stages: Vec<Stage>) -> Errors {
    let mut conn = server.connect().await;
    let own = numbers::of_server(&mut conn, server.flavour()).await;
    let chosen: VecDeque<Case> = cases(own).into_iter().filter(|case| selection.has(case.number)).collect();
    let queue = Arc::new(Mutex::new(chosen));
    let workers: Vec<_> = stages.into_iter().map(|stage| tokio::spawn(work_through(stage, queue.clone()))).collect();
    let mut records = Vec::new();
    for worker in workers {
        records.extend(worker.await.expect("a worker that does not panic"));
    }
    Errors(records)
}

async fn work_through(stage: Stage, queue: Arc<Mutex<VecDeque<Case>>>) -> Vec<Record> {
    let mut records = Vec::new();
    let mut exec: Option<(Executor, usize)> = None;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(case) = next else { break };
        let (used, uses) = match exec.take() {
            Some((exec, uses)) if uses < USES => (exec, uses),
            _ => (stage.executor_with(1, DEADLINE), 0),
        };
        let begun = tokio::time::timeout(STUCK, play_one(&stage, &used, &case)).await;
        stage.proxy.clear_rules();
        match begun {
            Ok((told, lost)) => {
                records.push(Record { case, told, lost });
                exec = Some((used, uses + 1));
            }
            Err(_) => records.push(Record { case, told: Told::Nothing, lost: false }),
        }
    }
    records
}

async fn play_one(stage: &Stage, exec: &Executor, case: &Case) -> (Told, bool) {
    let Said { code, state, message } = case.said.clone();
    let fault = Fault::Answer { code, state: Some(state), message };
    let place = match case.moment {
        Moment::InPlace | Moment::Always => Place::Request(0),
        Moment::After => Place::AfterRequest,
        Moment::Last => Place::LastResult,
    };
    let times = if case.moment == Moment::Always { usize::MAX } else { 1 };
    let rule = move |when| Rule::new(when, place, fault).times(times);
    let losses = exec.counters().losses;
    let number = case.number;
    let told = match case.work {
        Work::Insert => {
            stage.proxy.rule(rule(When::text(mark(number))));
            Told::of(&insert(exec, case).await)
        }
        Work::Login => {
            stage.proxy.cut_all(Fault::Fin).await;
            stage.proxy.rule(rule(When::Login));
            Told::of(&insert(exec, case).await)
        }
        Work::Select => {
            stage.proxy.rule(rule(When::text(mark(number))));
            let sql = format!("SELECT x FROM t WHERE id = 1 {}", mark(number));
            match case.idempotent {
                true => Told::of(&exec.query_drop(sql.idempotent()).await),
                false => Told::of(&exec.query_drop(sql).await),
            }
        }
        Work::Commit | Work::Guarded => {
            let (proxy, rule) = (&stage.proxy, rule(When::text("COMMIT")));
            let database = &stage.database;
            let work = exec.transaction(TxOpts::default(), |mut tx| {
                let rule = rule.clone();
                async move {
                    tx.query_drop(format!("INSERT INTO {database}.a (n) VALUES ({number})")).await?;
                    if tx.attempt() == 1 {
                        proxy.rule(rule);
                    }
                    Ok::<(), mysql_retry::Error>(())
                }
            });
            match case.work {
                Work::Guarded => Told::of_done(&work.exactly_once(number.to_string()).await),
                Work::Commit | Work::Insert | Work::Select | Work::Login => Told::of(&work.await),
            }
        }
    };
    (told, exec.counters().losses > losses)
}

async fn insert(exec: &Executor, case: &Case) -> mysql_retry::Result<mysql_retry::Summary> {
    let sql = format!("INSERT INTO e (n) VALUES ({number}) {mark}", number = case.number, mark = mark(case.number));
    if case.idempotent { exec.query_drop(sql.idempotent()).await } else { exec.query_drop(sql).await }
}

impl Errors {
    /// Prints the bad ones and a row, and returns the sum.
    pub fn pronounce(&self, server: &str, ledger: &Ledger) -> Findings {
        let mut sum = Findings::default();
        for Record { case, told, lost } in &self.0 {
            sum.errors += 1;
            sum.unknown += u64::from(case.work == Work::Guarded && matches!(told, Told::Unknown(_)));
            let rows = ledger.of(case.number);
            let times = match case.work {
                Work::Insert | Work::Login => rows.effects,
                Work::Commit | Work::Guarded => rows.a,
                Work::Select => u32::from(told.is_success()),
            };
            if let Some(crime) = judge(case, told, *lost, times) {
                sum.note(&crime);
                println!("{server}: {case}: {crime}; told {told}");
            }
        }
        let row = BTreeMap::from([("error numbers", sum)]);
        table::print_rows(server, &row);
        sum
    }
}

/// `times`: how often the effect is there.
fn judge(case: &Case, told: &Told, lost: bool, times: u32) -> Option<Crime> {
    let is_proof = proofs::reason(&case.said).is_some();
    match told {
        Told::Nothing => return Some(Crime::Wrong("no end".into())),
        Told::Panic(message) => return Some(Crime::Panic(message.clone())),
        Told::Ok | Told::Before if times == 0 => return Some(Crime::Wrong("Ok, and nothing is there".into())),
        Told::NotExecuted(_) if times > 0 && !is_proof => {
            return Some(Crime::Wrong(format!("NotExecuted, and it is there {times} times")));
        }
        Told::Failed(_) if lost => return Some(Crime::Wrong("Failed, though an attempt was lost".into())),
        Told::Failed(_) if times > 0 && matches!(case.work, Work::Commit | Work::Guarded) => {
            return Some(Crime::Wrong("Failed, and it is committed".into()));
        }
        Told::Ok | Told::Before | Told::NotExecuted(_) | Told::Failed(_) | Told::Unknown(_) => {}
    }
    if times > 1 && !case.idempotent && (!is_proof || case.work == Work::Guarded) {
        return Some(Crime::Duplicate(format!("it is there {times} times")));
    }
    // 1243 is one of a prepared statement, and this is text
    if case.moment == Moment::Always && is_proof && matches!(told, Told::Unknown(_)) {
        return Some(Crime::Wrong("the audit's list has it as a proof, and the executor has not".into()));
    }
    let message = told.message()?;
    let says_what_to_do = !matches!(told, Told::Unknown(_)) || message.contains("may have been");
    let is_good = message.trim().len() >= 20 && says_what_to_do;
    (!is_good).then(|| Crime::Wrong("a message that does not say what to do".into()))
}
