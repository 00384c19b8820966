//! The end of a run: COMMIT or ROLLBACK, and what a failure of either has left.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mysql_async::{Error as DriverError, Row, prelude::Queryable};

use crate::{
    call::{Call, Failed, commits_nothing},
    error::Error,
    guard::Claim,
    pool::{End, Lease, watch::BRIEF},
    savepoint,
    sql::StateKinds,
    verdict::{Obstacle, Outcome},
};

/// A text of several statements has failed.
pub(super) struct Stopped {
    pub(super) error: DriverError,
    /// How many of its statements had been answered well before that.
    pub(super) answered: usize,
}

/// Sends a text of our own, whose statements return no rows, within the attempt time-out.
pub(super) async fn send(call: &Call<'_>, lease: &mut Lease, text: &str) -> Result<(), Stopped> {
    let answered = AtomicUsize::new(0);
    // with what is stored beside a token it may be long
    let result = call.exchange(lease, text.len() <= BRIEF, async |conn| step(conn, text, &answered).await).await;
    result.map_err(|error| Stopped { error, answered: answered.into_inner() })
}

/// Runs the statements one by one, so that it is known at which of them an error came.
async fn step(conn: &mut mysql_async::Conn, text: &str, answered: &AtomicUsize) -> mysql_async::Result<()> {
    let mut result = conn.query_iter(text).await?;
    while !result.is_empty() {
        // It also reads the answer to the next statement. If that is an error, the driver keeps it for the next look.
        while result.next().await?.is_some() {}
        answered.fetch_add(1, Relaxed);
    }
    result.drop_result().await
}

/// What a ROLLBACK has undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// All that the closure did.
    All,
    /// Not what it did to tables that have no transactions.
    NotAll,
    /// The transaction that it ended was another one than that which was begun.
    Another,
    /// The connection was lost under it: the server rolls back what is open. The lease is to be retired.
    NotSeen,
}

/// Rolls back. With `doubtful` it asks at the same time whether the transaction is the one that was begun.
pub(super) async fn roll_back(call: &mut Call<'_>, lease: &mut Lease, doubtful: bool) -> Undone {
    let all = |lease: &Lease| match lease.connection().get_warnings() {
        0 => Undone::All,
        // 1196: seen with every ROLLBACK after a change to a MyISAM table, on both makers' servers
        _ => Undone::NotAll,
    };
    if doubtful {
        match send(call, lease, &format!("{}; ROLLBACK", savepoint::RELEASE)).await {
            Ok(()) => return all(lease),
            Err(Stopped { error: DriverError::Server(error), answered: 0 }) if savepoint::is_gone(&error) => {
                return match send(call, lease, "ROLLBACK").await {
                    Ok(()) => Undone::Another,
                    Err(_) => Undone::NotSeen,
                };
            }
            Err(Stopped { error: DriverError::Server(_), .. }) => {}
            Err(_) => return Undone::NotSeen,
        }
    }
    match send(call, lease, "ROLLBACK").await {
        Ok(()) if doubtful => Undone::Another,
        Ok(()) => all(lease),
        Err(_) => Undone::NotSeen,
    }
}

/// Gives the connection back after a ROLLBACK, or closes it.
///
/// `spoiled` is the claim of a guarded run of which a part may be committed. It is noted in the token's row, for later callers.
pub(super) async fn give_back(
    call: &mut Call<'_>,
    mut lease: Lease,
    undone: Undone,
    left: StateKinds,
    spoiled: Option<&Claim>,
) {
    if undone == Undone::NotSeen {
        // the next run would wait for its locks, and for its token
        call.leaves_behind(&lease);
        return lease.end(End::Broken);
    }
    if let Some(claim) = spoiled
        // in no transaction, and in none of another session either, to which a router may have moved the statements
        && let Err(Stopped { error, .. }) = send(call, &mut lease, &format!("ROLLBACK; {}", claim.spoil())).await
        && !matches!(error, DriverError::Server(_))
    {
        return lease.end(End::Broken);
    }
    // there may be a third transaction
    lease.end(if undone == Undone::Another { End::Broken } else { End::Answered(left) });
}

/// Why a run is not known to be committed.
pub(super) enum NotCommitted {
    /// The text that commits has failed.
    Stopped(Stopped),
    /// It must not be committed, for this reason. COMMIT was not sent.
    Refused(Error),
}

