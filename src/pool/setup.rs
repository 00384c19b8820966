//! The statements that run on each new connection.

use mysql_async::{Conn, prelude::Queryable};

use crate::{
    conditions::{Connect, condition},
    error::SetupFailed,
};

/// The set-up that is declared on the executor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup(Vec<String>);

/// Without autocommit, a statement that is answered with OK is not committed.
#[derive(Debug, thiserror::Error)]
#[error(
    "a new connection has autocommit off, so that nothing that is answered with OK would be committed: remove `SET autocommit \
     = 0` from the set-up and from init_connect, or add `SET autocommit = 1` to the set-up (`ExecutorBuilder::setup`)"
)]
pub(super) struct AutocommitOff;

impl AutocommitOff {
    pub(super) fn error() -> mysql_async::Error {
        mysql_async::Error::Other(Box::new(AutocommitOff))
    }
}

impl Setup {
    pub(crate) fn new(statements: Vec<String>) -> Self {
        Setup(statements)
    }

    /// Runs the statements, in their order.
    pub(super) async fn run(&self, conn: &mut Conn) -> mysql_async::Result<()> {
        for (index, statement) in self.0.iter().enumerate() {
            match conn.query_drop(statement.as_str()).await {
                Ok(()) => {}
                Err(error) if matches!(condition(&error).connect, Connect::Waits(_)) => return Err(error),
                Err(mysql_async::Error::Server(error)) => {
                    let failed = SetupFailed { number: index + 1, of: self.0.len(), error };
                    return Err(mysql_async::Error::Other(Box::new(failed)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
