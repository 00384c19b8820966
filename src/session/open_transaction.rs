//! A transaction as an object, which its owner commits or rolls back.

use std::fmt;

use mysql_async::TxOpts;

use super::Session;
use crate::{
    error::{Error, Result},
    handle::Handle,
    methods::{answer_methods, statement_methods},
    pool::Broken,
    savepoint,
    sql::{self, Effect, StateKind},
    statement::{Annotate as _, AsStatement, Unguarded},
    stream::SessionStream,
    verdict::Reason,
};

/// A transaction that is open, made by [`Session::start_transaction`] or [`Executor::start_transaction`]: for programs that pass a
/// transaction of the driver on.
///
/// Nothing runs it again, whatever is lost: [`Executor::transaction`] does that for a closure, and a loss there costs the caller nothing.
/// Prefer it where you can.
///
/// ```
/// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
/// use mysql_retry::TxOpts;
///
/// let mut tx = exec.start_transaction(TxOpts::default()).await?;
/// tx.exec_drop("UPDATE account SET balance = balance - ? WHERE id = ?", (100, 1)).await?;
/// tx.exec_drop("UPDATE account SET balance = balance + ? WHERE id = ?", (100, 2)).await?;
/// tx.commit().await?;
/// # Ok(()) }
/// ```
///
/// After a loss each statement, and [`commit`](Self::commit), fails: the transaction was rolled back. What is said of a session's
/// [transactions by text](Session#transactions-by-text) holds for it too. When it is dropped, it is rolled back: its connection is
/// closed, and its session at the server ended, so that no statement of it is at work any more. A session that had state on that
/// connection has lost it then.
///
/// [`Executor::start_transaction`]: crate::Executor::start_transaction
/// [`Executor::transaction`]: crate::Executor::transaction
pub struct OpenTransaction<'s> {
    session: Holder<'s>,
}

/// The session of a transaction.
enum Holder<'s> {
    Borrowed(&'s mut Session),
    Owned(Session),
}

impl<'s> OpenTransaction<'s> {
    pub(crate) async fn on(session: &'s mut Session, opts: &TxOpts) -> Result<Self> {
        Self::begin(Holder::Borrowed(session), opts).await
    }

    pub(crate) async fn with(session: Session, opts: &TxOpts) -> Result<Self> {
        Self::begin(Holder::Owned(session), opts).await
    }

    async fn begin(mut session: Holder<'s>, opts: &TxOpts) -> Result<Self> {
        session.get().handle.refuse_another_transaction()?;
        // one command in each text: only then the session knows what begins the transaction, and sets the savepoint
        for text in savepoint::opening(opts) {
            // on a new connection it does the same
            session.get().query_drop(text.idempotent()).await?;
        }
        Ok(OpenTransaction { session })
    }

    /// Commits.
    ///
    /// # Errors
    /// [`NotExecuted`](crate::Outcome::NotExecuted): the transaction was rolled back, for example because its connection was lost
    /// before. [`Unknown`](crate::Outcome::Unknown): the connection was lost under COMMIT, or a statement had ended the
    /// transaction ([`Reason::TransactionEnded`]).
    pub async fn commit(mut self) -> Result<()> {
        self.session.get().query_drop("COMMIT").await
    }

    /// Rolls back.
    ///
    /// # Errors
    /// The connection was lost: then the server rolls back by itself. No error if that has happened before.
    pub async fn rollback(mut self) -> Result<()> {
        match self.session.get().query_drop("ROLLBACK").await {
            Err(error) if was_all_that_is_lost(&error) => Ok(()),
            result => result,
        }
    }

    pub(crate) async fn statements(&self, statement: &impl AsStatement) -> Result<&Handle> {
        let session = self.session.look();
        let effect = Effect::of(sql::read(&statement.text()));
        match effect {
            Effect::Begins(_) | Effect::Commits(_) | Effect::RollsBack => Err(refused(
                "the transaction is ended by `commit()` or `rollback()`, and no other one begins in it: use SAVEPOINT for a \
                 part of it",
            )),
            Effect::Keeps | Effect::Shapes | Effect::CommitsImplicitly | Effect::Several | Effect::MayDoAnything => {
                match session.slot.broken() {
                    // it would run without a transaction
                    Some(Broken::RolledBack) => Err(session.handle.cannot_commit(statement, Broken::RolledBack)),
                    Some(Broken::Ended) => Err(refused("a statement before has ended the transaction")),
                    None if !session.slot.is_in_transaction() => {
                        Err(refused("a statement before has committed the transaction, as DDL does, or ended it"))
                    }
                    None => {
                        session.slot.announce(effect);
                        Ok(&session.handle)
                    }
                }
            }
        }
    }
}

fn refused(why: &str) -> Error {
    Error::config(why.into(), None)
}

/// Whether the transaction, and nothing else, was on a connection that is lost.
fn was_all_that_is_lost(error: &Error) -> bool {
    error.reason() == Reason::StateLost && error.lost_state().all(|kind| kind == StateKind::Transaction)
}

statement_methods!(
    OpenTransaction<'_>,
    [&mut self],
    |self, statement| self.statements(&statement).await?,
    Unguarded,
    Handle::query_drop,
    Handle::exec_drop,
    (),
    drop,
    "[`affected_rows`](Self::affected_rows) and the like tell what it has changed.",
    SessionStream<'_, T>,
    SessionStream::new
);

answer_methods!(OpenTransaction<'_>, |self| self.session.look().slot);

impl Holder<'_> {
    fn get(&mut self) -> &mut Session {
        match self {
            Holder::Borrowed(session) => session,
            Holder::Owned(session) => session,
        }
    }

    fn look(&self) -> &Session {
        match self {
            Holder::Borrowed(session) => session,
            Holder::Owned(session) => session,
        }
    }
}

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        self.session.look().slot.give_up_transaction();
    }
}

impl fmt::Debug for OpenTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTransaction").field("session", self.session.look()).finish()
    }
}
