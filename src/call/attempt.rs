//! One attempt of a call: a connection, the statement on it, and what its failure means.

use std::{future::Future, pin::pin};

use mysql_async::Conn;

use super::{Call, Failed, Stop, Work};
use crate::{
    call::request::{Attempt, Progress},
    classify::{Context, Stage},
    conditions::{condition, is_packet_too_large},
    driver::timed_out,
    error::{Error, Kind},
    event::Event,
    pool::{
        End, Lease, Record,
        watch::{BRIEF, watched},
    },
    verdict::{Classification, Fault, Obstacle, Outcome, Unavailable},
};

/// The attempts of a statement. What succeeds comes with the connection that it succeeded on.
pub(super) struct Attempts<'a, A>(pub(super) &'a mut A);

impl<A: Attempt> Work for Attempts<'_, A> {
    type Output = (A::Output, Lease);
    type Error = Error;

    async fn once(&mut self, call: &mut Call<'_>, mut lease: Lease) -> Result<Self::Output, Stop<Error>> {
        let attempt = &mut *self.0;
        call.note_replay(&lease);
        let mut progress = Progress::default();
        lease.sending();
        let is_brief = attempt.size() <= BRIEF;
        let result = {
            let (conn, record, _) = lease.parts();
            // pinned here: moving this future into another one is the most expensive thing in this function
            let answer = pin!(attempt.run(conn, record, &progress));
            let is_unheard = || is_brief && !progress.is_replying();
            call.in_time(record, call.facts.reading.reads_only(), is_unheard, answer).await
        };
        lease.answered();
        if let Some(statement) = progress.take_prepared() {
            lease.close_later(statement);
        }
        if call.facts.doubts_its_mark && !matches!(result, Err(mysql_async::Error::Io(_))) {
            lease.doubt_mark();
        }
        match result {
            Ok(output) => Ok((output, lease)),
            Err(error) => {
                let longest = attempt.longest_packet();
                // boxed, which keeps the future of those that succeed small
                let failing = Box::pin(call.attempt_failed(lease, error, progress.stage(), longest));
                Err(failing.await.after_rows(attempt.rows_given()).into())
            }
        }
    }
}

