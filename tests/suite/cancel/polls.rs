//! A future is dropped after any number of polls: the next call gets its own answer, and the only connection of the pool is free.

use std::{
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
    task::Poll,
};

use futures_util::StreamExt as _;
use mysql_retry::{Annotate as _, Executor, TxOpts};
use mysql_retry_fixture::{Proxy, Rule, When, in_time, pool_of};

use crate::support::{Ledger, executor_of_one, executor_of_one_for_any_text, shared, unique};

/// Polls a future at most this many times, each time when it has been woken, and drops it. `None`: it was not done by then.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // after the last poll nothing is awaited; before that the future's own waker wakes us
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Asserts that each call gets its own answer.
pub(super) async fn assert_right(exec: &Executor, what: &str, k: usize) {
    static NEXT: AtomicU32 = AtomicU32::new(1_000);
    for _ in 0..2 {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let text = in_time(exec.query::<u32, _>(format!("SELECT {n}"))).await;
        assert_eq!(text.expect("an answer"), [n], "{what} dropped after {k} polls");
    }
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let prepared = in_time(exec.exec::<u32, _, _>("SELECT ?", (n,))).await;
    assert_eq!(prepared.expect("an answer"), [n], "{what} dropped after {k} polls");
}

/// Drops the call after k polls, for k = 0, 1, 2 .. until it completes: each time on a new connection, then on a kept one.
async fn assert_droppable<T>(what: &str, call: impl AsyncFn(&Executor) -> mysql_retry::Result<T>) {
    let server = shared().await;
    for fresh in [true, false] {
        let mut exec = executor_of_one_for_any_text(server.opts());
        for k in 0.. {
            assert!(k < 500, "{what} does not end");
            if fresh {
                exec = executor_of_one_for_any_text(server.opts());
            }
            let done = in_time(polled(k, call(&exec))).await;
            assert_right(&exec, what, k).await;
            if let Some(result) = done {
                assert!(result.is_ok(), "{what}: {:?}", result.err());
                break;
            }
        }
    }
}

pub(super) const ROWS: &str = "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3";

#[tokio::test]
async fn a_text_call_can_be_dropped_after_any_poll() {
    assert_droppable("query", async |exec| exec.query::<i32, _>(ROWS).await).await;
    assert_droppable("query_first", async |exec| exec.query_first::<i32, _>(ROWS).await).await;
    assert_droppable("query_drop", async |exec| exec.query_drop("SET @left_behind = 1").await).await;
    assert_droppable("a text of two statements", async |exec| exec.query_drop("SELECT 1; SELECT 2").await).await;
}

#[tokio::test]
async fn a_prepared_call_can_be_dropped_after_any_poll() {
    assert_droppable("exec", async |exec| exec.exec::<i32, _, _>("SELECT ? UNION SELECT 4", (1,)).await).await;
    assert_droppable("exec_first", async |exec| exec.exec_first::<i32, _, _>("SELECT ?", (1,)).await).await;
    assert_droppable("exec_drop", async |exec| exec.exec_drop("DO ?", (1,)).await).await;
    let ledger = Ledger::new(shared().await).await;
    let insert = ledger.insert_param();
    assert_droppable("exec_batch", async |exec| exec.exec_batch(&*insert, [(1,), (2,), (3,)]).await).await;
}

#[tokio::test]
async fn a_ping_and_a_loan_can_be_dropped_after_any_poll() {
    assert_droppable("ping", async |exec| exec.ping().await).await;
    assert_droppable("connection", async |exec| exec.connection().await.map(drop)).await;
    assert_droppable("a statement on a loan", async |exec| {
        use mysql_async::prelude::Queryable as _;
        let mut conn = exec.connection().await?;
        conn.query_drop("SELECT 1").await.expect("an answer");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_can_be_dropped_after_any_poll() {
    assert_droppable("query_stream", async |exec| {
        let mut stream = exec.query_stream::<i32, _>(ROWS).await?;
        while let Some(row) = stream.next().await {
            row?;
        }
        Ok(())
    })
    .await;
    assert_droppable("exec_stream", async |exec| {
        let mut stream = exec.exec_stream::<i32, _, _>("SELECT ? UNION ALL SELECT 2", (1,)).await?;
        while let Some(row) = stream.next().await {
            row?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_session_and_a_transaction_can_be_dropped_after_any_poll() {
    let ledger = Ledger::new(shared().await).await;
    assert_droppable("a session", async |exec| {
        let mut session = exec.session().await?;
        session.query_drop("SET @left_behind = 1").await?;
        session.query_first::<i32, _>("SELECT @left_behind").await
    })
    .await;
    assert_droppable("a transaction", async |exec| {
        let insert = &ledger.insert();
        exec.transaction(TxOpts::default(), |mut tx| async move { tx.query_drop(insert).await }).await
    })
    .await;
    let rows = ledger.rows().await;
    assert!(rows >= 2, "the last of each: {rows}");
}

#[tokio::test]
async fn guarded_work_can_be_dropped_after_any_poll_and_done_again_with_its_token() {
    let server = shared().await;
    let guard = unique("guard");
    let exec = || Executor::builder().guard_table(&guard).build(pool_of(1, server.opts())).expect("good options");
    exec().create_guard_table().await.expect("created");
    for fresh in [true, false] {
        let ledger = Ledger::new(server).await;
        let mut kept = exec();
        for k in 0.. {
            assert!(k < 500, "it does not end");
            if fresh {
                kept = exec();
            }
            let token = format!("{fresh} {k}");
            let once = || kept.query_drop(ledger.insert().exactly_once(token.as_str()));
            let done = in_time(polled(k, once())).await;
            // whatever became of it, both calls together do the work once
            in_time(once()).await.expect("done");
            assert_eq!(ledger.rows().await, k as u64 + 1, "dropped after {k} polls");
            assert_right(&kept, "guarded work", k).await;
            if done.is_some() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_executor_can_be_dropped_in_the_middle_of_its_close() {
    let server = shared().await;
    for k in 0.. {
        assert!(k < 500, "it does not end");
        let exec = executor_of_one(server.opts());
        let twin = exec.clone();
        exec.ping().await.expect("a server");
        let done = in_time(polled(k, exec.close())).await;
        if let Some(result) = done {
            result.expect("closed");
            in_time(twin.ping()).await.expect_err("it is closed");
            break;
        }
    }
}

#[tokio::test]
async fn a_call_can_be_dropped_after_any_poll_of_its_replay() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    for k in 0.. {
        assert!(k < 500, "it does not end");
        proxy.clear_rules();
        let exec = executor_of_one(proxy.opts());
        in_time(exec.ping()).await.expect("a server");
        proxy.rule(Rule::reply_lost(When::text("DO 77")).keep_server());
        let done = in_time(polled(k, exec.query_drop("DO 77".idempotent()))).await;
        assert_right(&exec, "a replay", k).await;
        if let Some(result) = done {
            result.expect("replayed");
            assert_eq!(exec.counters().recovered, 1);
            break;
        }
    }
}
