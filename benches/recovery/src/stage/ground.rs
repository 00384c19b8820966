//! What every server of the bench has, and when it is ready.

use std::time::Duration;

use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use mysql_retry_fixture::{Router, Server};
use tokio::time::{sleep, timeout};

use crate::{columns::USER, load::TASKS};

/// How often it is asked whether a server is ready.
const INTERVAL: Duration = Duration::from_millis(3);

/// Makes the user of the columns and their table.
pub(crate) async fn prepare(server: &Server) {
    let rows: Vec<String> = (0..TASKS).map(|id| format!("({id}, 0)")).collect();
    for sql in [
        // a row that no column writes
        "CREATE TABLE test.own (n BIGINT PRIMARY KEY) ENGINE=InnoDB".to_owned(),
        "INSERT INTO test.own VALUES (0)".to_owned(),
        "CREATE TABLE test.t (id INT PRIMARY KEY, v BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB".to_owned(),
        format!("INSERT INTO test.t VALUES {}", rows.join(", ")),
        // a pair has such a user, with a password
        format!("DROP USER IF EXISTS {USER}@'%'"),
        format!("CREATE USER {USER}@'%'"),
        format!("GRANT ALL ON test.* TO {USER}@'%'"),
    ] {
        server.query_drop(sql).await;
    }
}

/// Waits until a fresh connection is answered.
pub(super) async fn until_ready(server: &Server) {
    until(server, "SELECT 1").await;
}

/// Waits until a node of a cluster commits: it answers `SELECT 1` also while it takes no statements.
pub(super) async fn until_writable(server: &Server) {
    until(server, "UPDATE test.own SET n = n + 1").await;
}

/// Waits until a router leads to a server.
pub(super) async fn until_it_leads(router: &Router) {
    let user = OptsBuilder::default().ip_or_hostname("127.0.0.1").prefer_socket(false).user(Some(USER));
    let ask = async || Conn::new(user.clone().tcp_port(router.port())).await?.disconnect().await;
    while ask().await.is_err() {
        sleep(INTERVAL).await;
    }
}

async fn until(server: &Server, sql: &str) {
    let ask = async || {
        let opts = server.unix_opts().user(Some("fixture"));
        let mut conn = Conn::new(opts).await?;
        conn.query_drop(sql).await?;
        conn.disconnect().await
    };
    // a commit that waits for a lost node of a cluster goes on when the cluster has noticed
    while !matches!(timeout(Duration::from_secs(60), ask()).await, Ok(Ok(()))) {
        assert!(server.is_running(), "the server ended:\n{}", server.log_tail());
        sleep(INTERVAL).await;
    }
}
