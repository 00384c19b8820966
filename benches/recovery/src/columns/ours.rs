//! This library, with what its documentation tells people to set.

use mysql_retry::{Annotate, Executor, RetryBudget, RetryPolicy, Statement};

use super::{Done, PATIENCE, READ, WRITE, Way, pool_opts};

const FIND: Statement = Statement::new(READ).idempotent();
const SET: Statement = Statement::new(WRITE).idempotent();

#[derive(Clone)]
pub(crate) struct Client(Executor);

/// The defaults, but for a deadline that outlives the outage. No time-out for a black hole: silent attempts are watched.
fn executor(way: &Way) -> Executor {
    let policy = RetryPolicy::builder().deadline(PATIENCE).build().expect("a good policy");
    let mut builder = Executor::builder().policy(policy);
    if let Some((share, reserve)) = way.budget {
        builder = builder.retry_budget(RetryBudget::new(share, reserve).expect("a good budget"));
    }
    let made = match &way.targets {
        Some(ports) => builder.build_targets(ports.iter().map(|port| pool_opts(*port, way.pool))),
        None => builder.build(pool_opts(way.front, way.pool)),
    };
    made.expect("good options")
}

impl Client {
    pub(super) fn new(way: &Way) -> Self {
        Client(executor(way))
    }

    pub(super) async fn read(&self, id: u32) -> Done {
        let found: Option<u64> = self.0.exec_first(FIND, (id,)).await.map_err(|error| error.to_string())?;
        found.map(drop).ok_or_else(|| "no row".to_owned())
    }

    pub(super) async fn write(&self, id: u32, v: u64) -> Done {
        self.0.exec_drop(SET, (v, id)).await.map(drop).map_err(|error| error.to_string())
    }

    pub(super) async fn run(&self, text: &str) -> Done {
        self.0.query_drop(text.idempotent()).await.map(drop).map_err(|error| error.to_string())
    }
}
