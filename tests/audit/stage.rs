//! What one worker plays on: a database of its own, a proxy, and executors made for one case each.

use std::{sync::Arc, time::Duration};

use mysql_async::{Conn, OptsBuilder, prelude::Queryable as _};
use mysql_retry::{Executor, RetryPolicy};
use mysql_retry_fixture::{Proxy, Server, pool_of};

use crate::{corpus, snapshot::Snapshot};

/// Nothing that the policy bounds takes so long.
pub const STUCK: Duration = Duration::from_secs(15);

const DEADLINE: Duration = Duration::from_secs(1);

pub struct Stage {
    pub server: Arc<Server>,
    pub database: String,
    pub proxy: Proxy,
    /// For the worker's own questions, and for what has to be there before a form.
    pub own: Conn,
    /// What a connection shows that nobody has used: to a borrower, and in a transaction.
    pub baselines: [Option<Snapshot>; 2],
}

impl Stage {
    /// Makes the database of a worker.
    pub async fn new(server: &Arc<Server>, worker: usize) -> Self {
        let database = format!("w{worker}");
        let mut conn = server.connect().await;
        conn.query_drop(format!("CREATE DATABASE {database}")).await.expect("a database");
        conn.query_drop(format!("USE {database}")).await.expect("the database");
        run_all(&mut conn, corpus::of_database()).await;
        let proxy = Proxy::start(server).await;
        let stage = Stage { server: server.clone(), database, proxy, own: conn, baselines: [None, None] };
        let exec = stage.executor(1);
        exec.create_guard_table().await.expect("the guard's table");
        let _ = exec.close().await;
        stage
    }

    /// A connection of the driver's, in the worker's database.
    pub async fn bare(&self) -> Conn {
        let opts = self.server.opts().db_name(Some(&self.database));
        Conn::new(opts).await.unwrap_or_else(|e| panic!("cannot connect: {e}\n{}", self.server.log_tail()))
    }

    /// An executor through the proxy.
    pub fn executor(&self, connections: usize) -> Executor {
        self.executor_with(connections, DEADLINE)
    }

    pub fn executor_with(&self, connections: usize, deadline: Duration) -> Executor {
        self.build(self.proxy.opts(), connections, deadline)
    }

    /// One with one connection, for cases in which nothing strikes.
    pub fn executor_without_proxy(&self) -> Executor {
        self.build(self.server.opts(), 1, 10 * DEADLINE)
    }

    fn build(&self, opts: OptsBuilder, connections: usize, deadline: Duration) -> Executor {
        let ms = Duration::from_millis;
        let policy = RetryPolicy::builder().deadline(deadline).connect_timeout(ms(500)).max_replays(5);
        let policy = policy.initial_delay(ms(1)).max_delay(ms(5)).build().expect("a good policy");
        let builder = Executor::builder().policy(policy).ping_after(None).retry_budget(None);
        let opts = pool_of(connections, opts.db_name(Some(&self.database)));
        // the server is to meet each text
        builder.allow_session_text(true).probe_interval(ms(5)).build(opts).expect("good options")
    }
}

/// Runs statements; those that a server need not know may fail.
pub async fn run_all(conn: &mut Conn, statements: Vec<(&str, bool)>) {
    for (sql, may_fail) in statements {
        match conn.query_drop(sql).await {
            Err(mysql_async::Error::Server(_)) if may_fail => {}
            done => done.unwrap_or_else(|e| panic!("{sql}: {e}")),
        }
    }
}
