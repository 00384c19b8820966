//! The loop of a transaction with a guard: the first thing in each run is to take the token.

use std::{future::Future, time::Instant};

use mysql_async::{
    Row, TxOpts,
    prelude::{FromRow, Queryable},
};

use super::{
    run::{Ended, begin, command, finish},
    tx::Tx,
};
use crate::{
    call::{Call, Failed},
    classify::Outcome,
    connections::{Lease, Slot},
    error::Error,
    executor::Executor,
    guard::{Done, Guard, Taken},
    statement::Delivery,
};

/// Runs a transaction until it is committed, was committed before, or certainly will not be.
pub(crate) async fn run_guarded<F, Fut, T, E, P>(
    exec: &Executor,
    opts: &TxOpts,
    mut work: F,
    guard: &Guard,
    payload: Option<&P>,
) -> Result<Done<T>, E>
where
    F: FnMut(Tx) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    P: Fn(&T) -> Vec<u8> + ?Sized,
    E: From<Error>,
{
    let begin = begin(opts);
    let mut call = exec.transaction_call(&begin, Delivery::ExactlyOnce)?;
    let mut now = call.begin()?;
    // those of the runs whose COMMIT had no reply
    let mut values: Vec<(u32, T)> = Vec::new();
    loop {
        let failed = match take(exec, &mut call, now, &begin, guard).await {
            Begun::Taken(lease) => {
                // not so where it is this run's COMMIT that tells
                let in_doubt = call.outcome() == Outcome::Unknown;
                if !in_doubt {
                    values.clear();
                }
                let slot = Slot::of_transaction(lease);
                slot.with_standing(|standing| standing.lost_before = in_doubt);
                let result = work(Tx::new(exec, &slot, call.attempts(), true)).await;
                match finish(&mut call, &slot, result, |value| guard.commit(payload.map(|make| make(value)))).await {
                    Ended::Returned(Ok(value)) => {
                        call.succeeded();
                        return Ok(Done::Now(value));
                    }
                    // the closure's own error would say that nothing was done
                    Ended::Returned(Err(_)) if in_doubt => return Err(call.left_in_doubt().into()),
                    Ended::Returned(Err(own)) => return Err(own),
                    Ended::Failed(failed, value) => {
                        if failed.is_in_doubt() {
                            values.extend(value.map(|value| (call.attempts(), value)));
                        }
                        failed
                    }
                }
            }
            Begun::Before(taken) => {
                call.succeeded();
                return Ok(match taken {
                    Taken::ByUs(run) => match values.into_iter().find(|(of, _)| *of == run) {
                        Some((_, value)) => Done::Now(value),
                        None => Done::Before { payload: None },
                    },
                    Taken::Before(payload) => Done::Before { payload },
                });
            }
            Begun::Refused(error) => return Err(error.with_outcome(call.outcome()).into()),
            Begun::Failed(failed) => failed,
        };
        call.after(failed).await?;
        now = Instant::now();
    }
}

/// How the beginning of a run ended.
enum Begun {
    /// The token is ours, in a transaction that is open.
    Taken(Lease),
    /// It was taken before, and that was committed.
    Before(Taken),
    /// The guard cannot work.
    Refused(Error),
    Failed(Failed),
}

async fn take(exec: &Executor, call: &mut Call<'_>, now: Instant, begin: &str, guard: &Guard) -> Begun {
    let mut lease = match call.next_lease(now).await {
        Ok(lease) => lease,
        Err(failed) => return Begun::Failed(failed),
    };
    if !exec.guard_is_good() {
        match examine(call, &mut lease, guard).await {
            Ok(None) => exec.note_good_guard(),
            Ok(Some(objection)) => {
                lease.finish(Default::default());
                return Begun::Refused(Error::config(objection, None));
            }
            Err(error) => return Begun::Failed(call.begin_failed(lease, error)),
        }
    }
    let proves = match proves_that_nothing_was_done(call, &mut lease).await {
        Ok(proves) => proves,
        Err(error) => return Begun::Failed(call.begin_failed(lease, error)),
    };
    match command(call, &mut lease, &format!("{begin}; {}", guard.take(call.attempts()))).await {
        Ok(()) => {
            if proves {
                call.came_to_nothing();
            }
            Begun::Taken(lease)
        }
        Err(mysql_async::Error::Server(error)) if error.code == DUPLICATE => {
            match find(call, &mut lease, guard).await {
                Ok(Some(taken)) => {
                    lease.finish(Default::default());
                    Begun::Before(taken)
                }
                // purged in between
                Ok(None) => Begun::Failed(call.begin_failed(lease, mysql_async::Error::Server(error))),
                Err(error) => Begun::Failed(call.begin_failed(lease, error)),
            }
        }
        Err(mysql_async::Error::Server(error)) if error.code == NO_SUCH_TABLE => {
            lease.retire();
            Begun::Refused(Error::config(guard.missing(), Some(mysql_async::Error::Server(error))))
        }
        Err(error) => Begun::Failed(call.begin_failed(lease, error)),
    }
}

const DUPLICATE: u16 = 1062;
const NO_SUCH_TABLE: u16 = 1146;

/// What is wrong with the table, if anything is. Asked once for each executor.
async fn examine(call: &Call<'_>, lease: &mut Lease, guard: &Guard) -> mysql_async::Result<Option<String>> {
    match ask::<(String, String)>(call, lease, guard.definition()).await {
        Ok(Some((_, definition))) => Ok(guard.objection(&definition)),
        Ok(None) => Ok(Some(guard.missing())),
        Err(mysql_async::Error::Server(error)) if error.code == NO_SUCH_TABLE => Ok(Some(guard.missing())),
        // without the right to look, the user's word has to do
        Err(mysql_async::Error::Server(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a token that can be taken here proves that no attempt so far has had an effect, or will have one.
///
/// A server keeps two owners of a token apart at once. Another one may not have heard of the first owner yet. And where
/// servers agree on transactions before they commit them (a Galera cluster, Group Replication), a COMMIT that one of them
/// could not bring to its end takes effect when the group does so, which may be long after its session has ended. (Seen with
/// Galera 4 where a quorum was lost and regained.) They keep two owners apart when they commit.
async fn proves_that_nothing_was_done(call: &Call<'_>, lease: &mut Lease) -> mysql_async::Result<bool> {
    if call.outcome() == Outcome::NotExecuted {
        return Ok(true);
    }
    if !call.was_lost_on_the_server_of(lease) {
        return Ok(false);
    }
    let in_a_group = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'group_replication_group_name') \
                      AND Value NOT IN ('OFF', '0', '')";
    match ask::<Row>(call, lease, in_a_group.into()).await {
        Ok(row) => Ok(row.is_none()),
        Err(mysql_async::Error::Server(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads the row of the token, outside of the transaction that could not have it.
async fn find(call: &Call<'_>, lease: &mut Lease, guard: &Guard) -> mysql_async::Result<Option<Taken>> {
    command(call, lease, "ROLLBACK").await?;
    Ok(ask(call, lease, guard.find()).await?.map(|row| guard.read(row)))
}

/// The first row of the answer to a question of our own, within the attempt time-out.
async fn ask<T>(call: &Call<'_>, lease: &mut Lease, question: String) -> mysql_async::Result<Option<T>>
where
    T: FromRow + Send + 'static,
{
    lease.sending();
    let place = lease.place();
    let row = call.in_time(place, || true, lease.conn().query_first(question)).await;
    lease.unpark();
    lease.answered();
    row
}
