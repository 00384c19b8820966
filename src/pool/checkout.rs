//! Checkout: a permit, an idle connection or a new one, and the check that it is fit for use.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Instant,
};

use mysql_async::prelude::Queryable;
use tokio::{
    sync::SemaphorePermit,
    task::{unconstrained, yield_now},
    time::timeout_at,
};

use super::{
    End, Lease, Limits, Shared, bounded,
    introduction::introduce,
    lane::{Taken, WINDOW, Warm},
    record::{Condition, Status},
    setup::AutocommitOff,
    slow_start::Turn,
    target::Target,
};
use crate::{
    driver::timed_out,
    outage::{Closed, Need},
};

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum NoConnection {
    /// All connections of the pool were in use until the deadline.
    Busy { size: usize },
    /// No connection could be asked for.
    Shut(mysql_async::Error),
    /// It could not be made, or could not be used. The attempt began at `started`.
    Failed { error: mysql_async::Error, target: usize, started: Instant },
    /// The server was known to be down; nothing was tried.
    Closed(Closed),
}

impl Shared {
    /// The connection of the caller before, if it was returned a moment ago, and there is nothing to wait for or to look at.
    pub(crate) fn warm_lease(self: &Arc<Self>, now: Instant) -> Option<Lease> {
        // connections that were returned for calls that wait are theirs
        if self.outage.is_troubled() || self.slow_start.has_queue() || self.pings_at_once {
            return None;
        }
        let permit = self.permits.try_acquire().ok()?;
        let (index, target) = self.current();
        let Warm { conn, record, since, .. } = self.lane.take_warm(index, now)?;
        if record.is_too_old(&target.records, now) || target.is_doubtful(since) {
            // in the driver's pool the next look at it shows that again
            return None;
        }
        permit.forget();
        Some(Lease::with_record(conn, record, self, index).with_permit())
    }

    /// A connection that was alive a moment ago, by `deadline`.
    pub(crate) async fn checkout(
        self: &Arc<Self>,
        now: Instant,
        limits: Limits,
        need: Need,
    ) -> Result<Lease, NoConnection> {
        self.checkout_in(None, now, limits, need).await
    }

