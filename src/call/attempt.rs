//! One attempt of a call: a connection, the statement on it, and what its failure means.

use std::{future::Future, pin::pin, task::Poll, time::Instant};

use mysql_async::prelude::Queryable;

use super::{Call, Failed};
use crate::{
    attempt::{Attempt, Progress},
    classify::{Disconnect, Fault, Outcome, Situation, Stage, classify},
    connections::{Lease, Place, poll_once},
    decide::Reason,
    driver_error::timed_out,
    event::Event,
    watch::{BRIEF, watched},
};

impl Call<'_> {
    /// Runs it once, on a connection that it gets.
    pub(super) async fn attempt<A: Attempt>(
        &mut self,
        attempt: &mut A,
        now: Instant,
    ) -> std::result::Result<(A::Output, Lease), Failed> {
        let mut lease = self.next_lease(now).await?;
        if self.facts.outcome == Outcome::Unknown {
            self.shared
                .listeners
                .emit(&Event::Replayed { attempt: self.facts.attempts, connection_id: lease.connection_id() });
        }
        let progress = Progress::default();
        lease.sending();
        let (place, is_brief) = (lease.place(), attempt.size() <= BRIEF);
        let result = {
            // it stays where it is: moving it from future to future would cost more than all else here
            let answer = pin!(attempt.run(lease.conn(), &progress));
            self.in_time(place, || is_brief && !progress.is_replying(), answer).await
        };
        lease.answered();
        let error = match result {
            Ok(output) => return Ok((output, lease)),
            Err(error) => error,
        };
        let mut situation =
            Situation { oversized: lease.is_too_small_for(self.facts.length), ..self.situation(progress.stage()) };
        if situation.stage == Stage::Command
            && matches!(classify(&error, situation).fault(), Fault::Disconnect(Disconnect::ServerLost) | Fault::Refused)
            && was_not_prepared(&mut lease, attempt.prepared())
        {
            situation.stage = Stage::Prepare;
        }
        let mut failed = self.failed(error, situation, Some(lease.connection_id()));
        self.note_refusal(&failed, lease.target_index());
        if let Some(slot) = self.slot {
            self.bind(slot, &mut failed, &lease);
        }
        let lost = matches!(failed.classification.fault(), Fault::Disconnect(_));
        if lost && failed.classification.outcome() == Outcome::Unknown {
            self.past.add(&lease);
        }
        match (failed.classification.fault(), &failed.error) {
            // it answers, and may close the connection: too large a packet; interrupted, by a KILL that need not have
            // been one of the query only (MySQL 9.7 after KILL CONNECTION_ID())
            (_, mysql_async::Error::Server(error)) if matches!(error.code, 1153 | 1317) => lease.retire(),
            // the server answered, the connection is as good as before
            (Fault::Other | Fault::RolledBack, mysql_async::Error::Server(_)) => lease.finish(self.leaves()),
            // it would not take the statement, and there is more to it than the connection
            (Fault::Refused, _) if failed.end.is_some() => lease.finish(self.leaves()),
            _ => lease.retire(),
        }
        if self.slot.is_some_and(|slot| slot.is_at_a_loss()) {
            failed.end = Some(Reason::StateLost);
        }
        Err(failed)
    }

    /// The answer on a connection, if it comes within the attempt time-out; without one, for as long as there is somebody who
    /// can give it.
    ///
    /// `is_unheard` tells whether nothing can be on its way any more, in either direction: the request was a brief one, and
    /// nothing has been heard of a reply.
    ///
    /// What was asked is not told: it may hold a token, or what is stored with it.
    pub(crate) async fn in_time<T>(
        &self,
        place: Place,
        is_unheard: impl Fn() -> bool,
        answer: impl Future<Output = mysql_async::Result<T>>,
    ) -> mysql_async::Result<T> {
        match self.settings.attempt_timeout {
            None => watched(self.shared, place, is_unheard, answer).await,
            Some(limit) => match tokio::time::timeout(limit, answer).await {
                Ok(result) => result,
                Err(_) => Err(timed_out(format!("no answer within {limit:?}"))),
            },
        }
    }
}

/// Whether a statement whose connection was lost had not even been prepared, so that it cannot have been executed.
///
/// The driver prepares and executes in one call. What it prepared it keeps, and finds again without any I/O: so if
/// preparing the same text on the lost connection is not ready at once, or fails, it had not been prepared there.
/// The connection is closed afterwards in any case.
fn was_not_prepared(lease: &mut Lease, prepared: Option<&[u8]>) -> bool {
    let Some(text) = prepared else {
        return false;
    };
    let again = pin!(lease.conn().prep(text));
    !matches!(poll_once(again), Poll::Ready(Ok(_)))
}