impl Call<'_> {
    /// What may have been executed before is about to be executed on this connection.
    pub(crate) fn note_replay(&self, lease: &Lease) {
        match self.facts.outcome {
            Outcome::NotExecuted => {}
            // what the server rolled back may be there in part
            Outcome::Failed | Outcome::Unknown => self
                .shared
                .listeners
                .emit(&Event::Replayed { attempt: self.facts.attempts, connection_id: lease.connection_id() }),
        }
    }

    /// What the error of an attempt means, and the end of its connection. The longest packet that it sent had at least
    /// `longest` bytes.
    async fn attempt_failed(
        &mut self,
        mut lease: Lease,
        error: mysql_async::Error,
        stage: Stage,
        longest: usize,
    ) -> Failed {
        let limit = lease.sends_at_most().filter(|limit| longest > *limit);
        let (rolls_back, is_mute) = match self.rolls_back(&mut lease, &error).await {
            Ok(rolls_back) => (rolls_back, false),
            Err(lost) => match self.binding.slot() {
                Some(slot) => return self.lost_after_error(slot, lost, lease),
                None => (false, true),
            },
        };
        let context = Context {
            oversized: self.facts.length.is_some_and(|length| lease.is_too_small_for(length)),
            unsendable: limit.is_some(),
            rolls_back,
            ..self.context(stage)
        };
        let mut failed = self.failed(error, context, Some(lease.connection_id()));
        let is_own_read_only = self.is_own_read_only(&failed);
        if is_own_read_only {
            failed.classification = Classification::other(Outcome::Failed);
        }
        failed.kind = limit.filter(|_| is_packet_too_large(&failed.error)).map(|limit| Kind::Unsendable { limit });
        self.note_refusal(&failed, lease.target_index());
        if let Some(slot) = self.binding.slot() {
            if (is_own_read_only || is_whole_after(&failed))
                && let Err(lost) = Box::pin(self.after_error(slot, &mut failed, &mut lease, rolls_back)).await
            {
                return self.lost_after_error(slot, lost, lease);
            }
            if failed.obstacle.is_none() {
                self.bind(slot, &mut failed, &lease);
            }
        }
        let lost = matches!(failed.classification.fault(), Fault::Disconnect(_));
        if lost && failed.classification.outcome() == Outcome::Unknown {
            self.past.add(&lease);
        }
        match (failed.classification.fault(), &failed.error) {
            _ if is_mute => lease.end(End::Broken),
            // it answers, and closes the connection, or may close it
            (_, error) if !condition(error).keeps_connection && failed.obstacle.is_none() && !is_own_read_only => {
                lease.end(End::Broken);
            }
            // the server answered, the connection is as good as before
            (Fault::Other | Fault::RolledBack, mysql_async::Error::Server(_)) => {
                lease.end(End::Answered(self.leaves()))
            }
            // it refused the statement, and the state on the connection is still needed
            (Fault::Refused, _) if failed.obstacle.is_some() => lease.end(End::Answered(self.leaves())),
            _ => lease.end(End::Broken),
        }
        if self.binding.slot().is_some_and(|slot| slot.is_at_a_loss() || self.misses(slot)) {
            failed.obstacle = Some(Obstacle::StateLost);
        }
        failed
    }

    /// Whether the caller's own session, or transaction, is read-only, and not the server.
    fn is_own_read_only(&self, failed: &Failed) -> bool {
        let may_be = condition(&failed.error).server == Some(Unavailable::ReadOnly)
            && condition(&failed.error).of_the_session
            && failed.classification.fault() == Fault::Refused;
        may_be && self.binding.slot().is_some_and(|slot| slot.is_read_only())
    }

    /// Whether a server that reports a rollback of the statement has undone all of it. It cannot undo changes to tables that are
    /// not transactional, and warns about these. After an error the connection is not used any more.
    async fn rolls_back(&self, lease: &mut Lease, error: &mysql_async::Error) -> mysql_async::Result<bool> {
        let asks = condition(error).fault == Fault::RolledBack
            && matches!(error, mysql_async::Error::Server(_))
            && !self.facts.reading.several()
            && !self.facts.reading.may_commit();
        // a transaction is rolled back as a whole, whatever its statement was
        if !asks || self.binding.is_transaction() {
            return Ok(asks);
        }
        Ok(!self.may_have_left_changes(lease, error).await?)
    }

    /// Runs a question of our own on a connection: noted as under way meanwhile, within the attempt time-out, and watched.
    ///
    /// `is_brief` as in [`in_time`](Self::in_time).
    pub(crate) async fn exchange<T>(
        &self,
        lease: &mut Lease,
        is_brief: bool,
        ask: impl AsyncFnOnce(&mut Conn) -> mysql_async::Result<T>,
    ) -> mysql_async::Result<T> {
        lease.sending();
        let (conn, record, _) = lease.parts();
        let answer = {
            // pinned here: a future that is moved is copied, and has a place in each of those that it is moved into
            let answer = pin!(ask(conn));
            self.in_time(record, false, || is_brief, answer).await
        };
        lease.unpark();
        lease.answered();
        answer
    }

    /// Waits for the answer on a connection: within the attempt time-out, or without one for as long as the server can still
    /// answer.
    ///
    /// `reads`: it can end on a server that cannot commit. `is_unheard` returns whether nothing can be in transit any more: the
    /// request was brief, and no reply has begun.
    ///
    /// The error does not contain the question, which may hold a token or its payload.
    pub(crate) async fn in_time<T>(
        &self,
        record: &Record,
        reads: bool,
        is_unheard: impl Fn() -> bool,
        answer: impl Future<Output = mysql_async::Result<T>>,
    ) -> mysql_async::Result<T> {
        match self.settings.attempt_timeout {
            None => watched(self.shared, record, reads, is_unheard, answer).await,
            Some(limit) => match tokio::time::timeout(limit, answer).await {
                Ok(result) => result,
                Err(_) => Err(timed_out(format!("no answer within {limit:?}"))),
            },
        }
    }
}

/// Whether the connection has answered, and can be used further.
fn is_whole_after(failed: &Failed) -> bool {
    let is_lost = matches!(failed.classification.fault(), Fault::Disconnect(_));
    matches!(failed.error, mysql_async::Error::Server(_))
        && !is_lost
        && (condition(&failed.error).keeps_connection || failed.classification.fault() == Fault::Refused)
}
