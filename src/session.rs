//! A session: statements that share one connection, and what they leave on it.

use std::{fmt, sync::Arc};

use mysql_async::TxOpts;

use crate::{
    error::{Error, Result},
    handle::Handle,
    methods::{answer_methods, statement_methods},
    policy::RetryPolicy,
    pool::{End, Slot},
    sql::{self, Effect, StateKind, StateKinds},
    statement::AsStatement,
    stream::SessionStream,
    transaction::{self, Transaction, Tx},
};

pub(crate) mod block;
mod open_transaction;

pub use open_transaction::OpenTransaction;

/// One pinned connection, made by [`Executor::session`](crate::Executor::session): for programs that hold a
/// `mysql_async::Conn`.
///
/// All its statements run on that connection, with the same annotations, policy and errors as on an
/// [`Executor`](crate::Executor). So they may depend on what earlier statements left: user variables, `SET`, `USE`, temporary
/// tables, locks, an open transaction.
///
/// ```
/// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
/// use mysql_retry::Annotate;
///
/// let mut session = exec.session().await?;
/// session.query_drop("CREATE TEMPORARY TABLE chosen SELECT id FROM item WHERE stock = 0").await?;
/// let ids: Vec<u64> = session.query("SELECT id FROM chosen".idempotent()).await?;
/// # Ok(()) }
/// ```
///
/// # When the connection is lost
///
/// After a loss, a session without state goes on as an executor does, on another connection. A session with state does not,
/// because its state is gone: the statement that meets the loss fails, with [`Reason::StateLost`](crate::Reason::StateLost)
/// and the kinds of state that are gone ([`Error::lost_state`](crate::Error::lost_state)). After that the session begins
/// anew, without that state. A lock, of `GET_LOCK` or `LOCK TABLES`, never counts as held after a loss.
///
/// Work that may run twice as a whole can be given to [`Executor::idempotent_session`](crate::Executor::idempotent_session), which
/// runs it again from its start.
///
/// Nearly every statement leaves the id of the last INSERT, the row count and the warnings. A session that has lost nothing
/// else goes on without an error. Only a text that asks for them (`LAST_INSERT_ID()`, `ROW_COUNT()`, `SHOW WARNINGS`) fails
/// after the loss, because another connection would answer with the values of another caller. `LAST_INSERT_ID()` fails until
/// the session inserts again.
///
/// The text of the statements and the server's status flags decide what counts as state. A text that is not known to leave
/// no state counts as state. A transaction that has ended does not.
///
/// # Transactions by text
///
/// `BEGIN` or `START TRANSACTION`, sent as text, sets a savepoint in the same round trip, and a `COMMIT` sent as text
/// releases it first: if the transaction was ended or replaced in between (stored code), COMMIT is not executed, what is
/// open is rolled back, and the error is [`Unknown`](crate::Outcome::Unknown) with
/// [`Reason::TransactionEnded`](crate::Reason::TransactionEnded). On a Galera node the release is a round trip of its own.
/// As prepared statements they are sent unchanged. After an
/// error the server is asked what is left of the transaction: a transaction that it rolled back is reported as lost state
/// with that error. A COMMIT for a transaction that was lost or rolled back is not sent and returns an error each time,
/// until a `ROLLBACK` or another `BEGIN`.
///
/// # Idle sessions
///
/// Before a statement the connection is pinged if it has idled for half a second or more, so that the end of a session that
/// idled past the server's `wait_timeout` is noticed before anything is sent.
///
/// When it is dropped, its connection is returned to the pool, reset if there is state on it.
pub struct Session {
    handle: Handle,
    slot: Arc<Slot>,
    /// It belongs to a hook, and its connection to the session that it is to replace the connection of.
    is_lent: bool,
}

impl Session {
    pub(crate) async fn begin(handle: &Handle) -> Result<Self> {
        let session = Session::of(handle, &Arc::new(Slot::default()), false);
        let lease = session.handle.connect().await?;
        lease.end(End::Answered(StateKinds::NONE));
        Ok(session)
    }

