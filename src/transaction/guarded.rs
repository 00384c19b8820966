//! The loop of a transaction with a guard: the first thing in each run is to take the token.

use std::{future::Future, mem, sync::Arc};

use mysql_async::{Row, TxOpts};

use super::{
    Done,
    conclude::{Stopped, ask, send},
    run::{Again, RunEnd, finish, stop},
    tx::Tx,
};
use crate::{
    call::{Call, Failed, Stop, Work},
    conditions::answers,
    error::Error,
    guard::{Claim, Guard, Table, Taken, checked},
    handle::Handle,
    pool::{End, Lease, Slot},
    savepoint::begin,
    sql::StateKinds,
    statement::Delivery,
    verdict::Outcome,
};

/// Runs a transaction until it is committed, was committed before, or certainly will not be.
pub(crate) async fn run_guarded<F, Fut, T, E, P>(
    handle: &Handle,
    opts: &TxOpts,
    work: F,
    guard: &Arc<Guard>,
    payload: Option<&P>,
    again: Option<&Again<'_, E>>,
) -> Result<Done<T>, E>
where
    F: FnMut(Tx) -> Fut + Send,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
    P: Fn(&T) -> Vec<u8> + Sync + ?Sized,
{
    let mut call = handle.transaction_call(Delivery::ExactlyOnce)?;
    call.run_work(Guarded { handle, opts, work, guard, payload, again, values: Vec::new() }).await
}

struct Guarded<'h, F, T, E, P: ?Sized> {
    handle: &'h Handle,
    opts: &'h TxOpts,
    work: F,
    guard: &'h Arc<Guard>,
    payload: Option<&'h P>,
    again: Option<&'h Again<'h, E>>,
    /// Those of the runs whose COMMIT had no reply.
    values: Vec<(u32, T)>,
}

impl<F, Fut, T, E, P> Work for Guarded<'_, F, T, E, P>
where
    F: FnMut(Tx) -> Fut + Send,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
    P: Fn(&T) -> Vec<u8> + Sync + ?Sized,
{
    type Output = Done<T>;
    type Error = E;

    async fn once(&mut self, call: &mut Call<'_>, lease: Lease) -> Result<Done<T>, Stop<E>> {
        match take(self.handle, call, lease, self.opts, self.guard).await {
            Begun::Taken(lease, claim, watched) => self.do_it(call, lease, &claim, watched).await,
            Begun::Before(Taken::ByUs(run), _) => {
                let value = mem::take(&mut self.values).into_iter().find(|(of, _)| *of == run);
                Ok(value.map_or(Done::Before { payload: None }, |(_, value)| Done::Now(value)))
            }
            Begun::Before(Taken::Before(payload), _) => Ok(Done::Before { payload }),
            Begun::Before(Taken::InPart, claim) => Err(Stop::Ended(call.done_in_part(claim.in_part()).into())),
            Begun::Torn => Err(Stop::Ended(call.done_in_part(TORN.into()).into())),
            Begun::Refused(error) => Err(Stop::Ended(error.with_outcome(call.outcome()).into())),
            Begun::Failed(failed) => Err(failed.into()),
        }
    }
}

impl<F, Fut, T, E, P> Guarded<'_, F, T, E, P>
where
    F: FnMut(Tx) -> Fut + Send,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
    P: Fn(&T) -> Vec<u8> + Sync + ?Sized,
{
    /// Does the work, in a transaction that has taken the token.
    async fn do_it(
        &mut self,
        call: &mut Call<'_>,
        lease: Lease,
        claim: &Claim,
        watched: bool,
    ) -> Result<Done<T>, Stop<E>> {
        // not so where it is this run's COMMIT that tells
        let in_doubt = call.outcome() == Outcome::Unknown;
        if !in_doubt {
            self.values.clear();
        }
        let slot = Slot::of_transaction(lease, self.opts.readonly() == Some(true), watched);
        slot.with_standing(|standing| standing.lost_before = in_doubt);
        let result = (self.work)(Tx::new(self.handle, &slot, call.attempts(), Some(claim.clone()))).await;
        let stored = |value: &T| self.payload.map(|make| checked(make(value))).transpose();
        match finish(call, &slot, result, Some(claim), stored).await {
            RunEnd::Returned(Ok(value)) => Ok(Done::Now(value)),
            // the closure's own error would say that nothing was done
            RunEnd::Returned(Err(_)) | RunEnd::Undone(_) if in_doubt => Err(Stop::Ended(call.left_in_doubt().into())),
            RunEnd::Returned(Err(own)) => Err(Stop::Ended(own)),
            RunEnd::Undone(own) => Err(stop(own, self.again)),
            RunEnd::Failed(failed, value) => {
                if failed.is_in_doubt() {
                    self.values.extend(value.map(|value| (call.attempts(), value)));
                }
                Err(failed.into())
            }
        }
    }
}

/// How the beginning of a run ended.
enum Begun {
    /// The token is ours, in a transaction that is open, and has our savepoint if `true`.
    Taken(Lease, Claim, bool),
    /// It was taken before, and that was committed.
    Before(Taken, Claim),
    /// It may have been taken, by a transaction whose statements are not all in one session.
    Torn,
    /// The guard cannot work.
    Refused(Error),
    Failed(Failed),
}

