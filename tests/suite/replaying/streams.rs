//! A stream is replayed before its first row, and fails after it.

use std::time::Duration;

use futures_util::StreamExt as _;
use mysql_retry::{Annotate as _, Classification, Executor, Outcome, Reason, RetryPolicy, RowStream};
use mysql_retry_fixture::{Fault, Kind, Place, Proxy, Rule, When, in_time};
use tokio::time::timeout;

use crate::support::{Ledger, connection_id, executor_of_one, fired, shared};

/// Enough rows that the reply does not fit into one read.
const ROWS: usize = 3000;

struct Scene {
    ledger: Ledger<'static>,
    proxy: Proxy,
    exec: Executor,
    sql: String,
}

impl Scene {
    async fn new() -> Self {
        let server = shared().await;
        let ledger = Ledger::new(server).await;
        ledger.fill(ROWS).await;
        let proxy = Proxy::start(server).await;
        let exec = executor_of_one(proxy.opts());
        let sql = format!("SELECT n FROM {} ORDER BY id", ledger.table);
        Scene { ledger, proxy, exec, sql }
    }

    fn cut(&self, prepared: bool, place: Place) {
        let when = if prepared { When::executes(&self.sql) } else { When::text(&self.sql) };
        self.proxy.rule(Rule::new(when, place, Fault::Fin));
    }

    async fn open(&self, prepared: bool) -> mysql_retry::Result<RowStream<usize>> {
        let sql = self.sql.as_str().idempotent();
        if prepared { self.exec.exec_stream(sql, ()).await } else { self.exec.query_stream(sql).await }
    }
}

/// The rows up to the end or up to an error.
async fn rest(stream: &mut RowStream<usize>) -> (Vec<usize>, Option<mysql_retry::Error>) {
    let mut rows = Vec::new();
    while let Some(row) = in_time(stream.next()).await {
        match row {
            Ok(row) => rows.push(row),
            Err(error) => {
                assert!(stream.next().await.is_none(), "it ends after its error");
                return (rows, Some(error));
            }
        }
    }
    (rows, None)
}

// case 19
#[tokio::test]
async fn a_stream_hands_out_all_rows_and_gives_its_connection_back() {
    let scene = Scene::new().await;
    let id = connection_id(&scene.exec).await;
    for prepared in [false, true] {
        let mut stream = scene.open(prepared).await.expect("a stream");
        let (rows, error) = rest(&mut stream).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(rows, (1..=ROWS).collect::<Vec<_>>());
        // the stream has ended, and is not dropped
        assert_eq!(in_time(connection_id(&scene.exec)).await, id);
    }
    let mut empty = scene.exec.query_stream::<i32, _>("SELECT 1 FROM DUAL WHERE FALSE").await.expect("a stream");
    assert!(empty.next().await.is_none());
    assert_eq!(in_time(connection_id(&scene.exec)).await, id);
}

// case 19
#[tokio::test]
async fn a_stream_that_breaks_before_its_first_row_is_replayed() {
    for prepared in [false, true] {
        let scene = Scene::new().await;
        for place in [Place::AfterRequestWhenAnswered, Place::Reply(10)] {
            scene.cut(prepared, place);
            let mut stream = scene.open(prepared).await.expect("a replayed stream");
            let (rows, error) = rest(&mut stream).await;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(rows, (1..=ROWS).collect::<Vec<_>>());
        }
        assert_eq!((fired(&scene.proxy, 2).await, scene.exec.counters().replays), (2, 2));
    }
}

