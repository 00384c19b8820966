//! Callers that go on while servers come and go.

mod books;

use std::{
    future::IntoFuture as _,
    io::{self, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

pub use books::Books;
use mysql_retry::{Annotate as _, Done, Error, Executor, Outcome, Tx, TxOpts};
use mysql_retry_fixture::Server;
use tokio::{
    sync::{RwLock, RwLockWriteGuard, watch},
    task::JoinSet,
    time::timeout,
};

/// Longer than any outage of these tests; only a test that would hang for ever meets it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two calls of a caller: what is tested is not how fast they are.
const BREATH: Duration = Duration::from_millis(3);
const ACCOUNTS: u32 = 8;
const BALANCE: i64 = 1000;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A plain INSERT of a new number: at most once.
    Insert,
    /// The caller's own row gets a new value: idempotent.
    Set,
    /// The caller's own row is read.
    Read,
    /// Money is moved in a transaction.
    Transfer,
    /// The same with a token.
    Guarded,
}

const KINDS: [Kind; 5] = [Kind::Insert, Kind::Set, Kind::Read, Kind::Transfer, Kind::Guarded];

/// What a caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Ok,
    NotExecuted,
    /// The server answered with an error, and nothing was lost.
    Failed,
    Unknown,
    /// Something that cannot be.
    Nonsense,
}

#[derive(Clone, Debug)]
struct Answer {
    kind: Kind,
    caller: u32,
    number: u32,
    told: Told,
    words: String,
}

/// Callers at work.
pub struct Load {
    shared: Arc<Shared>,
    callers: JoinSet<()>,
}

struct Shared {
    scenario: &'static str,
    exec: Executor,
    /// Reads see what the same caller has written: not so where the nodes of a cluster lag.
    sees_own_writes: bool,
    stopped: AtomicBool,
    gate: RwLock<()>,
    numbers: AtomicU32,
    answers: Mutex<Vec<Answer>>,
    succeeded: watch::Sender<usize>,
}

/// The tables of a scenario: rows with numbers, the callers' own rows, accounts, transfers.
pub fn tables(scenario: &str) -> [String; 4] {
    ["row", "value", "account", "transfer"].map(|table| format!("{}_{table}", scenario.replace('-', "_")))
}

impl Load {
    /// Makes the tables, on a server whose tables all others will have, and the guard's.
    pub async fn lay_out(scenario: &'static str, server: &Server, exec: &Executor, callers: u32) {
        let [row, value, account, transfer] = tables(scenario);
        let accounts: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, {BALANCE})")).collect();
        let values: Vec<String> = (0..callers).map(|id| format!("({id}, 0)")).collect();
        for sql in [
            // no unique key on the number: what is done twice is there twice
            format!("CREATE TABLE {row} (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)"),
            format!("CREATE TABLE {value} (id INT PRIMARY KEY, v INT NOT NULL)"),
            format!("CREATE TABLE {account} (id INT PRIMARY KEY, balance INT NOT NULL)"),
            format!("CREATE TABLE {transfer} (id INT AUTO_INCREMENT PRIMARY KEY, n INT, a INT, b INT)"),
            format!("INSERT INTO {account} VALUES {}", accounts.join(", ")),
            format!("INSERT INTO {value} VALUES {}", values.join(", ")),
        ] {
            server.query_drop(sql).await;
        }
        exec.create_guard_table().await.expect("the guard's table");
    }

    /// Lets the callers begin, in tables that were laid out for as many.
    pub fn begin(scenario: &'static str, exec: &Executor, callers: u32, sees_own_writes: bool) -> Load {
        let shared = Arc::new(Shared {
            scenario,
            exec: exec.clone(),
            sees_own_writes,
            stopped: AtomicBool::new(false),
            gate: RwLock::default(),
            numbers: AtomicU32::new(0),
            answers: Mutex::default(),
            succeeded: watch::Sender::new(0),
        });
        let callers = (0..callers).map(|caller| shared.clone().call_on(caller)).collect();
        Load { shared, callers }
    }

    /// Waits for so many more successes.
    pub async fn reach(&self, more: usize) {
        let mut succeeded = self.shared.succeeded.subscribe();
        let aim = *succeeded.borrow() + more;
        let reached = timeout(PATIENCE, succeeded.wait_for(|count| *count >= aim)).await.is_ok();
        assert!(reached, "{}: no progress: {:?}", self.shared.scenario, self.shared.exec.counters());
    }

    /// Lets no caller begin a call until this is dropped, and waits for the calls that run.
    pub async fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        timeout(PATIENCE, self.shared.gate.write()).await.expect("a call that hangs")
    }

    /// Lets the callers end.
    pub async fn stop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        let ended = timeout(PATIENCE, async {
            while let Some(ended) = self.callers.join_next().await {
                ended.expect("no panic of a caller");
            }
        });
        ended.await.unwrap_or_else(|_| panic!("{}: a call that hangs", self.shared.scenario));
    }

    /// Lets the callers end, and closes the books over what is on this server.
    pub async fn close(mut self, server: &Server) -> Books {
        self.stop().await;
        let books = Books::close(&self.shared, server).await;
        // not by a macro, whose words the harness keeps to itself
        let _ = writeln!(io::stderr(), "{}", books.line);
        books
    }
}

