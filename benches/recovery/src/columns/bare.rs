//! The driver's pool as it is: an error is the caller's. Each call is cut after the limit of all.

use mysql_async::{Pool, prelude::Queryable};
use tokio::time::timeout;

use super::{CALL_LIMIT, Done, READ, WRITE, Way, pool_opts};

#[derive(Clone)]
pub(crate) struct Client(Pool);

impl Client {
    pub(super) fn new(way: &Way) -> Self {
        Client(Pool::new(pool_opts(way.front, way.pool)))
    }

    pub(super) async fn read(&self, id: u32) -> Done {
        cut(read(&self.0, id)).await
    }

    pub(super) async fn write(&self, id: u32, v: u64) -> Done {
        cut(write(&self.0, id, v)).await
    }
}

/// Shared with the retry loop, which is around the same calls.
pub(super) async fn read(pool: &Pool, id: u32) -> mysql_async::Result<()> {
    pool.get_conn().await?.exec_first::<u64, _, _>(READ, (id,)).await.map(drop)
}

pub(super) async fn write(pool: &Pool, id: u32, v: u64) -> mysql_async::Result<()> {
    pool.get_conn().await?.exec_drop(WRITE, (v, id)).await
}

async fn cut(call: impl Future<Output = mysql_async::Result<()>>) -> Done {
    match timeout(CALL_LIMIT, call).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer in {CALL_LIMIT:?}")),
    }
}