/// How often a token is taken again at once that others have, and no longer have when it is looked up.
const TRIES: u32 = 8;

async fn take(handle: &Handle, call: &mut Call<'_>, mut lease: Lease, opts: &TxOpts, guard: &Arc<Guard>) -> Begun {
    let table = match table(handle, call, &mut lease).await {
        Ok(Ok(table)) => table,
        Ok(Err(objection)) => {
            lease.end(End::Answered(StateKinds::NONE));
            return Begun::Refused(Error::config(objection, None));
        }
        Err(error) => return Begun::Failed(call.begin_failed(lease, error)),
    };
    let claim = Claim::new(guard, &table, call.attempts());
    let proves = match proves_that_nothing_was_done(call, &mut lease).await {
        Ok(proves) => proves,
        Err(error) => return Begun::Failed(call.begin_failed(lease, error)),
    };
    let watched = !lease.is_known_well();
    let text = begin(opts, watched, Some(&claim.take()));
    for _ in 0..TRIES {
        let error = match send(call, &mut lease, &text).await {
            Ok(()) => {
                if proves {
                    call.came_to_nothing();
                }
                return Begun::Taken(lease, claim, watched);
            }
            Err(Stopped { error, .. }) => error,
        };
        match error {
            mysql_async::Error::Server(error) if answers::is_duplicate_key(&error) => {
                match find(call, &mut lease, &claim).await {
                    // what it has read may be the row of a run that will be rolled back
                    Ok(_) if is_torn(&lease) => {
                        lease.end(End::Broken);
                        return Begun::Torn;
                    }
                    Ok(Some(row)) => {
                        lease.end(End::Answered(StateKinds::NONE));
                        return match claim.read(&row) {
                            Some(taken) => Begun::Before(taken, claim),
                            None => Begun::Refused(Error::config(claim.unreadable(), None)),
                        };
                    }
                    // it was removed in between: purged, or the work of its owner was to be done again
                    Ok(None) => {}
                    Err(error) => return Begun::Failed(call.begin_failed(lease, error)),
                }
            }
            mysql_async::Error::Server(error) if answers::is_missing_table(&error) => {
                lease.end(End::Broken);
                return Begun::Refused(Error::config(claim.missing(), Some(mysql_async::Error::Server(error))));
            }
            error @ (mysql_async::Error::Server(_)
            | mysql_async::Error::Io(_)
            | mysql_async::Error::Driver(_)
            | mysql_async::Error::Other(_)
            | mysql_async::Error::Url(_)) => return Begun::Failed(call.begin_failed(lease, error)),
        }
    }
    lease.end(End::Answered(StateKinds::NONE));
    let message = format!(
        "the guard's table says {TRIES} times that it has the token, and does not have it when it is looked up"
    );
    Begun::Refused(Error::config(message, None))
}

/// The guard's table at the target of this connection; `Err` tells what is wrong with it. Asked once for each target.
async fn table(
    handle: &Handle,
    call: &Call<'_>,
    lease: &mut Lease,
) -> mysql_async::Result<std::result::Result<Arc<Table>, String>> {
    if let Some(table) = handle.guard_at(lease.target_index()) {
        return Ok(Ok(table.clone()));
    }
    let named = lease.connection().opts().db_name().map(str::to_owned);
    // on a session the current database may be another one than that which the connection began with
    let began_here = !handle.may_be_in_another_database();
    let table = match (&named, began_here) {
        (Some(_), false) => handle.guard_table().in_database(named.as_deref()),
        (Some(_) | None, _) => handle.guard_table().clone(),
    };
    let (current, definition) = match ask(call, lease, table.definition()).await {
        Ok(row) => {
            let column = |index| row.as_ref()?.get_opt::<Option<String>, _>(index)?.ok()?;
            (column(0), column(1))
        }
        // without the right to look, the user's word has to do
        Err(mysql_async::Error::Server(_)) => (None, None),
        Err(error) => return Err(error),
    };
    if let Some(objection) = definition.and_then(|definition| table.objection(&definition)) {
        return Ok(Err(objection));
    }
    let database = if began_here { current.or(named) } else { named };
    let table = Arc::new(table.in_database(database.as_deref()));
    if began_here {
        handle.note_good_guard(lease.target_index(), table.clone());
    }
    Ok(Ok(table))
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
    match ask(call, lease, in_a_group.into()).await {
        Ok(row) => Ok(row.is_none()),
        Err(mysql_async::Error::Server(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the session of the last answer is in a transaction although a ROLLBACK was answered before.
fn is_torn(lease: &Lease) -> bool {
    lease.began_with_autocommit() && lease.status().is_some_and(|status| status.in_transaction)
}

const TORN: &str = "what is between this client and the server has sent the statements of one transaction to several \
     sessions: exactly once needs a router that keeps a transaction on one session";

/// Reads the row of the token, outside of the transaction that could not have it.
async fn find(call: &Call<'_>, lease: &mut Lease, claim: &Claim) -> mysql_async::Result<Option<Row>> {
    send(call, lease, "ROLLBACK").await.map_err(|stopped| stopped.error)?;
    ask(call, lease, claim.find()).await
}
