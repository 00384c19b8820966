mod as_the_driver;
mod generic;
mod results;

use mysql_async::Conn;
use mysql_retry::Executor;
use mysql_retry_fixture::Server;

use crate::support::executor;

/// The driver and the executor, side by side.
async fn both(server: &Server) -> (Conn, Executor) {
    (Conn::new(server.opts()).await.expect("a connection"), executor(server))
}
