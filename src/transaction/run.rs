//! The loop of a transaction: begin, run the closure, commit; and from the start again where it was certainly rolled back.

use std::{future::Future, sync::Arc, time::Instant};

use mysql_async::{TxOpts, prelude::Queryable};

use super::tx::Tx;
use crate::{
    call::{Call, Failed},
    connections::{Lease, Slot, Standing},
    error::Error,
    executor::Executor,
    reading::StateKinds,
    statement::Delivery,
    watch::BRIEF,
};

/// Runs a transaction until it is committed, or certainly will not be.
pub(super) async fn run<F, Fut, T, E>(exec: Executor, opts: TxOpts, mut work: F) -> Result<T, E>
where
    F: FnMut(Tx) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    let begin = begin(&opts);
    let mut call = exec.transaction_call(&begin, Delivery::AtMostOnce)?;
    let mut now = call.begin()?;
    loop {
        match once(&exec, &mut call, now, &begin, &mut work).await {
            Ended::Returned(result) => {
                if result.is_ok() {
                    call.succeeded();
                }
                return result;
            }
            Ended::Failed(failed, _) => call.after(failed).await?,
        }
        now = Instant::now();
    }
}

async fn once<F, Fut, T, E>(
    exec: &Executor,
    call: &mut Call<'_>,
    now: Instant,
    begin: &str,
    work: &mut F,
) -> Ended<T, E>
where
    F: FnMut(Tx) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    let mut lease = match call.next_lease(now).await {
        Ok(lease) => lease,
        Err(failed) => return Ended::Failed(failed, None),
    };
    if let Err(error) = command(call, &mut lease, begin).await {
        return Ended::Failed(call.begin_failed(lease, error), None);
    }
    let slot = Slot::of_transaction(lease);
    let result = work(Tx::new(exec, &slot, call.attempts(), false)).await;
    finish(call, &slot, result, |_| Ok("COMMIT".into())).await
}

/// How one run of a transaction ended.
pub(super) enum Ended<T, E> {
    /// With what the closure returned; nothing is left to do.
    Returned(Result<T, E>),
    /// It failed, and may have to be run again. The value is that of a run whose COMMIT failed.
    Failed(Failed, Option<T>),
}

/// Commits, with the text that `commit` makes, or rolls back.
pub(super) async fn finish<T, E: From<Error>>(
    call: &mut Call<'_>,
    slot: &Arc<Slot>,
    mut result: Result<T, E>,
    commit: impl FnOnce(&T) -> Result<String, Error>,
) -> Ended<T, E> {
    let (Standing { doubtful, over, abandoned, trouble, .. }, held) = slot.end_transaction();
    let Some((lease, state)) = held else {
        // lost, or in use by something that the closure has left behind
        return match (trouble, result) {
            (Some(trouble), _) => Ended::Failed(call.troubled(trouble, doubtful), None),
            (None, Err(own)) => Ended::Returned(Err(own)),
            (None, Ok(_)) => Ended::Failed(call.without_connection(abandoned, doubtful), None),
        };
    };
    let mut lease = call.at_home(lease);
    let left = if doubtful { state } else { state.without(StateKinds::TRANSACTION) };
    // what the server has rolled back cannot be committed, whatever the closure made of it
    let rolled_back = over && trouble.is_some();
    if let (Ok(value), false) = (&result, rolled_back) {
        match commit(value) {
            // ended by a statement of the closure's
            Ok(_) if over => {
                lease.finish(left);
                return Ended::Returned(result);
            }
            Ok(text) => {
                return match command(call, &mut lease, &text).await {
                    Ok(()) => {
                        lease.finish(left);
                        Ended::Returned(result)
                    }
                    Err(error) => Ended::Failed(call.commit_failed(lease, error, doubtful), result.ok()),
                };
            }
            Err(refused) => result = Err(refused.into()),
        }
    }
    if over || command(call, &mut lease, "ROLLBACK").await.is_ok() {
        lease.finish(left);
    } else {
        lease.retire();
    }
    match trouble {
        Some(trouble) => Ended::Failed(call.troubled(trouble, doubtful), None),
        None => Ended::Returned(result),
    }
}

/// Sends a command of our own, within the attempt time-out.
pub(super) async fn command(call: &Call<'_>, lease: &mut Lease, text: &str) -> mysql_async::Result<()> {
    lease.sending();
    // with what is stored beside a token it may be long
    let (place, is_brief) = (lease.place(), text.len() <= BRIEF);
    let result = call.in_time(place, || is_brief, lease.conn().query_drop(text)).await;
    lease.unpark();
    lease.answered();
    result
}

/// The text that begins it, in one round trip whatever was asked for.
pub(super) fn begin(opts: &TxOpts) -> String {
    let mut text = String::new();
    if let Some(level) = opts.isolation_level() {
        text += &format!("SET TRANSACTION ISOLATION LEVEL {level}; ");
    }
    text += "START TRANSACTION";
    let access = opts.readonly().map(|only| if only { "READ ONLY" } else { "READ WRITE" });
    let snapshot = opts.consistent_snapshot().then_some("WITH CONSISTENT SNAPSHOT");
    for (index, what) in [snapshot, access].into_iter().flatten().enumerate() {
        text += if index == 0 { " " } else { ", " };
        text += what;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_async::IsolationLevel;

    #[test]
    fn what_was_asked_for_is_in_the_text() {
        assert_eq!(begin(&TxOpts::new()), "START TRANSACTION");
        let mut opts = TxOpts::new();
        opts.with_isolation_level(IsolationLevel::Serializable).with_readonly(true).with_consistent_snapshot(true);
        assert_eq!(
            begin(&opts),
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
        );
    }
}
