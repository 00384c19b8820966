//! A pool of sqlx: it connects again by itself while it is asked for a connection, and repeats no statement.
//!
//! Its own `acquire_timeout` outlives the outage; the statement on the acquired connection is cut after the limit of all.

use sqlx::{
    MySql, Pool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode},
};
use tokio::time::timeout;

use super::{CALL_LIMIT, DATABASE, Done, PATIENCE, READ, USER, WRITE, Way};

#[derive(Clone)]
pub(crate) struct Client(Pool<MySql>);

impl Client {
    pub(super) fn new(way: &Way) -> Self {
        let opts = MySqlConnectOptions::new()
            .host("127.0.0.1")
            .port(way.front)
            .username(USER)
            .database(DATABASE)
            .ssl_mode(MySqlSslMode::Disabled);
        let pool = MySqlPoolOptions::new()
            .min_connections(way.pool.min as u32)
            .max_connections(way.pool.max as u32)
            .acquire_timeout(PATIENCE);
        Client(pool.connect_lazy_with(opts))
    }

    pub(super) async fn read(&self, id: u32) -> Done {
        let mut conn = self.0.acquire().await.map_err(|error| error.to_string())?;
        let query = sqlx::query_scalar::<_, u64>(READ).bind(id);
        cut(query.fetch_one(&mut *conn)).await
    }

    pub(super) async fn write(&self, id: u32, v: u64) -> Done {
        let mut conn = self.0.acquire().await.map_err(|error| error.to_string())?;
        let query = sqlx::query(WRITE).bind(v).bind(id);
        cut(query.execute(&mut *conn)).await
    }
}

async fn cut<T>(call: impl Future<Output = sqlx::Result<T>>) -> Done {
    match timeout(CALL_LIMIT, call).await {
        Ok(done) => done.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer in {CALL_LIMIT:?}")),
    }
}
