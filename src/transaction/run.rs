//! The loop of a transaction: begin, run the closure, commit; and from the start again where it was certainly rolled back.

use std::{future::Future, sync::Arc};

use mysql_async::TxOpts;

use super::{
    conclude::{NotCommitted, Stopped, Undone, commit, give_back, not_committed, roll_back, send},
    tx::Tx,
};
use crate::{
    call::{Call, Failed, Stop, Work},
    error::Error,
    guard::Claim,
    handle::Handle,
    pool::{End, Lease, Slot, Standing, Trouble},
    savepoint::begin,
    sql::StateKinds,
    statement::Delivery,
    verdict::Obstacle,
};

/// Runs a transaction until it is committed, or certainly will not be.
pub(super) async fn run<F, Fut, T, E>(
    handle: Handle,
    opts: TxOpts,
    work: F,
    again: Option<Box<Again<'_, E>>>,
) -> Result<T, E>
where
    F: FnMut(Tx) -> Fut + Send,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    let mut call = handle.transaction_call(Delivery::AtMostOnce)?;
    call.run_work(Unguarded { handle: &handle, opts, work, again: again.as_deref() }).await
}

struct Unguarded<'h, F, E> {
    handle: &'h Handle,
    opts: TxOpts,
    work: F,
    again: Option<&'h Again<'h, E>>,
}

impl<F, Fut, T, E> Work for Unguarded<'_, F, E>
where
    F: FnMut(Tx) -> Fut + Send,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    type Output = T;
    type Error = E;

    async fn once(&mut self, call: &mut Call<'_>, mut lease: Lease) -> Result<T, Stop<E>> {
        let watched = !lease.is_known_well();
        if let Err(Stopped { error, .. }) = send(call, &mut lease, &begin(&self.opts, watched, None)).await {
            return Err(call.begin_failed(lease, error).into());
        }
        let slot = Slot::of_transaction(lease, self.opts.readonly() == Some(true), watched);
        let result = (self.work)(Tx::new(self.handle, &slot, call.attempts(), None)).await;
        match finish(call, &slot, result, None, |_| Ok(None)).await {
            RunEnd::Returned(result) => result.map_err(Stop::Ended),
            RunEnd::Undone(own) => Err(stop(own, self.again)),
            RunEnd::Failed(failed, _) => Err(failed.into()),
        }
    }
}

/// Whether the closure is to be run again after this error of its own.
pub(super) type Again<'a, E> = dyn Fn(&E) -> bool + Send + Sync + 'a;

/// What follows an error of the closure's own, after which nothing of its work is left.
pub(super) fn stop<E>(own: E, again: Option<&Again<'_, E>>) -> Stop<E> {
    if again.is_some_and(|again| again(&own)) { Stop::Again(own) } else { Stop::Ended(own) }
}

/// How one run of a transaction ended.
pub(super) enum RunEnd<T, E> {
    /// With what the closure returned; nothing is left to do.
    Returned(Result<T, E>),
    /// With an error of the closure's own, and all of its work was rolled back.
    Undone(E),
    /// It failed, and may have to be run again. The value is that of a run whose COMMIT failed.
    Failed(Failed, Option<T>),
}

/// Commits, or rolls back. A guarded run has a claim; what `payload` makes is stored with it.
pub(super) async fn finish<T, E: From<Error>>(
    call: &mut Call<'_>,
    slot: &Arc<Slot>,
    mut result: Result<T, E>,
    claim: Option<&Claim>,
    payload: impl FnOnce(&T) -> Result<Option<Vec<u8>>, Error>,
) -> RunEnd<T, E> {
    let watched = slot.has_savepoint();
    let (Standing { doubtful, over, abandoned, trouble, marked, .. }, held) = slot.end_transaction();
    let Some((lease, state)) = held else {
        // lost, or in use by something that the closure has left behind
        return match (trouble, result) {
            (Some(trouble), _) => RunEnd::Failed(call.troubled(trouble, doubtful), None),
            (None, Err(own)) => RunEnd::Returned(Err(own)),
            (None, Ok(_)) => RunEnd::Failed(call.without_connection(abandoned, doubtful), None),
        };
    };
    let mut lease = call.at_home(lease);
    let left = if doubtful { state } else { state.without(StateKinds::TRANSACTION) };
    if over {
        // by the server's flags: there is nothing to roll back
        if trouble.is_none() {
            lease.note_transaction(false);
        }
        // a router may have moved the statements to another session: then one is still open, and this cannot be seen
        let undone = if trouble.is_none() { Undone::Another } else { Undone::All };
        give_back(call, lease, undone, left, claim.filter(|_| doubtful)).await;
        return match (trouble, result) {
            // what came before may be committed, and its own error is the caller's
            (Some(Trouble { obstacle: Some(_), .. }) | None, Err(own)) => RunEnd::Returned(Err(own)),
            // what the server has rolled back cannot be committed, whatever the closure made of it
            (Some(trouble), _) => RunEnd::Failed(call.troubled(trouble, doubtful), None),
            (None, Ok(_)) => RunEnd::Failed(call.ended_before_commit(), None),
        };
    }
    let payload = result.as_ref().ok().map(payload);
    match payload {
        Some(Ok(payload)) => match commit(call, &mut lease, claim, payload, marked, watched).await {
            Ok(()) => {
                if watched {
                    lease.note_transaction(true);
                }
                lease.end(End::Answered(left));
                return RunEnd::Returned(result);
            }
            Err(NotCommitted::Stopped(stopped)) => {
                // boxed, which keeps the future of those that commit small
                let failing = Box::pin(not_committed(call, lease, stopped, left, doubtful, claim, watched));
                return RunEnd::Failed(failing.await, result.ok());
            }
            Err(NotCommitted::Refused(refused)) => result = Err(refused.into()),
        },
        Some(Err(refused)) => result = Err(refused.into()),
        None => {}
    }
    let undone = roll_back(call, &mut lease, doubtful).await;
    let spoils = matches!(undone, Undone::NotAll | Undone::Another) && (trouble.is_some() || undone == Undone::Another);
    give_back(call, lease, undone, left, claim.filter(|_| spoils)).await;
    let Some(trouble) = trouble else {
        return match result {
            Err(own) if undone == Undone::All => RunEnd::Undone(own),
            result => RunEnd::Returned(result),
        };
    };
    let (doubtful, obstacle) = match undone {
        Undone::All => (false, trouble.obstacle),
        Undone::NotAll => (true, Some(Obstacle::NotRolledBack)),
        Undone::Another => (true, Some(Obstacle::TransactionEnded)),
        Undone::NotSeen => (doubtful, trouble.obstacle),
    };
    RunEnd::Failed(call.troubled(Trouble { obstacle, ..trouble }, doubtful), None)
}
