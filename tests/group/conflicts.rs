//! Two primaries change the same rows, and learn of each other when they commit (3101, 1180 with 149).

use std::{
    future::IntoFuture as _,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use mysql_retry::{Error, Executor, TxOpts};
use mysql_retry_fixture::{Events, ms};

use crate::support::{Codes, long_multi_scene, timed, with_deadline};

const CONFLICT: Duration = ms(8_000);

/// A transfer that meets its rivals at COMMIT.
async fn transfer(exec: &Executor, n: u32, guarded: bool) -> Result<(), Error> {
    let work = exec.transaction(TxOpts::default(), |mut tx| async move {
        tx.query_drop(format!("INSERT INTO moved (n) VALUES ({n})")).await?;
        tx.query_drop("UPDATE purse SET v = v + 1 WHERE id = 1").await?;
        Ok::<_, Error>(())
    });
    match guarded {
        true => work.exactly_once(n.to_string()).await.map(drop),
        false => work.into_future().await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_95_a_transaction_that_meets_a_rival_at_its_commit_is_run_again() {
    let Some(scene) = long_multi_scene().await else { return };
    let group = scene.group;
    for sql in [
        "CREATE TABLE purse (id INT PRIMARY KEY, v INT NOT NULL)",
        "INSERT INTO purse VALUES (1, 0), (2, 0)",
        "CREATE TABLE moved (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)",
    ] {
        group.node(0).query_drop(sql).await;
    }
    let (events, codes) = (Events::default(), Codes::default());
    let executor = |number: usize| {
        let deadline = ms(30_000);
        codes
            .record(with_deadline("conflicts", &events, deadline), deadline)
            .build(group.informed_opts(number))
            .expect("good options")
    };
    let executors = [executor(0), executor(1)];
    executors[0].create_guard_table().await.expect("the guard's table");
    for number in 0..3 {
        group.catch_up(number).await;
    }

    let (numbers, singles, end) = (AtomicU32::new(0), AtomicU32::new(0), Instant::now() + CONFLICT);
    let caller = async |number: usize| {
        let (exec, mut failed) = (&executors[number % 2], Vec::new());
        while Instant::now() < end {
            let call = match number / 2 {
                0 => {
                    let done = exec.query_drop("UPDATE purse SET v = v + 1 WHERE id = 2").await.map(drop);
                    singles.fetch_add(u32::from(done.is_ok()), SeqCst);
                    done
                }
                kind => transfer(exec, numbers.fetch_add(1, SeqCst), kind == 1).await,
            };
            failed.extend(call.err());
        }
        failed
    };
    let failed: Vec<Error> = join_all((0..6).map(caller)).await.into_iter().flatten().collect();
    println!("codes: {}", codes.line());
    for error in &failed {
        println!("{:?} {:?} code={:?}: {error}", error.outcome(), error.reason(), error.code());
    }
    let (numbers, singles) = (numbers.into_inner(), singles.into_inner());
    println!("{numbers} transactions, {singles} single updates, {} failed", failed.len());
    group.catch_up(0).await;
    const SUMS: &str = "SELECT (SELECT v FROM purse WHERE id = 1), (SELECT v FROM purse WHERE id = 2), \
                        (SELECT COUNT(*) FROM moved), (SELECT COUNT(DISTINCT n) FROM moved)";
    let sums: Option<(u32, u32, u32, u32)> = group.node(0).query_first(SUMS).await;
    assert!(codes.has(3101), "nothing collided at a commit: {}", codes.line());
    assert!(failed.is_empty(), "{} of {numbers} transactions failed", failed.len());
    assert_eq!(sums, Some((numbers, singles, numbers, numbers)));
    let last = timed("after it", transfer(&executors[1], numbers, true)).await;
    assert!(last.result.is_ok(), "{}", last.line());
}
