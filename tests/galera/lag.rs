//! A node that lags: it has received what was committed elsewhere, and has not applied it yet.

use std::future::IntoFuture as _;

use mysql_async::{Conn, prelude::Queryable as _};
use mysql_retry::{Done, Error, Executor, Outcome, TxOpts};
use mysql_retry_fixture::{Cluster, Fault, Place, Proxy, Rule, When, failover::in_time, ms};
use tokio::sync::Mutex;

use crate::support::{Bank, cluster};

/// One test at a time: all commits wait behind the first one that a node cannot apply.
static LAGGING: Mutex<()> = Mutex::const_new(());

/// Makes the second node apply nothing until the connection is closed.
async fn hold_back(cluster: &Cluster, bank: &Bank) -> Conn {
    let table = format!("{}_held", bank.accounts());
    cluster.node(0).query_drop(format!("CREATE TABLE {table} (a INT PRIMARY KEY)")).await;
    bank.catch_up().await;
    let mut holder = cluster.node(1).connect().await;
    holder.query_drop(format!("LOCK TABLES {table} READ")).await.expect("locked");
    cluster.node(0).query_drop(format!("INSERT INTO {table} VALUES (1)")).await;
    holder
}

/// A bank, an executor that reaches the first node through a proxy, and a second node that applies nothing.
struct Scene {
    bank: Bank,
    proxy: Proxy,
    exec: Executor,
    holder: Conn,
}

impl Scene {
    async fn new(cluster: &'static Cluster) -> Self {
        let bank = Bank::open(cluster).await;
        let proxy = Proxy::start(cluster.node(0)).await;
        let exec = bank.executor(proxy.opts());
        let holder = hold_back(cluster, &bank).await;
        Scene { bank, proxy, exec, holder }
    }
}

/// A transfer that loses the reply to its first COMMIT, at the first node, and goes on at the second.
async fn transfer(
    cluster: &Cluster,
    bank: &Bank,
    proxy: &Proxy,
    exec: &Executor,
    last: fn(u32) -> &'static str,
) -> Result<Done<u32>, Error> {
    proxy.rule(Rule::reply_lost(When::text("COMMIT")));
    let transfer = exec
        .transaction(TxOpts::default(), |mut tx| {
            proxy.point_at(cluster.node(1));
            let last = last(tx.attempt());
            async move {
                bank.make_transfer(&mut tx, 1).await?;
                tx.query_drop(last).await?;
                Ok(tx.attempt())
            }
        })
        .exactly_once("t");
    in_time(transfer.into_future()).await
}

#[tokio::test]
async fn a_rerun_on_a_node_that_does_not_see_the_lost_commit_yet_fails_certification() {
    let Some(cluster) = cluster().await else { return };
    let _alone = LAGGING.lock().await;
    let Scene { bank, proxy, exec, holder } = Scene::new(cluster).await;
    let release = async {
        // as soon as the rerun has written what it is about to commit, plus the time in which the COMMIT is sent
        cluster.node(1).wait_until_running("SLEEP(0.5)").await;
        tokio::time::sleep(ms(700)).await;
        holder.disconnect().await.expect("a goodbye");
    };
    let last = |attempt: u32| if attempt == 2 { "SELECT SLEEP(0.5)" } else { "DO 0" };
    let (done, ()) = tokio::join!(transfer(cluster, &bank, &proxy, &exec, last), release);
    // the value of the run whose COMMIT took effect
    assert_eq!(done.expect("found out"), Done::Now(1));
    assert_eq!(bank.books().await, (1, 1, 999, 1001));
}

#[tokio::test]
async fn a_rerun_that_fails_before_it_has_found_out_does_not_say_not_executed() {
    let Some(cluster) = cluster().await else { return };
    let _alone = LAGGING.lock().await;
    let Scene { bank, proxy, exec, holder } = Scene::new(cluster).await;
    let last = |attempt: u32| if attempt == 2 { "SELECT * FROM no_such_table" } else { "DO 0" };
    let error = transfer(cluster, &bank, &proxy, &exec, last).await.expect_err("no such table");
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    holder.disconnect().await.expect("a goodbye");
    assert_eq!(bank.books().await, (1, 1, 999, 1001), "the lost COMMIT took effect");
}

/// A COMMIT that a node could not finish may have reached the others, and take effect when they agree again, long after its session
/// has ended. (Seen where a quorum was lost and regained.)
#[tokio::test]
async fn a_token_that_can_be_taken_on_the_very_node_of_a_lost_commit_says_nothing_about_it() {
    let Some(cluster) = cluster().await else { return };
    let bank = Bank::open(cluster).await;
    let proxy = Proxy::start(cluster.node(0)).await;
    let exec = bank.executor(proxy.opts());
    proxy.rule(Rule::new(When::text("COMMIT"), Place::Request(4), Fault::Fin));
    let transfer = exec
        .transaction(TxOpts::default(), |mut tx| async move {
            tx.query_drop(if tx.attempt() == 1 { "DO 0" } else { "SELECT * FROM no_such_table" }).await
        })
        .exactly_once("t");
    let error = in_time(transfer.into_future()).await.expect_err("no such table");
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!((exec.counters().losses, exec.counters().unfenced), (1, 0));
}
