//! The handle of a transaction that is under way.

use std::{fmt, sync::Arc};

use mysql_async::Params;

use crate::{
    call::in_doubt,
    error::{Error, Result},
    guard::Claim,
    handle::Handle,
    methods::{answer_methods, statement_methods},
    pool::Slot,
    savepoint,
    sql::{self, Effect, StateKinds},
    statement::{AsStatement, Unguarded},
    stream::SessionStream,
    summary::Summary,
    verdict::Outcome,
};

/// A transaction that is under way, given to the closure of [`Executor::transaction`](crate::Executor::transaction).
///
/// It has the statement methods of an [`Executor`](crate::Executor); all statements run on its one connection, and none of them is sent
/// again alone, whatever its annotation: after a loss the closure is run again. The transaction is committed when the
/// closure returns `Ok`, and rolled back when it returns `Err` or panics.
pub struct Tx {
    handle: Handle,
    slot: Arc<Slot>,
    attempt: u32,
    claim: Option<Claim>,
}

impl Tx {
    pub(super) fn new(handle: &Handle, slot: &Arc<Slot>, attempt: u32, claim: Option<Claim>) -> Self {
        Tx { handle: handle.in_transaction(slot.clone()), slot: slot.clone(), attempt, claim }
    }

    /// Which run of the closure this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Runs a statement as it is, prepared if there are parameters.
    pub(crate) async fn run(&mut self, sql: Vec<u8>, params: Option<Params>) -> Result<Summary> {
        self.statements(&sql).await?.run(&sql, params).await
    }

    fn refused(&self, message: &str) -> Error {
        Error::config(message.into(), None).with_outcome(in_doubt(&self.slot, Outcome::NotExecuted))
    }

    pub(crate) async fn statements(&self, statement: &impl AsStatement) -> Result<&Handle> {
        let text = statement.text();
        let reading = sql::read(&text);
        let effect = Effect::of(reading);
        let may_end = effect != Effect::Keeps;
        let marks = match effect {
            Effect::Keeps => self.claim.as_ref().is_some_and(|claim| claim.is_named_in(&text)),
            Effect::Begins(_) => {
                return Err(
                    self.refused("a transaction within a transaction would commit the outer one: use SAVEPOINT")
                );
            }
            Effect::Commits(_) | Effect::RollsBack => {
                return Err(self.refused(
                    "the closure's transaction is committed when it returns Ok, and rolled back when it returns an error: \
                     use ROLLBACK TO a SAVEPOINT for a part of it",
                ));
            }
            Effect::Shapes | Effect::CommitsImplicitly if self.claim.is_some() => {
                return Err(self.refused(
                    "a statement that may commit has no place in an exactly-once transaction: run it before or after",
                ));
            }
            Effect::Shapes | Effect::CommitsImplicitly | Effect::Several | Effect::MayDoAnything => true,
        };
        if reading.state().contains(StateKinds::TRANSACTION) && savepoint::is_named_in(&text) {
            return Err(self.refused("the savepoint of that name is the library's"));
        }
        if may_end {
            if !self.slot.has_savepoint() {
                // boxed, like each rare step: it keeps the future of the common way small
                Box::pin(self.handle.run(savepoint::SET.as_bytes(), None)).await?;
                self.slot.note_savepoint();
            }
            self.slot.with_standing(|standing| standing.doubtful = true);
        }
        if let (true, Some(claim)) = (marks, &self.claim) {
            self.slot.with_standing(|standing| standing.marked = true);
            Box::pin(self.handle.run(claim.mark().as_bytes(), None)).await?;
        }
        Ok(&self.handle)
    }
}

statement_methods!(
    Tx,
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

answer_methods!(Tx, |self| self.slot);

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
