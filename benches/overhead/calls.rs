//! The calls that are compared, and who makes them.

use std::{fmt, future::Future};

use mysql_async::{Conn, Pool, prelude::Queryable};
use mysql_retry::{Executor, mysql_async};

/// So many rows, by ids from 0.
pub const KEYS: usize = 1_000;

pub const TEXT: &str = "SELECT v FROM kv WHERE id = 7";
pub const PREPARED: &str = "SELECT v FROM kv WHERE id = ?";

/// A point select by an integer key, as text or prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Query,
    Exec,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Query => "query_first",
            Call::Exec => "exec_first",
        })
    }
}

/// What a call yields.
pub type Value = Option<String>;

/// Who makes the calls. An error ends the bench: nothing is lost here.
pub trait Caller: Send + 'static {
    fn query(&mut self) -> impl Future<Output = Value> + Send;
    fn exec(&mut self, id: usize) -> impl Future<Output = Value> + Send;
}

impl Caller for Pool {
    async fn query(&mut self) -> Value {
        let mut conn = self.get_conn().await.expect("a connection");
        conn.query_first(TEXT).await.expect("a reply")
    }

    async fn exec(&mut self, id: usize) -> Value {
        let mut conn = self.get_conn().await.expect("a connection");
        conn.exec_first(PREPARED, (id,)).await.expect("a reply")
    }
}

impl Caller for Conn {
    async fn query(&mut self) -> Value {
        self.query_first(TEXT).await.expect("a reply")
    }

    async fn exec(&mut self, id: usize) -> Value {
        self.exec_first(PREPARED, (id,)).await.expect("a reply")
    }
}

impl Caller for Executor {
    async fn query(&mut self) -> Value {
        self.query_first(TEXT).await.expect("a reply")
    }

    async fn exec(&mut self, id: usize) -> Value {
        self.exec_first(PREPARED, (id,)).await.expect("a reply")
    }
}

/// So many calls, one after the other.
pub async fn repeat<C: Caller>(caller: &mut C, call: Call, times: usize) {
    for turn in 0..times {
        let value = match call {
            Call::Query => caller.query().await,
            Call::Exec => caller.exec(turn % KEYS).await,
        };
        assert!(value.is_some(), "the row is there");
    }
}
