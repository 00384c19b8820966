//! Many rows: streams and folds of a million, streams of a thousand that are dropped after the first, batches of a hundred
//! thousand, beside the driver's.

use std::time::Instant;

use futures_util::TryStreamExt as _;
use mysql_async::{Conn, prelude::Queryable};
use mysql_retry::{Executor, mysql_async};
use mysql_retry_fixture::{Server, median};

use crate::calls::KEYS;

/// A million.
const ROWS: &str = "SELECT a.id, b.v FROM kv a, kv b";
/// A thousand.
const FEW_ROWS: &str = "SELECT id, v FROM kv";
/// So many streams are dropped, one after another.
const DROPPED: usize = 300;
pub const DROPPED_STREAM: &str = "stream, dropped early";
const BATCH: usize = 100_000;
/// Rounds in which both take turns.
const ROUNDS: usize = 5;

/// The executor's time over the driver's.
pub struct Row {
    pub name: &'static str,
    pub ratio: f64,
}

type Pair = (u32, String);

pub async fn measure(server: &Server) -> Vec<Row> {
    server.query_drop("CREATE TABLE bulk (id INT NOT NULL, v VARCHAR(40) NOT NULL)").await;
    let mut conn = Conn::new(server.opts()).await.expect("a connection");
    let exec = Executor::new(server.opts()).expect("good options");
    let mut rows = Vec::new();
    for name in ["query_stream", "exec_stream", "query_fold", DROPPED_STREAM, "exec_batch"] {
        let mut ratios = Vec::new();
        for round in 0..=ROUNDS {
            let (theirs, ours) = if round % 2 == 0 {
                let theirs = with_driver(&mut conn, name).await;
                (theirs, with_executor(&exec, name).await)
            } else {
                let ours = with_executor(&exec, name).await;
                (with_driver(&mut conn, name).await, ours)
            };
            server.query_drop("TRUNCATE TABLE bulk").await;
            // the first one warms up
            if round > 0 {
                ratios.push(ours / theirs);
            }
        }
        rows.push(Row { name, ratio: median(ratios) });
    }
    exec.close().await.expect("an orderly end");
    conn.disconnect().await.expect("an orderly end");
    rows
}

macro_rules! seconds {
    ($conn:expr, $name:expr) => {{
        let start = Instant::now();
        let count = |sum: usize, _: Pair| sum + 1;
        let counted = async |sum: usize, row: Pair| Ok(count(sum, row));
        let found = match $name {
            "query_stream" => $conn.query_stream::<Pair, _>(ROWS).await.unwrap().try_fold(0, counted).await.unwrap(),
            "exec_stream" => {
                $conn.exec_stream::<Pair, _, _>(ROWS, ()).await.unwrap().try_fold(0, counted).await.unwrap()
            }
            "query_fold" => $conn.query_fold(ROWS, 0, count).await.unwrap(),
            DROPPED_STREAM => {
                for _ in 0..DROPPED {
                    let mut rows = $conn.query_stream::<Pair, _>(FEW_ROWS).await.unwrap();
                    assert!(rows.try_next().await.unwrap().is_some());
                }
                KEYS * KEYS
            }
            _ => {
                let items = (0..BATCH).map(|n| (n, "the value of a row"));
                $conn.exec_batch("INSERT INTO bulk (id, v) VALUES (?, ?)", items).await.unwrap();
                KEYS * KEYS
            }
        };
        assert_eq!(found, KEYS * KEYS);
        start.elapsed().as_secs_f64()
    }};
}

async fn with_driver(conn: &mut Conn, name: &str) -> f64 {
    seconds!(conn, name)
}

async fn with_executor(exec: &Executor, name: &str) -> f64 {
    seconds!(exec, name)
}