    /// The session whose connection is in the slot, or will be.
    fn of(handle: &Handle, slot: &Arc<Slot>, is_lent: bool) -> Self {
        Session { handle: handle.in_session(slot.clone()), slot: slot.clone(), is_lent }
    }

    /// The same session under another policy from now on.
    pub fn set_policy(&mut self, policy: &RetryPolicy) {
        self.handle = self.handle.with_policy(policy);
    }

    /// Rebuilds the state of the session after a loss: `hook` runs on each new connection that takes the place of one that
    /// had state, before the next statement, and the session continues by itself.
    ///
    /// ```
    /// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// let mut session = exec.session().await?;
    /// session.query_drop("SET @tenant = 7").await?;
    /// session.on_reconnect(|mut session| async move { session.query_drop("SET @tenant = 7").await });
    /// # Ok(()) }
    /// ```
    ///
    /// State that the hook does not rebuild is lost without an error. Take locks again in the hook, and check the result. If
    /// the hook fails, so does the statement, which was not executed. The hook's session is owned, as a transaction's
    /// [`Tx`] is: a future that borrowed it would have to be boxed by the caller. When the hook has ended, the connection is
    /// taken out of it.
    pub fn on_reconnect<F, Fut>(&mut self, hook: F)
    where
        F: Fn(Session) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let handle = self.handle.unbound();
        self.slot.on_reconnect(Arc::new(move |slot| {
            let rebuilding = hook(Session::of(&handle, &slot, true));
            Box::pin(async move {
                rebuilding.await.inspect_err(|_| release(&slot))?;
                Ok(slot.vacate())
            })
        }));
    }

    /// Runs a transaction on this session, as [`Executor::transaction`](crate::Executor::transaction) does.
    ///
    /// If the connection is lost and the session had state, the transaction is not run again: the state that it may
    /// depend on is gone.
    pub fn transaction<'s, F, Fut, T, E>(&'s mut self, opts: TxOpts, work: F) -> Transaction<'s, F, T, E>
    where
        F: FnMut(Tx) -> Fut + Send + 's,
        Fut: Future<Output = std::result::Result<T, E>> + Send + 's,
        E: From<Error>,
    {
        Transaction::new(self.handle.clone(), opts, work)
    }

    /// Begins a transaction that the caller ends, as the driver's method of that name does. Nothing runs it again.
    ///
    /// # Errors
    /// As for a statement. The same if a transaction is open already.
    pub async fn start_transaction(&mut self, opts: TxOpts) -> Result<OpenTransaction<'_>> {
        OpenTransaction::on(self, &opts).await
    }

    /// The kinds of state that statements have left on the connection.
    pub fn state(&self) -> impl Iterator<Item = StateKind> + use<> {
        self.slot.state().kinds()
    }

    /// Whether another call with the same token had executed the last statement, so that this one did not: for one that was
    /// [guarded](crate::Annotate::exactly_once).
    pub fn was_done_before(&self) -> bool {
        self.slot.summary().was_done_before()
    }

    /// Pings the server.
    pub async fn ping(&mut self) -> Result<()> {
        self.handle.ping().await
    }

    pub(crate) async fn statements(&self, statement: &impl AsStatement) -> Result<&Handle> {
        let effect = Effect::of(sql::read(&statement.text()));
        if let (Effect::Commits(_), Some(broken)) = (effect, self.slot.broken()) {
            return Err(self.handle.cannot_commit(statement, broken));
        }
        self.slot.announce(effect);
        Ok(&self.handle)
    }
}

statement_methods!(
    Session,
    [&mut self],
    |self, statement| self.statements(&statement).await?,
    AsStatement,
    transaction::query_drop,
    transaction::exec_drop,
    (),
    drop,
    "[`affected_rows`](Self::affected_rows) and the like tell what it has changed.",
    SessionStream<'_, T>,
    SessionStream::new
);

answer_methods!(Session, |self| self.slot);

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_lent {
            release(&self.slot);
        }
    }
}

/// Gives the connection of a session back, with the state that is on it.
fn release(slot: &Slot) {
    if let Some((lease, state)) = slot.vacate() {
        lease.end(End::Answered(state));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("handle", &self.handle).field("state", &self.slot.state()).finish()
    }
}
