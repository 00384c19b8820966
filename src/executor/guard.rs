//! The methods that look after the table of the guard.

use std::time::Duration;

use crate::{
    error::{Error, Result},
    executor::Executor,
    guard::MARK,
    statement::Annotate as _,
};

/// How many tokens one statement removes.
const BATCH: u32 = 1000;

/// The guard of exactly-once deliveries: a table in the user's database.
impl Executor {
    /// Creates the guard's table if it does not exist. A migration can do it instead, with [`Executor::guard_ddl`]. See
    /// [Guard](crate::docs::guard#the-table).
    ///
    /// # Errors
    /// As for any statement.
    pub async fn create_guard_table(&self) -> Result<()> {
        self.query_drop(self.guard_ddl().idempotent()).await.map(drop)
    }

    /// The statement that creates the guard's table.
    pub fn guard_ddl(&self) -> String {
        self.handle.guard_table().create()
    }

    /// Removes the tokens that are older than `age`, a thousand at a time, and returns their number.
    ///
    /// A call that comes with a removed token does its work again. The tokens of work that was ended in the middle stay,
    /// whatever their age: delete them by hand when you have checked what was done.
    ///
    /// # Errors
    /// `age` is shorter than a call may last: shorter than the longest deadline of this executor's policies so far.
    pub async fn purge_guard(&self, age: Duration) -> Result<u64> {
        let longest = self.handle.longest_deadline();
        if age < longest {
            let message = format!(
                "tokens of the last {age:?} may belong to calls that are under way, whose deadlines are up to {longest:?}: \
                 give an age that is longer"
            );
            return Err(Error::config(message, None));
        }
        let seconds = age.as_secs().saturating_add(1);
        let mut purged = 0;
        loop {
            let batch = self
                .query_drop(self.handle.guard_table().purge(seconds, MARK, BATCH).idempotent())
                .await?
                .affected_rows();
            purged += batch;
            if batch < u64::from(BATCH) {
                return Ok(purged);
            }
        }
    }
}
