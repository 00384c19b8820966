//! What executor, session, transaction and stream hold: the pool, the policy, and the connection that they are bound to.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::{
    call::{Binding, Call, Facts, request::Untouched},
    error::{Error, Result},
    guard::Table,
    policy::RetryPolicy,
    pool::{Broken, Lease, Shared, Slot},
    savepoint,
    span::CallSpan,
    sql::StateKinds,
    statement::{Annotate as _, AsStatement, Delivery},
};

mod session_text;

/// Makes calls. Cheap to clone. It is `pub` for a trait of [`Queryable`](crate::prelude::Queryable), which nobody can name either.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) policy: RetryPolicy,
    pub(crate) until: Option<Instant>,
    /// The session or transaction whose statements it runs.
    binding: Binding,
    /// Text that needs a session is let through.
    allow_session_text: bool,
}

impl Handle {
    pub(crate) fn new(shared: Shared, policy: RetryPolicy, allow_session_text: bool) -> Self {
        shared.note_deadline(policy.settings().deadline);
        Handle { shared: shared.into(), policy, until: None, binding: Binding::Free, allow_session_text }
    }

    pub(crate) fn with_policy(&self, policy: &RetryPolicy) -> Self {
        self.shared.note_deadline(policy.settings().deadline);
        Handle { policy: policy.clone(), ..self.clone() }
    }

    pub(crate) fn with_deadline(&self, deadline: Instant) -> Self {
        Handle { until: Some(self.until.map_or(deadline, |until| until.min(deadline))), ..self.clone() }
    }

    /// The same for the statements of one session.
    pub(crate) fn in_session(&self, slot: Arc<Slot>) -> Self {
        Handle { binding: Binding::Session(slot), ..self.clone() }
    }

    /// The same for the statements of one transaction.
    pub(crate) fn in_transaction(&self, slot: Arc<Slot>) -> Self {
        Handle { binding: Binding::Transaction(slot), ..self.clone() }
    }

    /// The same for statements of their own.
    pub(crate) fn unbound(&self) -> Self {
        Handle { binding: Binding::Free, ..self.clone() }
    }

    pub(crate) fn slot(&self) -> Option<&Arc<Slot>> {
        self.binding.slot()
    }

    /// The call of a statement of the user's; an error if it cannot run here.
    pub(crate) fn call<'c>(&'c self, statement: &impl AsStatement) -> Result<Call<'c>> {
        let call = self.call_of_ours(statement);
        match self.refusal(call.reading()) {
            None => Ok(call),
            Some(refusal) => Err(refusal),
        }
    }

    /// The call of a statement that may stand anywhere.
    pub(crate) fn call_of_ours<'c>(&'c self, statement: &impl AsStatement) -> Call<'c> {
        Call::new(
            (&self.shared, &self.binding),
            &self.policy,
            self.until,
            Some(&statement.text()),
            statement.delivery(),
        )
    }

    /// A call without a statement, for the sake of a connection.
    pub(crate) fn call_for_a_connection(&self) -> Call<'_> {
        Call::new((&self.shared, &self.binding), &self.policy, self.until, None, Delivery::AtMostOnce)
    }

    /// The call of a block of a session, which may do anything.
    pub(crate) fn block_call(&self) -> Call<'_> {
        self.call_of_ours(&savepoint::BEGIN.idempotent())
    }

    /// The call of a transaction.
    pub(crate) fn transaction_call(&self, delivery: Delivery) -> Result<Call<'_>> {
        self.refuse_another_transaction()?;
        if let Some(slot) = self.slot() {
            slot.begin_transaction();
        }
        Ok(self.call_of_ours(&savepoint::BEGIN).of_transaction(delivery))
    }

    /// An error if a transaction is open, which another one would commit.
    pub(crate) fn refuse_another_transaction(&self) -> Result<()> {
        if self.slot().is_some_and(|slot| slot.is_in_transaction()) {
            let message = "a transaction is open already, and another one would commit it: end it first";
            return Err(Error::config(message.into(), None));
        }
        Ok(())
    }

    /// The error of a COMMIT that is not sent, because the transaction that it is meant for is gone.
    pub(crate) fn cannot_commit(&self, statement: &impl AsStatement, broken: Broken) -> Error {
        self.call_of_ours(statement).cannot_commit(broken)
    }

    pub(crate) fn guard_table(&self) -> &Table {
        &self.shared.guard
    }

    /// The table of the guard at a target, once it has been looked at and found good.
    pub(crate) fn guard_at(&self, target: usize) -> Option<&Arc<Table>> {
        self.shared.guards[target].get()
    }

    pub(crate) fn note_good_guard(&self, target: usize, table: Arc<Table>) {
        // another call may have set it first, to the same value
        let _ = self.shared.guards[target].set(table);
    }

    /// Whether statements of the session that this belongs to may have changed the current database.
    pub(crate) fn may_be_in_another_database(&self) -> bool {
        let elsewhere = |state: StateKinds| state.contains(StateKinds::DATABASE) || state.contains(StateKinds::UNKNOWN);
        self.slot().is_some_and(|slot| elsewhere(slot.state()))
    }

    /// The longest deadline of the policies so far.
    pub(crate) fn longest_deadline(&self) -> Duration {
        Duration::from_millis(self.shared.longest_deadline.load(Relaxed))
    }

    /// A connection, alive a moment ago, without a command.
    pub(crate) async fn connect(&self) -> Result<Lease> {
        let ((), lease) = self.call_for_a_connection().run_leased(&mut Untouched).await?;
        Ok(lease)
    }

    /// Goes on with a call whose facts were kept.
    pub(crate) fn resume(&self, facts: Facts, span: CallSpan) -> Call<'_> {
        Call::resume((&self.shared, &self.binding), &self.policy, facts, span)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("address", &self.shared.address())
            .field("policy", &self.policy)
            .field("until", &self.until)
            .field("listeners", &self.shared.listeners)
            .finish_non_exhaustive()
    }
}