// case 19
#[tokio::test]
async fn a_stream_that_breaks_after_rows_surfaces_with_their_number_and_is_not_replayed() {
    for prepared in [false, true] {
        let scene = Scene::new().await;
        scene.cut(prepared, Place::Reply(12_000));
        let mut stream = scene.open(prepared).await.expect("a stream");
        let (rows, error) = rest(&mut stream).await;
        let error = error.expect("broken in the middle");
        assert!(!rows.is_empty() && rows.len() < ROWS, "{} rows", rows.len());
        assert_eq!(rows, (1..=rows.len()).collect::<Vec<_>>(), "a prefix");
        assert_eq!(error.rows_delivered(), rows.len() as u64, "{error}");
        assert_eq!((error.outcome(), error.code()), (Outcome::Unknown, Some(2013)), "{error}");
        assert_eq!(error.reason(), Reason::RowsDelivered, "{error}");
        assert!(error.to_string().contains(&format!("{} rows had been returned", rows.len())), "{error}");
        assert_eq!(scene.exec.counters().replays, 0);
        // its place in the pool is free although the stream is not dropped
        assert_eq!(in_time(scene.exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
        drop(stream);
    }
}

#[tokio::test]
async fn case_89_a_fold_that_breaks_after_rows_has_seen_each_of_them_once_whatever_the_classification() {
    // untrue, and so that it is sent again
    let policy = RetryPolicy::builder().classify_with(|_, it| match it.fault() {
        mysql_retry::Fault::Disconnect(_) => Classification::refused(Outcome::NotExecuted),
        _ => it,
    });
    let own = policy.build().expect("valid");
    for prepared in [false, true] {
        for policy in [&RetryPolicy::default(), &own] {
            let scene = Scene::new().await;
            let exec = scene.exec.with_policy(policy);
            scene.cut(prepared, Place::Reply(12_000));
            let mut seen = Vec::new();
            let see = |(), row: usize| seen.push(row);
            let folding = match prepared {
                false => in_time(exec.query_fold(scene.sql.as_str(), (), see)).await,
                true => in_time(exec.exec_fold(scene.sql.as_str(), (), (), see)).await,
            };
            let error = folding.expect_err("broken in the middle");
            assert!(!seen.is_empty() && seen.len() < ROWS, "{} rows", seen.len());
            assert_eq!(seen, (1..=seen.len()).collect::<Vec<_>>(), "a prefix");
            assert_eq!((error.rows_delivered(), error.reason()), (seen.len() as u64, Reason::RowsDelivered), "{error}");
            assert_eq!(error.attempts(), 1, "{error}");
            // one that may run twice sees the rows of the attempt that succeeded
            scene.cut(prepared, Place::Reply(12_000));
            let count = |rows: usize, _: usize| rows + 1;
            let sql = scene.sql.as_str().idempotent();
            let rows = match prepared {
                false => in_time(scene.exec.query_fold(sql, 0, count)).await,
                true => in_time(scene.exec.exec_fold(sql, (), 0, count)).await,
            };
            assert_eq!(rows.expect("replayed"), ROWS);
        }
    }
}

// case 19
#[tokio::test]
async fn a_stream_of_a_write_is_not_replayed_unless_annotated() {
    let scene = Scene::new().await;
    scene.cut(false, Place::AfterRequestWhenAnswered);
    let Err(error) = scene.exec.query_stream::<usize, _>(scene.sql.as_str()).await else {
        panic!("a plain statement was replayed");
    };
    assert_eq!((error.outcome(), error.rows_delivered()), (Outcome::Unknown, 0), "{error}");
    assert_eq!(error.reason(), Reason::NotIdempotent);
    assert_eq!(scene.ledger.rows().await, ROWS as u64);
}

// cases 19 and 7
#[tokio::test]
async fn a_stream_that_is_dropped_half_way_frees_its_place_and_leaves_no_rows_to_others() {
    let scene = Scene::new().await;
    for prepared in [false, true] {
        for taken in [0, 1, 10] {
            let mut stream = scene.open(prepared).await.expect("a stream");
            for n in 1..=taken {
                assert_eq!(stream.next().await.expect("a row").expect("no error"), n);
            }
            drop(stream);
            assert_eq!(in_time(scene.exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
        }
    }
    assert_eq!(scene.exec.counters().losses, 0);
}

#[tokio::test]
async fn case_88_a_stream_that_is_dropped_with_few_rows_left_keeps_its_connection() {
    let scene = Scene::new().await;
    let id = connection_id(&scene.exec).await;
    let few = format!("{} LIMIT 100", scene.sql);
    for prepared in [false, true] {
        for taken in [0, 1, 99] {
            let mut stream: RowStream<usize> = match prepared {
                true => scene.exec.exec_stream(few.as_str().idempotent(), ()).await.expect("a stream"),
                false => scene.exec.query_stream(few.as_str().idempotent()).await.expect("a stream"),
            };
            for n in 1..=taken {
                assert_eq!(stream.next().await.expect("a row").expect("no error"), n);
            }
            drop(stream);
            assert_eq!(connection_id(&scene.exec).await, id, "{taken} rows were read");
        }
    }
    let stream = scene.open(false).await.expect("a stream");
    drop(stream);
    assert_ne!(connection_id(&scene.exec).await, id, "3000 rows are not read for nobody");
    assert_eq!(scene.exec.counters().losses, 0);
}

#[tokio::test]
async fn case_88_a_session_loses_what_it_has_with_a_stream_that_is_dropped() {
    let scene = Scene::new().await;
    let mut session = in_time(scene.exec.session()).await.expect("a session");
    session.query_drop("SET @a = 1").await.expect("set");
    drop(session.query_stream::<usize, _>(scene.sql.as_str()).await.expect("a stream"));
    let error = session.query_drop("SELECT @a").await.expect_err("it is gone");
    assert_eq!((error.reason(), error.outcome()), (Reason::StateLost, Outcome::NotExecuted), "{error}");
}

// case 19
#[tokio::test]
async fn rows_that_have_arrived_are_handed_out_while_the_next_one_is_awaited() {
    // a row with a number of four digits, as text: length and number of its packet, length of the value, and the value
    const ROW: usize = 3 + 1 + 1 + 4;
    // more than are read ahead
    const CUTS: usize = 8;
    let scene = Scene::new().await;
    let mut expected = 0;
    for row in 0..CUTS {
        let place = Place::Reply(12_000 + row * ROW);
        scene.proxy.rule(Rule::new(When::text(&scene.sql), place, Fault::Silence));
        let mut stream = scene.open(false).await.expect("a stream");
        in_time(scene.proxy.wait_fired(row + 1)).await;
        for _ in 0..expected {
            in_time(stream.next()).await.expect("a row").expect("no error");
        }
        if row == 0 {
            while let Ok(row) = timeout(Duration::from_millis(500), stream.next()).await {
                row.expect("a row").expect("no error");
                expected += 1;
            }
        }
        assert!(expected > 1000, "{expected}");
        expected += 1;
    }
}

// cases 19 and 7
#[tokio::test]
async fn a_stream_that_is_dropped_while_it_waits_for_a_row_frees_its_place() {
    let scene = Scene::new().await;
    scene.proxy.rule(Rule::new(When::text(&scene.sql), Place::Reply(12_000), Fault::Silence));
    let mut stream = scene.open(false).await.expect("a stream");
    tokio::select! {
        biased;
        (rows, error) = rest(&mut stream) => panic!("{} rows and {error:?} through a black hole", rows.len()),
        () = scene.proxy.wait_fired(1) => {}
    }
    drop(stream);
    assert_eq!(in_time(scene.exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
}

// case 6, for streams
#[tokio::test]
async fn a_row_that_does_not_fit_ends_a_stream_without_a_loss() {
    let scene = Scene::new().await;
    let mut stream =
        scene.exec.query_stream::<u8, _>("SELECT 1 UNION ALL SELECT 'x' UNION ALL SELECT 2").await.unwrap();
    assert_eq!(stream.next().await.expect("a row").expect("it fits"), 1);
    let error = stream.next().await.expect("a row").expect_err("no number");
    assert!(error.is_conversion() && !error.is_disconnect(), "{error}");
    assert!(stream.next().await.is_none());
    assert_eq!(in_time(scene.exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
    assert_eq!(scene.proxy.count(Kind::Ping), 0);
}
