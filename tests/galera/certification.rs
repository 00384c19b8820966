//! Certification failures, which Galera reports as deadlocks.

use mysql_retry::{Error, Executor, TxOpts};
use mysql_retry_fixture::failover::in_time;
use tokio::sync::Barrier;

use crate::support::{Bank, cluster};

#[tokio::test]
async fn a_transaction_that_fails_certification_at_commit_is_run_again() {
    let Some(cluster) = cluster().await else { return };
    let bank = Bank::open(cluster).await;
    let [one, two, _] = bank.executors();
    let both_have_written = Barrier::new(2);
    let write = async |exec: &Executor| {
        let done: Result<u32, Error> = exec
            .transaction(TxOpts::default(), |mut tx| {
                let (bank, meeting) = (&bank, &both_have_written);
                async move {
                    let attempt = tx.attempt();
                    bank.make_transfer(&mut tx, 1).await?;
                    // no lock keeps out a rival on another node: both come here, with the same rows written
                    if attempt == 1 {
                        meeting.wait().await;
                    }
                    Ok(attempt)
                }
            })
            .await;
        done.expect("run again")
    };
    let attempts = in_time(async { tokio::join!(write(&one), write(&two)) }).await;
    assert!(attempts.0 + attempts.1 > 2, "nothing collided: {attempts:?}");
    assert_eq!(bank.books().await, (2, 1, 998, 1002));
    let counted = one.counters().resends + two.counters().resends;
    assert_eq!(counted, u64::from(attempts.0 + attempts.1 - 2));
}