impl Shared {
    async fn call_on(self: Arc<Self>, caller: u32) {
        // what the own row holds at least
        let (mut floor, mut turn) = (0, caller as usize);
        while !self.stopped.load(SeqCst) {
            let open = self.gate.read().await;
            let number = self.numbers.fetch_add(1, SeqCst) + 1;
            let kind = KINDS[turn % KINDS.len()];
            turn += 1;
            let (told, words) = match kind {
                Kind::Insert => say(self.insert(number).await),
                Kind::Set => say(self.set(caller, number).await),
                Kind::Read => match self.read(caller).await {
                    Ok(value) if self.sees_own_writes && value < floor => {
                        (Told::Nonsense, format!("read {value} after {floor} had been written"))
                    }
                    read => say(read),
                },
                Kind::Transfer => say(self.transfer(number).await),
                Kind::Guarded => self.guarded(caller, number).await,
            };
            if told == Told::Ok {
                if kind == Kind::Set {
                    floor = number;
                }
                self.succeeded.send_modify(|count| *count += 1);
            }
            self.note(Answer { kind, caller, number, told, words });
            drop(open);
            tokio::time::sleep(BREATH).await;
        }
    }

    fn note(&self, answer: Answer) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
    }

    async fn insert(&self, number: u32) -> Result<(), Error> {
        let [row, ..] = tables(self.scenario);
        // prepared and not
        if number.is_multiple_of(2) {
            self.exec.exec_drop(format!("INSERT INTO {row} (n) VALUES (?)"), (number,)).await.map(drop)
        } else {
            self.exec.query_drop(format!("INSERT INTO {row} (n) VALUES ({number})")).await.map(drop)
        }
    }

    async fn set(&self, caller: u32, number: u32) -> Result<(), Error> {
        let [_, value, ..] = tables(self.scenario);
        let sql = if number.is_multiple_of(2) {
            format!("UPDATE {value} SET v = {number} WHERE id = {caller}")
        } else {
            format!("REPLACE INTO {value} VALUES ({caller}, {number})")
        };
        self.exec.query_drop(sql.idempotent()).await.map(drop)
    }

    async fn read(&self, caller: u32) -> Result<u32, Error> {
        let [_, value, ..] = tables(self.scenario);
        let sql = format!("SELECT v FROM {value} WHERE id = ?").idempotent();
        let row: Option<u32> = self.exec.exec_first(sql, (caller,)).await?;
        Ok(row.unwrap_or_default())
    }

    fn work(&self, number: u32) -> impl FnMut(Tx) -> Work {
        let [_, _, account, transfer] = tables(self.scenario);
        let (a, b) = sides(number);
        // in one order, whichever way the money goes
        let (low, high) = (a.min(b), a.max(b));
        let sign = if low == a { '-' } else { '+' };
        let back = if low == a { '+' } else { '-' };
        let all = [
            format!("UPDATE {account} SET balance = balance {sign} 1 WHERE id = {low}"),
            format!("UPDATE {account} SET balance = balance {back} 1 WHERE id = {high}"),
            format!("INSERT INTO {transfer} (n, a, b) VALUES ({number}, {a}, {b})"),
        ];
        move |mut tx| {
            let all = all.clone();
            Box::pin(async move {
                for sql in all {
                    tx.query_drop(sql).await?;
                }
                Ok(number)
            })
        }
    }

    async fn transfer(&self, number: u32) -> Result<u32, Error> {
        self.exec.transaction(TxOpts::default(), self.work(number)).await
    }

    /// Comes with the same token until it is told that the work is done.
    async fn guarded(&self, caller: u32, number: u32) -> (Told, String) {
        let mut before = false;
        loop {
            let transfer = self.exec.transaction(TxOpts::default(), self.work(number)).exactly_once(u64::from(number));
            match transfer.into_future().await {
                Ok(Done::Now(_)) => return (Told::Ok, String::new()),
                Ok(Done::Before { .. }) if before => return (Told::Ok, String::new()),
                Ok(Done::Before { .. }) => {
                    return (Told::Nonsense, format!("{number} is said to have been done before"));
                }
                Err(error) => {
                    let (told, words) = say(Err::<(), _>(error));
                    before |= told == Told::Unknown;
                    if self.stopped.load(SeqCst) {
                        return (told, words);
                    }
                    // no verdict on the number, which the next call with its token gives
                    self.note(Answer { kind: Kind::Guarded, caller, number: 0, told, words });
                }
            }
        }
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<u32, Error>> + Send>>;

fn sides(number: u32) -> (u32, u32) {
    let a = number % ACCOUNTS;
    (a, (a + 1 + number / ACCOUNTS % (ACCOUNTS - 1)) % ACCOUNTS)
}

fn say<T>(result: Result<T, Error>) -> (Told, String) {
    match result {
        Ok(_) => (Told::Ok, String::new()),
        Err(error) => {
            let told = match error.outcome() {
                Outcome::NotExecuted => Told::NotExecuted,
                // only the Debug form shows it
                Outcome::Failed if format!("{error:?}").contains("lost_before: true") => Told::Nonsense,
                Outcome::Failed => Told::Failed,
                Outcome::Unknown => Told::Unknown,
            };
            (told, error.to_string())
        }
    }
}
