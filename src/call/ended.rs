//! What an error of the server has left of the transaction that its statement ran in.
//!
//! An ERR packet has no status flags, so the server is asked before anything else is sent on that connection: by a ping, or by
//! SHOW WARNINGS, which also shows whether it has left changes to tables without transactions.

use std::sync::Arc;

use mysql_async::{Row, ServerError, prelude::Queryable};

use super::{Call, Failed};
use crate::{
    classify::{Stage, classify},
    conditions::{Undone, answers, of_server},
    driver::copy,
    pool::{End, Lease, Slot, Trouble},
    savepoint,
    sql::Effect,
    verdict::{Classification, Fault, Obstacle, Outcome},
};

/// What is left of a transaction after an error of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It is open.
    Open,
    /// The server has rolled back all of it.
    Nothing,
    /// The server has rolled it back, except for changes to tables that have no transactions.
    Changes,
    /// It was ended by the statement, and may have been committed.
    Unknown,
}

/// Whether a COMMIT that was answered with this error has committed nothing, although no transaction is open any more: the
/// server has rolled back the whole transaction, or would not take the COMMIT. (MariaDB 10.11 rolls back where it refuses a
/// COMMIT because it is read-only.)
pub(crate) fn commits_nothing(error: &ServerError) -> bool {
    let row = of_server(error);
    row.undone == Undone::Transaction || row.fault == Fault::Refused
}

