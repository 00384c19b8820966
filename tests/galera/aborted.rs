//! A transaction that another node's change aborts, while it runs statements that touch no table.
//!
//! Galera reports the abort to the next statement, unless it comes just as a statement ends behind which its text goes on:
//! then it reports it to none.

use std::{future::IntoFuture as _, time::Duration};

use mysql_retry::{Done, Error, Executor, Outcome, Reason, Tx, TxOpts};
use mysql_retry_fixture::{Cluster, Kind, Proxy, failover::in_time, make_known_well};

use crate::support::{Bank, cluster};

/// Transactions, every other one guarded. One abort in a few dozen comes at the bad moment.
const ROUNDS: u32 = 100;

/// A transfer whose last text ends with statements that touch no table, which makes the bad moment long.
async fn work(bank: &Bank, mut tx: Tx, number: usize) -> Result<(), Error> {
    let idle = "; DO 0".repeat(40);
    let [out, into, note] = bank.transfer(number);
    tx.query_drop(note).await?;
    tx.query_drop(into).await?;
    tx.query_drop(out + &idle).await
}

#[tokio::test]
async fn what_another_node_has_aborted_without_a_word_is_never_half_committed_and_called_done() {
    let Some(cluster) = cluster().await else { return };
    let bank = Bank::open(cluster).await;
    let exec = bank.executor(cluster.node(1).opts());
    let rival = bank.executor(cluster.node(0).opts());
    make_known_well(&exec).await.expect("committed");
    let disturbance =
        format!("UPDATE {} SET balance = balance + 0, touched = touched + 1 WHERE id = 1", bank.accounts());
    cluster.node(0).query_drop(format!("ALTER TABLE {} ADD touched INT NOT NULL DEFAULT 0", bank.accounts())).await;
    bank.catch_up().await;
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for round in 0..ROUNDS {
        let number = round as usize;
        let disturb = async {
            tokio::time::sleep(Duration::from_micros(u64::from(round % 25) * 100)).await;
            // this one may be aborted instead
            let _ = rival.query_drop(disturbance.as_str()).await;
        };
        let transaction = exec.transaction(TxOpts::default(), |tx| work(&bank, tx, number));
        let guarded = round % 2 == 0;
        let transfer = async {
            match guarded {
                true => in_time(transaction.exactly_once(number.to_string()).into_future()).await,
                false => in_time(transaction.into_future()).await.map(Done::Now),
            }
        };
        let (result, ()) = tokio::join!(transfer, disturb);
        match result {
            Ok(_) => done.push(number),
            Err(error) => failed.push((number, error)),
        }
    }
    bank.catch_up().await;
    for node in 0..3 {
        let noted = bank.noted_on(node).await;
        for number in &done {
            let times = noted.iter().filter(|noted| *noted == number).count();
            assert_eq!(times, 1, "{number} ended with Ok, on node {node} there are {noted:?}");
        }
    }
    for (number, error) in &failed {
        assert_eq!(error.outcome(), Outcome::Unknown, "{number}: {error}");
    }
    println!("aborted: done={} unknown={} reruns={}", done.len(), failed.len(), exec.counters().resends);
    assert!(exec.counters().resends > 0, "nothing was aborted");
    let (_, _, first, second) = bank.books().await;
    // the transfers that were half committed ended with Unknown
    let off = (1000 - first).abs_diff(second - 1000);
    assert!(
        off as usize <= failed.len(),
        "{off} transfers are half committed, and {} calls ended with Unknown",
        failed.len()
    );
}

/// The texts that this sends to a node of the cluster, over a connection that is known well.
async fn texts_of<F: AsyncFnOnce(Executor)>(cluster: &'static Cluster, work: F) -> Vec<String> {
    let bank = Bank::open(cluster).await;
    let proxy = Proxy::start(cluster.node(0)).await;
    let exec = bank.executor(proxy.opts());
    make_known_well(&exec).await.expect("committed");
    let before = proxy.commands().len();
    work(exec).await;
    let all = proxy.commands();
    all.iter().skip(before).filter(|seen| seen.kind == Kind::Query).filter_map(|seen| seen.text.clone()).collect()
}

const BEGIN: &str = "START TRANSACTION; SAVEPOINT mysql_retry_begun";
const RELEASE: &str = "RELEASE SAVEPOINT mysql_retry_begun";

#[tokio::test]
async fn a_transaction_on_a_node_has_its_savepoint_and_nothing_before_commit_in_the_text_of_that() {
    let Some(cluster) = cluster().await else { return };
    let texts = texts_of(cluster, async |exec| {
        let done: Result<(), Error> =
            exec.transaction(TxOpts::default(), |mut tx| async move { tx.query_drop("DO 0").await }).await;
        done.expect("committed");
    });
    assert_eq!(texts.await, [BEGIN, "DO 0", RELEASE, "COMMIT"]);
}

#[tokio::test]
async fn what_is_stored_with_a_token_on_a_node_is_no_part_of_the_text_that_commits() {
    let Some(cluster) = cluster().await else { return };
    let texts = texts_of(cluster, async |exec| {
        let work = exec.transaction(TxOpts::default(), |mut tx| async move { tx.query_drop("DO 0").await });
        let done: Result<Done<()>, Error> = work.exactly_once("noted").payload(|()| b"7".to_vec()).await;
        assert!(done.expect("committed").is_now());
    });
    let texts = texts.await;
    let [.., released, noted, committed] = &texts[..] else { panic!("{texts:?}") };
    assert_eq!((released.as_str(), committed.as_str()), (RELEASE, "COMMIT"), "{texts:?}");
    assert!(noted.starts_with("UPDATE ") && !noted.contains(';'), "{texts:?}");
}

#[tokio::test]
async fn a_commit_sent_as_text_on_a_node_is_a_text_of_its_own() {
    let Some(cluster) = cluster().await else { return };
    let texts = texts_of(cluster, async |exec| {
        let mut session = exec.session().await.expect("a session");
        for text in ["BEGIN", "DO 0", "COMMIT"] {
            session.query_drop(text).await.expect("answered");
        }
        // replaces the transaction that has the savepoint
        let renew = "CREATE OR REPLACE PROCEDURE renew() BEGIN COMMIT; START TRANSACTION; END";
        session.query_drop(renew).await.expect("created");
        session.query_drop("BEGIN").await.expect("answered");
        session.query_drop("CALL renew()").await.expect("answered");
        let error = session.query_drop("COMMIT").await.expect_err("of another transaction");
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::TransactionEnded), "{error}");
    });
    let texts = texts.await;
    let begin = BEGIN.replace("START TRANSACTION", "BEGIN");
    let rest: Vec<_> = texts.iter().skip(4).filter(|text| *text == "COMMIT").collect();
    assert_eq!(texts[..4], [begin.as_str(), "DO 0", RELEASE, "COMMIT"]);
    assert!(rest.is_empty(), "{texts:?}");
}