    /// The same in a place of the pool that was kept for it, if any.
    pub(super) async fn checkout_in(
        self: &Arc<Self>,
        mut place: Option<Permit<'_>>,
        mut now: Instant,
        limits: Limits,
        need: Need,
    ) -> Result<Lease, NoConnection> {
        'gate: loop {
            if self.outage.is_troubled() {
                Box::pin(self.pass(need, limits)).await?;
                // it has waited for nobody's connection before
                now = Instant::now();
            }
            let (permit, now) = match place.take() {
                Some(permit) => (permit, now),
                None => self.permit(limits.deadline, now).await?,
            };
            // if an outage has begun meanwhile, the permit is released for a call that can use it
            if self.is_shut(need) {
                continue;
            }
            // The pool's check of a socket depends on the runtime's I/O driver. A task that blocked its thread has blocked
            // the driver, too. Yielding lets the driver run. It costs nothing in a busy executor.
            if self.lane.quiet(now).is_none_or(|quiet| quiet >= WINDOW) {
                yield_now().await;
            }
            let mut has_queued = false;
            // each turn ends, closes a connection of the pool, or has waited for one
            loop {
                let (index, target) = self.current();
                let queues = self.slow_start.has_queue() && !mem::replace(&mut has_queued, true);
                let (conn, started, pings) = if !queues && let Some((conn, pings)) = self.warm(index, now).await {
                    (Ok(conn), now, pings)
                } else if !queues && (target.has_idle() || (target.is_complete() && !self.slow_start.is_on())) {
                    (connect(target, limits).await, now, false)
                } else {
                    // the rare path is boxed, which keeps the future small
                    match Box::pin(self.make(index, need, limits, now)).await? {
                        Made::New(conn, started) => (conn, started, false),
                        Made::Returned => {
                            has_queued = true;
                            continue;
                        }
                        Made::Shut => continue 'gate,
                    }
                };
                let failed = |error| NoConnection::Failed { error, target: index, started };
                let mut lease = Lease::new(conn.map_err(failed)?, self, index);
                if self.verify(&mut lease, now, pings, limits).await.map_err(failed)? {
                    if self.outage.is_troubled() {
                        self.note_connection(&lease);
                    }
                    permit.hand_over();
                    return Ok(lease.with_permit());
                }
                lease.end(End::Broken);
                self.listeners.counting.retired.add_one();
            }
        }
    }

    /// The connection of the caller before, if it was returned a moment ago; in an outage whenever that was. Also returns
    /// whether it is to be pinged.
    async fn warm(&self, index: usize, now: Instant) -> Option<(mysql_async::Conn, bool)> {
        match self.lane.take(index, now, self.outage.is_troubled()) {
            Taken::Connection(conn, pings) => Some((conn, pings)),
            Taken::Nothing => None,
            Taken::Cleared => {
                // the pool's task takes them in, which is cheaper than to make a connection
                self.take_in(index).await;
                None
            }
        }
    }

    /// Gives the pool's task the turns that it needs to take in connections that were just dropped.
    pub(super) async fn take_in(&self, index: usize) {
        const TURNS: u32 = 4;
        // on a busy runtime the task has its turn late
        const TURNS_WHERE_COMING: u32 = 32;
        let target = &self.targets[index];
        for turn in 0..TURNS_WHERE_COMING {
            if target.has_idle() || (turn >= TURNS && !self.has_coming(index)) {
                return;
            }
            yield_now().await;
        }
    }

    /// Whether there are more connections than can be in use: one is on its way into the pool. Asked by a call that has a permit, and
    /// no connection yet.
    fn has_coming(&self, index: usize) -> bool {
        let permits = self.size.saturating_sub(self.permits.available_permits());
        let target = &self.targets[index];
        target.open() >= permits.max(1) + target.idle() + self.lane.count(index)
    }

    /// Makes a connection when it has a permit for that, or waits for the connection of another call, which it has done since
    /// then.
    async fn make(&self, index: usize, need: Need, limits: Limits, since: Instant) -> Result<Made, NoConnection> {
        let target = &self.targets[index];
        let mut opening = None;
        if self.slow_start.is_on() {
            // one may be on its way into the pool
            self.take_in(index).await;
            if target.has_idle() && !self.slow_start.has_queue() {
                return Ok(Made::Returned);
            }
            let (has_idle, has_room) = (|| self.has_idle(), || !target.is_complete());
            match self.slow_start.turn(since, limits.deadline, has_idle, has_room).await {
                Turn::Free => {}
                Turn::Open(one) => opening = Some(one),
                Turn::Look => return Ok(Made::Returned),
                Turn::Late => {
                    let what = "the server is back, and no connection was free before the deadline";
                    return Err(NoConnection::Shut(timed_out(what.into())));
                }
            }
        }
        let _turn = self.turn(limits.deadline).await?;
        if self.is_shut(need) {
            return Ok(Made::Shut);
        }
        let started = Instant::now();
        let conn = connect(target, limits).await;
        if conn.is_ok() {
            target.meters.created(started);
            if let Some(opening) = opening {
                opening.succeeds();
            }
        }
        Ok(Made::New(conn, started))
    }

    /// The permit to make a connection.
    async fn turn(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, NoConnection> {
        match timeout_at(deadline.into(), self.handshakes.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(NoConnection::Shut(mysql_async::DriverError::PoolDisconnected.into())),
            Err(_) => Err(NoConnection::Shut(timed_out("too many connections were being made".into()))),
        }
    }

    /// A permit to use a connection, and the time at which it was given.
    async fn permit(&self, deadline: Instant, now: Instant) -> Result<(Permit<'_>, Instant), NoConnection> {
        let (permit, now) = match self.permits.try_acquire() {
            Ok(permit) => (permit, now),
            Err(_) => {
                let waited = timeout_at(deadline.into(), self.permits.acquire()).await;
                let permit = waited
                    .map_err(|_| NoConnection::Busy { size: self.current().1.size })?
                    .map_err(|_| NoConnection::Shut(mysql_async::DriverError::PoolDisconnected.into()))?;
                (permit, Instant::now())
            }
        };
        permit.forget();
        Ok((Permit(self), now))
    }

    /// Asks a new connection what it is, and runs the set-up.
    async fn introduce(self: &Arc<Self>, lease: &mut Lease, limits: Limits) -> mysql_async::Result<()> {
        let index = lease.target_index();
        let asking = introduce(lease.conn(), index);
        let introduction = bounded(asking, "check of a new connection", limits).await?;
        bounded(self.setup.run(lease.conn()), "set-up", limits).await?;
        if bounded(is_autocommit_off(lease, introduction.autocommit), "check", limits).await? {
            return Err(AutocommitOff::error());
        }
        lease.record().introduce(lease.connection(), introduction);
        self.trim();
        Ok(())
    }

    /// Whether the connection is fit for use, which a ping shows if `pings`. An error comes from a new connection; an old one
    /// is replaced without one.
    async fn verify(
        self: &Arc<Self>,
        lease: &mut Lease,
        now: Instant,
        pings: bool,
        limits: Limits,
    ) -> mysql_async::Result<bool> {
        match lease.condition(now) {
            Condition::Over => Ok(false),
            Condition::Idle(since)
                if pings
                    || self.ping_after.is_some_and(|limit| now.saturating_duration_since(since) >= limit)
                    || lease.target().is_doubtful(since) =>
            {
                Ok(bounded(lease.conn().ping(), "ping", limits).await.is_ok())
            }
            Condition::Idle(_) => Ok(true),
            Condition::New => Box::pin(self.introduce(lease, limits)).await.map(|()| true),
        }
    }
}

