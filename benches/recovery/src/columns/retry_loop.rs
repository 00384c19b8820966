//! The retry loop that people write: `backoff::future::retry` around a call on the driver's pool.
//!
//! All errors are transient, as `?` makes them; the delays are those of `ExponentialBackoff::default()`. Each attempt is
//! cut after the limit of all.

use backoff::{Error, ExponentialBackoff, future::retry};
use mysql_async::{Pool, prelude::Queryable};
use tokio::time::timeout;

use super::{CALL_LIMIT, Done, PATIENCE, Way, bare, pool_opts};

#[derive(Clone)]
pub(crate) struct Client(Pool);

impl Client {
    pub(super) fn new(way: &Way) -> Self {
        Client(Pool::new(pool_opts(way.front, way.pool)))
    }

    pub(super) async fn read(&self, id: u32) -> Done {
        again(|| bare::read(&self.0, id)).await
    }

    pub(super) async fn write(&self, id: u32, v: u64) -> Done {
        again(|| bare::write(&self.0, id, v)).await
    }

    pub(super) async fn run(&self, text: &str) -> Done {
        again(|| async { self.0.get_conn().await?.query_drop(text).await }).await
    }
}

async fn again<F: Future<Output = mysql_async::Result<()>>>(attempt: impl Fn() -> F) -> Done {
    let delays = ExponentialBackoff { max_elapsed_time: Some(PATIENCE), ..ExponentialBackoff::default() };
    let attempt = || async {
        match timeout(CALL_LIMIT, attempt()).await {
            Ok(done) => Ok(done.map_err(|error| error.to_string())?),
            Err(_) => Err(Error::transient(format!("no answer in {CALL_LIMIT:?}"))),
        }
    };
    retry(delays, attempt).await
}
