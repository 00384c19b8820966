//! Transactions that are run again from their start when they were certainly rolled back.

mod conclude;
mod guarded;
mod once;
mod run;
mod tx;

pub use once::{Done, ExactlyOnce};
pub(crate) use once::{exec_drop, query_drop};

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
};

pub use mysql_async::{IsolationLevel, TxOpts};
use run::Again;
pub use tx::Tx;

use crate::{error::Error, handle::Handle, statement::Token};

/// A transaction that is about to be run, made by [`Executor::transaction`](crate::Executor::transaction). It runs when it is awaited.
#[must_use = "a transaction does nothing unless it is awaited"]
pub struct Transaction<'a, F, T, E> {
    handle: Handle,
    opts: TxOpts,
    work: F,
    again: Option<Box<Again<'a, E>>>,
    /// It borrows the session that it runs on, if any.
    session: PhantomData<&'a mut ()>,
    value: PhantomData<fn() -> T>,
}

impl<'a, F, T, E> Transaction<'a, F, T, E> {
    pub(crate) fn new(handle: Handle, opts: TxOpts, work: F) -> Self {
        Transaction { handle, opts, work, again: None, session: PhantomData, value: PhantomData }
    }

    /// Runs the closure again, from its start, after errors of its own for which `condition` returns true: a conflict that the program
    /// itself has found, for example. The policy bounds that as it bounds reruns after a deadlock: its delays, its deadline. Then the
    /// error is returned.
    ///
    /// Only where all of the closure's work was certainly rolled back, and for nothing else: after a lost COMMIT the condition is not
    /// asked.
    ///
    /// ```
    /// # async fn f(exec: mysql_retry::Executor) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// use mysql_retry::TxOpts;
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// enum Failed {
    ///     #[error("somebody else has changed it")]
    ///     Conflict,
    ///     #[error(transparent)]
    ///     Database(#[from] mysql_retry::Error),
    /// }
    ///
    /// exec.transaction(TxOpts::default(), |mut tx| async move {
    ///     let (v, version): (u32, u32) =
    ///         tx.query_first("SELECT v, version FROM item WHERE id = 7").await?.ok_or(Failed::Conflict)?;
    ///     let update = "UPDATE item SET v = ?, version = version + 1 WHERE id = 7 AND version = ?";
    ///     tx.exec_drop(update, (v * 2, version)).await?;
    ///     if tx.affected_rows() == 1 { Ok(()) } else { Err(Failed::Conflict) }
    /// })
    /// .run_again_if(|error| matches!(error, Failed::Conflict))
    /// .await?;
    /// # Ok(()) }
    /// ```
    pub fn run_again_if(mut self, condition: impl Fn(&E) -> bool + Send + Sync + 'a) -> Self {
        self.again = Some(Box::new(condition));
        self
    }

    /// Guards it with a token: whatever is lost, it is committed once, and the result tells whether that was now or before.
    ///
    /// The token is written into the guard's table ([`Executor::create_guard_table`](crate::Executor::create_guard_table)) in the same transaction. Of several
    /// calls with one token at once, one does the work, the others wait for it and learn that it was done.
    ///
    /// The closure's own error is returned untouched, as without a guard, with one exception: while it is not known whether
    /// an earlier run was committed on another server, or in a cluster (Galera, Group Replication), an error of ours with the
    /// outcome [`Unknown`](crate::Outcome::Unknown) takes its place. Another call with the token finds out.
    ///
    /// A statement that commits by itself (DDL, `SET autocommit`) is refused. One that may (`CALL`, several statements in a
    /// text, what is not recognised) is let through, for a round trip more: before it the token's row is marked, and the text
    /// that commits takes the mark back. If the statement did end the transaction, this call fails as
    /// [`Unknown`](crate::Outcome::Unknown), and so does everyone who comes with the token, until you have looked what is there
    /// and deleted its row ([`Reason::TransactionEnded`](crate::Reason::TransactionEnded)). One hole is left: stored code that
    /// rolls back, commits something else and takes the program down with it leaves no row behind.
    ///
    /// ```
    /// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// use mysql_retry::{Done, TxOpts};
    ///
    /// let order = "order 4711";
    /// let done = exec
    ///     .transaction(TxOpts::default(), |mut tx| async move {
    ///         tx.exec_drop("INSERT INTO payment (customer, amount) VALUES (?, ?)", (3, 100)).await
    ///     })
    ///     .exactly_once(order)
    ///     .await?;
    /// match done {
    ///     Done::Now(_) => println!("paid"),
    ///     Done::Before { .. } => println!("had been paid before"),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn exactly_once(self, token: impl Into<Token>) -> ExactlyOnce<'a, F, T, E> {
        ExactlyOnce::new(self.handle, self.opts, self.work, token.into(), self.again)
    }
}

impl<'a, F, Fut, T, E> IntoFuture for Transaction<'a, F, T, E>
where
    F: FnMut(Tx) -> Fut + Send + 'a,
    Fut: Future<Output = Result<T, E>> + Send + 'a,
    T: Send + 'a,
    E: From<Error> + Send + 'a,
{
    type Output = Result<T, E>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run::run(self.handle, self.opts, self.work, self.again))
    }
}

impl<F, T, E> fmt::Debug for Transaction<'_, F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("handle", &self.handle).field("opts", &self.opts).finish_non_exhaustive()
    }
}