/// What has come of the wait for a connection.
enum Made {
    /// It was made, or could not be. The attempt began at this time.
    New(mysql_async::Result<mysql_async::Conn>, Instant),
    /// Another call has returned one.
    Returned,
    /// An outage has begun first.
    Shut,
}

/// Whether a new connection is without autocommit after its set-up; `before` is what was asked before that.
async fn is_autocommit_off(lease: &mut Lease, before: Option<bool>) -> mysql_async::Result<bool> {
    // an error has no status flags, the answer to a ping has
    if lease.status().is_none() {
        lease.conn().ping().await?;
    }
    if before == Some(false) {
        // the set-up may have turned it on
        let now: Option<bool> = lease.conn().query_first("SELECT @@autocommit").await?;
        return Ok(now != Some(true));
    }
    Ok(lease.status().is_some_and(|Status { autocommit, .. }| !autocommit))
}

async fn connect(target: &Target, limits: Limits) -> mysql_async::Result<mysql_async::Conn> {
    // Unconstrained: when a task has used up its share of tokio's cooperative budget, the pool's check of an idle
    // socket would take 'not now' for 'alive' (TCP), or leak the slot if it is then cancelled (unix socket).
    let mut connecting = pin!(unconstrained(target.pool.get_conn()));
    // An idle connection is there at once, or as soon as the pool's task has taken it back from the call before:
    // no timer is set up for that.
    for _ in 0..2 {
        if let Poll::Ready(conn) = poll_fn(|cx| Poll::Ready(connecting.as_mut().poll(cx))).await {
            return conn;
        }
        yield_now().await;
    }
    bounded(connecting, "connect", limits).await
}

/// A permit of the pool that is released unless it was handed over to a lease.
pub(super) struct Permit<'a>(pub(super) &'a Shared);

impl Permit<'_> {
    fn hand_over(self) {
        mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.permits.add_permits(1);
    }
}