impl Call<'_> {
    /// Whether the server's status flags show an open transaction. A ping gets them if the last answer was an error.
    pub(crate) async fn is_still_in_transaction(&self, lease: &mut Lease) -> mysql_async::Result<bool> {
        if lease.status().is_none() {
            self.exchange(lease, true, async |conn| conn.ping().await).await?;
        }
        // no server was seen to leave the flags out; if one does, nothing is known
        Ok(lease.status().is_none_or(|status| status.in_transaction))
    }

    /// If the server rolled the transaction back with this error: whether it may have left changes. Has to be the first question,
    /// because a ping clears the warnings (seen on MariaDB 10.11).
    pub(super) async fn may_have_left_changes(
        &self,
        lease: &mut Lease,
        error: &mysql_async::Error,
    ) -> mysql_async::Result<bool> {
        let warnings = self.exchange(lease, true, async |conn| conn.query::<Row, _>("SHOW WARNINGS").await).await;
        let code = |row: &Row| row.get_opt::<u16, _>(1).and_then(Result::ok);
        match (warnings, error) {
            // where the server keeps no warnings, the error itself is missing too
            (Ok(rows), mysql_async::Error::Server(error)) => Ok(!rows.iter().any(|row| code(row) == Some(error.code))
                || rows.iter().any(|row| code(row).is_none_or(|code| code == answers::NOT_ROLLED_BACK))),
            (Ok(_) | Err(mysql_async::Error::Server(_)), _) => Ok(true),
            (Err(error), _) => Err(error),
        }
    }

    /// What the error of a statement with this effect has left of the transaction that it ran in.
    ///
    /// `rolls_back`: it is known that no changes are left if the server rolled back.
    async fn left_by_error(
        &self,
        lease: &mut Lease,
        error: &mysql_async::Error,
        effect: Effect,
        rolls_back: bool,
    ) -> mysql_async::Result<Left> {
        let keeps = effect == Effect::Keeps;
        let changes = keeps && !rolls_back && self.may_have_left_changes(lease, error).await?;
        Ok(match self.is_still_in_transaction(lease).await? {
            true => Left::Open,
            false if changes => Left::Changes,
            false if keeps => Left::Nothing,
            false => Left::Unknown,
        })
    }

    /// The server has answered a statement of a transaction or session with an error. Finds out what is left of the transaction,
    /// and notes it in the slot and in `failed`. Returns an error if the connection is lost.
    pub(super) async fn after_error(
        &self,
        slot: &Arc<Slot>,
        failed: &mut Failed,
        lease: &mut Lease,
        rolls_back: bool,
    ) -> mysql_async::Result<()> {
        slot.note_error();
        let effect = Effect::of(self.facts.reading);
        if self.binding.is_transaction() {
            let left = self.left_by_error(lease, &failed.error, effect, false).await?;
            self.after_error_in_closure(slot, failed, lease, left);
            return Ok(());
        }
        let was_open = slot.is_in_transaction();
        if !was_open && self.leaves().is_neutral() {
            return Ok(());
        }
        if was_open && slot.has_savepoint() && effect == Effect::Commits(true) {
            return self.after_failed_commit(slot, failed, lease).await;
        }
        match self.left_by_error(lease, &failed.error, effect, rolls_back).await? {
            Left::Open => {}
            _ if !was_open => {}
            Left::Nothing => {
                failed.classification = Classification::rolled_back(Outcome::NotExecuted);
                failed.obstacle = Some(Obstacle::StateLost);
                slot.rolled_back();
            }
            Left::Changes => {
                failed.classification = failed.classification.with_outcome(Outcome::Unknown);
                failed.obstacle = Some(Obstacle::NotRolledBack);
                slot.rolled_back();
            }
            Left::Unknown => {
                failed.classification = failed.classification.with_outcome(Outcome::Unknown);
                failed.obstacle = Some(Obstacle::TransactionEnded);
            }
        }
        Ok(())
    }

    /// A COMMIT of a session failed, before which our savepoint was released.
    async fn after_failed_commit(
        &self,
        slot: &Arc<Slot>,
        failed: &mut Failed,
        lease: &mut Lease,
    ) -> mysql_async::Result<()> {
        let mysql_async::Error::Server(error) = &failed.error else { return Ok(()) };
        let is_gone = savepoint::is_gone(error);
        let nothing = commits_nothing(error);
        let is_open = self.is_still_in_transaction(lease).await?;
        if is_gone {
            failed.classification = Classification::other(Outcome::Unknown);
            failed.obstacle = Some(Obstacle::TransactionEnded);
            slot.ended();
            if is_open {
                lease.conn().query_drop("ROLLBACK").await?;
            }
        } else if is_open {
            failed.classification = failed.classification.with_outcome(Outcome::NotExecuted);
        } else if nothing {
            failed.classification = Classification::rolled_back(Outcome::NotExecuted);
            failed.obstacle = Some(Obstacle::StateLost);
            slot.rolled_back();
        } else {
            failed.classification = failed.classification.with_outcome(Outcome::Unknown);
            failed.obstacle = Some(Obstacle::CommitLost);
        }
        Ok(())
    }

    fn after_error_in_closure(&self, slot: &Slot, failed: &mut Failed, lease: &Lease, left: Left) {
        let fault = failed.classification.fault();
        // the user's own classification may have overruled the table
        let own = fault == Fault::Other && classify(&failed.error, self.context(Stage::Command)).fault() != fault;
        let (classification, obstacle) = match left {
            Left::Open if fault == Fault::Other => return,
            Left::Nothing if own => (failed.classification.with_outcome(Outcome::NotExecuted), None),
            Left::Open => (failed.classification, None),
            Left::Nothing => (Classification::rolled_back(Outcome::NotExecuted), None),
            Left::Changes => (failed.classification.with_outcome(Outcome::Unknown), Some(Obstacle::NotRolledBack)),
            Left::Unknown => (failed.classification.with_outcome(Outcome::Unknown), Some(Obstacle::TransactionEnded)),
        };
        slot.with_standing(|standing| {
            standing.over |= left != Left::Open;
            standing.doubtful |= matches!(left, Left::Changes | Left::Unknown);
            let outcome = match standing.doubtful || standing.lost_before {
                true => Outcome::Unknown,
                false => classification.outcome(),
            };
            standing.trouble = Some(Trouble {
                classification: classification.with_outcome(outcome),
                error: copy(&failed.error),
                connection_id: lease.connection_id(),
                session: lease.session(),
                target: lease.target_index(),
                obstacle,
            });
            failed.classification = classification.with_outcome(outcome);
        });
        failed.obstacle = Some(obstacle.unwrap_or(Obstacle::InTransaction));
    }

    /// The server had answered a statement with an error. The connection was lost before it said what that has left.
    pub(super) fn lost_after_error(&mut self, slot: &Arc<Slot>, lost: mysql_async::Error, lease: Lease) -> Failed {
        let mut failed = self.failed(lost, self.context(Stage::Command), Some(lease.connection_id()));
        if Effect::of(self.facts.reading) != Effect::Keeps {
            slot.with_standing(|standing| standing.doubtful = true);
        }
        self.bind(slot, &mut failed, &lease);
        self.past.add(&lease);
        lease.end(End::Broken);
        if slot.is_at_a_loss() {
            failed.obstacle = Some(Obstacle::StateLost);
        }
        failed
    }
}
