//! The result of a statement that returns no rows.

use mysql_async::{Conn, QueryResult, prelude::Protocol};

/// The values that the driver keeps in a `Conn` after a statement. Here they come with the result, because the next statement
/// may run on another connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    affected_rows: u64,
    last_insert_id: Option<u64>,
    warnings: u16,
    info: String,
    done_before: bool,
}

impl Summary {
    pub(crate) fn of(conn: &Conn) -> Self {
        Summary {
            affected_rows: conn.affected_rows(),
            last_insert_id: conn.last_insert_id(),
            warnings: conn.get_warnings(),
            info: conn.info().into_owned(),
            done_before: false,
        }
    }

    /// Of the result that was read last.
    pub(crate) fn of_result<P: Protocol>(result: &QueryResult<'_, '_, P>) -> Self {
        Summary {
            affected_rows: result.affected_rows(),
            last_insert_id: result.last_insert_id(),
            warnings: result.warnings(),
            info: result.info().into_owned(),
            done_before: false,
        }
    }

    /// Of guarded work that another call has done.
    pub(crate) fn done_before() -> Self {
        Summary { done_before: true, ..Summary::default() }
    }

    /// Whether another call with the same token had executed the statement, so that this one did not. Always false
    /// unless the statement was [guarded](crate::Annotate::exactly_once).
    pub fn was_done_before(&self) -> bool {
        self.done_before
    }

    /// The number of rows that were changed, deleted or inserted. As the driver's `affected_rows`: found rather than
    /// changed rows if the option `client_found_rows` is set.
    pub fn affected_rows(&self) -> u64 {
        self.affected_rows
    }

    /// The value that an `AUTO_INCREMENT` column got; for several rows inserted at once, that of the first.
    pub fn last_insert_id(&self) -> Option<u64> {
        self.last_insert_id
    }

    /// The number of warnings.
    pub fn warnings(&self) -> u16 {
        self.warnings
    }

    /// The server's information about the statement, such as `Rows matched: 1  Changed: 1  Warnings: 0`; often empty.
    pub fn info(&self) -> &str {
        &self.info
    }
}
