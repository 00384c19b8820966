//! The cluster of all tests, and tables of a test's own on it.

use std::{
    env,
    future::Future,
    io::{self, Write as _},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use mysql_async::OptsBuilder;
use mysql_retry::Executor;
use mysql_retry_fixture::Cluster;
use tokio::sync::OnceCell;

/// The cluster, or a reason why there is none, which has been printed.
pub async fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    if let Err(reason) = Cluster::is_available() {
        let required = env::var("MYSQL_RETRY_GALERA").is_ok_and(|value| value == "required");
        assert!(!required, "{reason}");
        // not by a macro, whose words the harness keeps to itself
        let _ = writeln!(io::stderr(), "skipped: {reason}");
        return None;
    }
    Some(CLUSTER.get_or_init(Cluster::start).await)
}

/// Two accounts with 1000 each, the transfers between them, and a guard's table.
pub struct Bank {
    cluster: &'static Cluster,
    name: String,
}

impl Bank {
    /// A bank that all nodes know of.
    pub async fn open(cluster: &'static Cluster) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let bank = Bank { cluster, name: format!("bank_{}", NEXT.fetch_add(1, Ordering::Relaxed)) };
        let first = cluster.node(0);
        first.query_drop(format!("CREATE TABLE {} (id INT PRIMARY KEY, balance INT NOT NULL)", bank.accounts())).await;
        first.query_drop(format!("INSERT INTO {} VALUES (1, 1000), (2, 1000)", bank.accounts())).await;
        let id = "id INT AUTO_INCREMENT PRIMARY KEY";
        first.query_drop(format!("CREATE TABLE {} ({id}, n INT NOT NULL)", bank.transfers())).await;
        bank.executor(first.opts()).create_guard_table().await.expect("created");
        bank.catch_up().await;
        bank
    }

    pub fn accounts(&self) -> String {
        format!("{}_account", self.name)
    }

    pub fn transfers(&self) -> String {
        format!("{}_transfer", self.name)
    }

    /// An executor whose guard is that of this bank.
    pub fn executor(&self, opts: OptsBuilder) -> Executor {
        Executor::builder().guard_table(format!("{}_guard", self.name)).build(opts).expect("good options")
    }

    /// Executors, one for each node.
    pub fn executors(&self) -> [Executor; 3] {
        self.cluster.nodes().each_ref().map(|node| self.executor(node.opts()))
    }

    /// The statements that move 1 from the first account to the second, as the transfer of this number.
    pub fn transfer(&self, number: usize) -> [String; 3] {
        let (accounts, transfers) = (self.accounts(), self.transfers());
        [
            format!("UPDATE {accounts} SET balance = balance - 1 WHERE id = 1"),
            format!("UPDATE {accounts} SET balance = balance + 1 WHERE id = 2"),
            format!("INSERT INTO {transfers} (n) VALUES ({number})"),
        ]
    }

    /// The numbers of the transfers that were made.
    pub async fn noted(&self) -> Vec<usize> {
        use mysql_async::prelude::Queryable as _;
        let mut conn = self.cluster.node(0).connect().await;
        let numbers = conn.query(format!("SELECT n FROM {}", self.transfers())).await.expect("numbers");
        conn.disconnect().await.expect("a goodbye");
        numbers
    }

    /// Waits until all nodes know what any of them does.
    pub async fn catch_up(&self) {
        for number in 0..3 {
            self.cluster.catch_up(number).await;
        }
    }

    /// How many transfers there were, how many different ones, and what the two accounts hold.
    pub async fn books(&self) -> (usize, usize, i64, i64) {
        self.catch_up().await;
        let (accounts, transfers) = (self.accounts(), self.transfers());
        let balance = |id: u32| format!("(SELECT balance FROM {accounts} WHERE id = {id})");
        let sql = format!("SELECT COUNT(*), COUNT(DISTINCT n), {}, {} FROM {transfers}", balance(1), balance(2));
        let mut all = Vec::new();
        for node in self.cluster.nodes() {
            all.push(node.query_first(&sql).await.expect("a row"));
        }
        assert!(all.iter().all(|one| *one == all[0]), "the nodes differ: {all:?}");
        all[0]
    }
}

/// Waits for what has to come, and fails instead of hanging for ever.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("a test that hangs")
}
