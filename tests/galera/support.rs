//! The cluster of all tests, and tables of a test's own on it.

use std::sync::atomic::{AtomicUsize, Ordering};

use mysql_async::{Conn, OptsBuilder, prelude::Queryable as _};
use mysql_retry::{Error, Executor, Tx};
use mysql_retry_fixture::{Cluster, failover::until_true, skip::is_available};
use tokio::sync::OnceCell;

/// Whether there can be a cluster; if not, the reason is printed.
fn is_possible() -> bool {
    is_available(Cluster::is_available(), "MYSQL_RETRY_GALERA")
}

/// The cluster of all tests that do not disturb it. `None` where there is no Galera.
pub async fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    if !is_possible() {
        return None;
    }
    Some(CLUSTER.get_or_init(Cluster::start).await)
}

/// A cluster of a test's own, which it may disturb. `None` where there is no Galera.
pub async fn own_cluster() -> Option<&'static Cluster> {
    if !is_possible() {
        return None;
    }
    // lives as long as the process, as the shared one does
    Some(Box::leak(Box::new(Cluster::start().await)))
}

/// Freezes two nodes, and waits until the first one, which this connection leads to, has noticed that it has no quorum.
pub async fn take_quorum(cluster: &Cluster, first: &mut Conn) {
    cluster.node(1).freeze();
    cluster.node(2).freeze();
    until_true(async || {
        let status = first.query_first::<(String, String), _>("SHOW STATUS LIKE 'wsrep_ready'").await;
        status.expect("an answer").is_some_and(|(_, ready)| ready == "OFF")
    })
    .await;
}

/// Lets the two nodes go on.
pub fn give_quorum_back(cluster: &Cluster) {
    cluster.node(1).thaw();
    cluster.node(2).thaw();
}

/// Two accounts with 1000 each, the transfers between them, and a guard's table.
pub struct Bank {
    cluster: &'static Cluster,
    name: String,
}

impl Bank {
    /// A bank whose tables are on all nodes.
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

    /// Makes the transfer of this number in a transaction.
    pub async fn make_transfer(&self, tx: &mut Tx, number: usize) -> Result<(), Error> {
        for sql in self.transfer(number) {
            tx.query_drop(sql).await?;
        }
        Ok(())
    }

    /// The numbers of the transfers that were made, as this node has them.
    pub async fn noted_on(&self, node: usize) -> Vec<usize> {
        let mut conn = self.cluster.node(node).connect().await;
        let numbers = conn.query(format!("SELECT n FROM {}", self.transfers())).await.expect("numbers");
        conn.disconnect().await.expect("a goodbye");
        numbers
    }

    /// Waits until each node has applied what any of them has committed.
    pub async fn catch_up(&self) {
        for number in 0..3 {
            self.cluster.catch_up(number).await;
        }
    }

    /// The number of transfers, the number of different ones, and what the two accounts hold: the same on all nodes.
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
