//! A transaction that another node's change aborts, while it runs statements that touch no table.
//!
//! Galera reports the abort to the next statement, unless it comes just as such a statement ends: then it reports it to none.

use std::{future::IntoFuture as _, time::Duration};

use mysql_retry::{Done, Error, Outcome, Tx, TxOpts};
use mysql_retry_fixture::{Kind, Proxy, failover::in_time, make_known_well};

use crate::support::{Bank, cluster};

/// Transactions, every other one guarded. One abort in a few dozen comes at the bad moment.
const ROUNDS: u32 = 100;

/// A transfer whose last text ends with statements that touch no table, which makes the bad moment long.
async fn work(bank: &Bank, mut tx: Tx, number: usize) -> Result<(), Error> {
    let idle = "; DO 0".repeat(40);
    let [out, into, note] = bank.transfer(number);
    tx.query_drop(note).await?;
    tx.query_drop(into).await?;
    tx.query_drop(out + &idle).await.map(drop)
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
    let noted = bank.noted().await;
    for number in &done {
        assert_eq!(noted.iter().filter(|noted| *noted == number).count(), 1, "{number} ended with Ok");
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

#[tokio::test]
async fn a_transaction_on_a_node_has_its_savepoint_however_well_the_connection_is_known() {
    let Some(cluster) = cluster().await else { return };
    let bank = Bank::open(cluster).await;
    let proxy = Proxy::start(cluster.node(0)).await;
    let exec = bank.executor(proxy.opts());
    make_known_well(&exec).await.expect("committed");
    let before = proxy.commands().len();
    let done: Result<(), Error> =
        exec.transaction(TxOpts::default(), |mut tx| async move { tx.query_drop("DO 0").await.map(drop) }).await;
    done.expect("committed");
    let all = proxy.commands();
    let texts: Vec<_> = all.iter().skip(before).filter(|seen| seen.kind == Kind::Query).collect();
    let has_savepoint = |text: &&str| text.contains("SAVEPOINT");
    let with = texts.iter().filter_map(|seen| seen.text.as_deref()).filter(has_savepoint).count();
    assert_eq!((texts.len(), with), (3, 2));
}