/// Sends COMMIT, with what belongs before it.
///
/// `is_marked`: the token's row says that the work is not whole, and is corrected first. `watched`: the transaction has our
/// savepoint.
pub(super) async fn commit(
    call: &Call<'_>,
    lease: &mut Lease,
    claim: Option<&Claim>,
    payload: Option<Vec<u8>>,
    is_marked: bool,
    watched: bool,
) -> Result<(), NotCommitted> {
    if let (Some(claim), true) = (claim, is_marked) {
        return Box::pin(commit_marked(call, lease, claim, payload.as_deref(), watched)).await;
    }
    let sent = match claim.zip(payload) {
        Some((claim, payload)) => send_released(call, lease, &[&claim.note(&payload), "COMMIT"], watched).await,
        None => send_released(call, lease, &["COMMIT"], watched).await,
    };
    sent.map_err(NotCommitted::Stopped)
}

/// Sends statements that are to run only in the transaction in which the savepoint was set, if that is `watched`: in one
/// text, or each in its own where the server may abort the transaction unseen in between.
async fn send_released(call: &Call<'_>, lease: &mut Lease, rest: &[&str], watched: bool) -> Result<(), Stopped> {
    if !watched {
        return send(call, lease, &rest.join("; ")).await;
    }
    let statements = [&[savepoint::RELEASE], rest].concat();
    if !lease.may_certify() {
        return send(call, lease, &statements.join("; ")).await;
    }
    for (answered, statement) in statements.into_iter().enumerate() {
        send(call, lease, statement).await.map_err(|Stopped { error, .. }| Stopped { error, answered })?;
    }
    Ok(())
}

async fn commit_marked(
    call: &Call<'_>,
    lease: &mut Lease,
    claim: &Claim,
    payload: Option<&[u8]>,
    watched: bool,
) -> Result<(), NotCommitted> {
    send_released(call, lease, &[&claim.settle(payload)], watched).await.map_err(NotCommitted::Stopped)?;
    let released = |error| NotCommitted::Stopped(Stopped { error, answered: 1 });
    let row = ask(call, lease, claim.find()).await.map_err(released)?;
    if !row.is_some_and(|row| claim.is_row_of_this_run(&row)) {
        return Err(NotCommitted::Refused(Error::config(claim.removed(), None)));
    }
    let committed = send(call, lease, "COMMIT").await;
    committed.map_err(|Stopped { error, .. }| released(error))
}

/// The first row of the answer to a question of our own, within the attempt time-out.
pub(super) async fn ask(call: &Call<'_>, lease: &mut Lease, question: String) -> mysql_async::Result<Option<Row>> {
    call.exchange(lease, true, async |conn| conn.query_first(question).await).await
}

/// The text that commits has failed: finds out what that means, and rolls back if a transaction is open. If `watched`, the text
/// began with the release of the savepoint.
pub(super) async fn not_committed(
    call: &mut Call<'_>,
    mut lease: Lease,
    Stopped { error, answered }: Stopped,
    left: StateKinds,
    doubtful: bool,
    claim: Option<&Claim>,
    watched: bool,
) -> Failed {
    // if the savepoint was released, the transaction is the one that was begun
    let doubtful = doubtful && answered == 0;
    let DriverError::Server(server) = &error else { return call.commit_lost(lease, error, doubtful) };
    if call.is_a_loss(&error) {
        return call.commit_lost(lease, error, doubtful);
    }
    let is_gone = watched && answered == 0 && savepoint::is_gone(server);
    if is_gone {
        lease.note_transaction(false);
    }
    let nothing = commits_nothing(server);
    let is_open = match call.is_still_in_transaction(&mut lease).await {
        Ok(is_open) => is_open,
        Err(lost) => return call.commit_lost(lease, lost, doubtful || is_gone),
    };
    let undone = if is_open { roll_back(call, &mut lease, false).await } else { Undone::All };
    let (outcome, obstacle) = match undone {
        _ if is_gone || doubtful => (Outcome::Unknown, Some(Obstacle::TransactionEnded)),
        Undone::NotAll => (Outcome::Unknown, Some(Obstacle::NotRolledBack)),
        Undone::All | Undone::Another | Undone::NotSeen if is_open || nothing => (Outcome::NotExecuted, None),
        // a token will tell
        Undone::All | Undone::Another | Undone::NotSeen => (Outcome::Unknown, call.cannot_find_out()),
    };
    let place = (lease.connection_id(), lease.target_index());
    give_back(call, lease, undone, left, claim.filter(|_| obstacle.is_some())).await;
    call.commit_refused(error, place, outcome, obstacle)
}
