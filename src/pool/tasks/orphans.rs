//! Sessions that were left with a statement under way.
//!
//! A caller that drops a future (a time-out, a `select!`) leaves its statement behind: the server does not notice and
//! goes on, so that abandoned statements would accumulate. One task ends all of them from another connection.
//!
//! Until then each of them keeps its place in the pool, so that a program that gives up many calls has no more sessions at
//! the server than its pool has connections. The connection that ends them takes the place of one of them.

use std::{
    mem,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout_at};

use super::keeper::{Keeper, Turn};
use crate::{
    outage::Need,
    pool::{Backend, End, Lease, Limits, Shared, checkout::Permit},
};

/// The sessions that wait for their end.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    sessions: Mutex<Vec<Orphan>>,
    /// How many of them have a place in the pool.
    places: AtomicUsize,
    keeper: Keeper,
}

#[derive(Debug)]
struct Orphan {
    session: Backend,
    has_place: bool,
}

impl Orphans {
    fn list(&self) -> MutexGuard<'_, Vec<Orphan>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause between two looks at an outage.
const PAUSE: Duration = Duration::from_millis(50);
/// For how long sessions keep their places at the most. A server that does not answer within this time may not answer at all, and the
/// calls that wait may find another one.
const KEPT: Duration = Duration::from_millis(250);

impl Shared {
    /// Ends a session that was left with a statement under way, in the background.
    pub(crate) fn abandon(self: &Arc<Self>, session: Backend) {
        self.abandon_with_place(session, false);
    }

    /// The same. With `has_place` its connection has a place in the pool. Returns whether the session takes that over.
    pub(in crate::pool) fn abandon_with_place(self: &Arc<Self>, session: Backend, has_place: bool) -> bool {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return false };
        if has_place {
            self.orphans.places.fetch_add(1, Relaxed);
        }
        self.orphans.list().push(Orphan { session, has_place });
        if self.orphans.keeper.begins() {
            let shared = self.clone();
            runtime.spawn(async move { end_orphans(&shared).await });
        }
        has_place
    }

    /// The place of one of them; it is released when it is dropped.
    fn take_place(&self) -> Option<Permit<'_>> {
        let taken = self.orphans.places.fetch_update(Relaxed, Relaxed, |places| places.checked_sub(1));
        taken.ok().map(|_| Permit(self))
    }

    fn release_place(&self) {
        drop(self.take_place());
        self.measure();
    }

    fn release_all_places(&self) {
        self.permits.add_permits(self.orphans.places.swap(0, Relaxed));
        self.measure();
    }
}

async fn end_orphans(shared: &Arc<Shared>) {
    let mut turn = Turn::new(&Arc::downgrade(shared), |shared| &shared.orphans.keeper, Shared::release_all_places);
    loop {
        let orphans = mem::take(&mut *shared.orphans.list());
        if orphans.is_empty() {
            if turn.ends(shared, || !shared.orphans.list().is_empty()) {
                return;
            }
            continue;
        }
        let now = Instant::now();
        let deadline = now.checked_add(shared.reset_timeout).unwrap_or(now);
        let limits = Limits { deadline, connect_timeout: Some(shared.reset_timeout), waits: true };
        // it does not count as a call that waits
        while shared.is_shut(Need::Read) && Instant::now() < deadline {
            shared.release_all_places();
            sleep(PAUSE).await;
        }
        let kept_until = Instant::now() + KEPT;
        // best effort: a server that cannot be reached will notice by itself that its clients are gone
        if let Some((lease, in_their_place)) = connect(shared, kept_until, limits).await {
            let mut ending = pin!(end_all(shared, &orphans, lease, in_their_place, kept_until, limits));
            if timeout_at(kept_until.into(), &mut ending).await.is_err() {
                shared.release_all_places();
                ending.await;
            }
        } else {
            shared.release_all_places();
        }
    }
}

/// A connection to end sessions on, and whether it is in the place of one of them.
async fn connect(shared: &Arc<Shared>, kept_until: Instant, limits: Limits) -> Option<(Lease, bool)> {
    if let Some(place) = shared.take_place() {
        let checkout = shared.checkout_in(Some(place), Instant::now(), limits, Need::Read);
        match timeout_at(kept_until.into(), checkout).await {
            Ok(lease) => return Some((lease.ok()?, true)),
            Err(_) => shared.release_all_places(),
        }
    }
    let lease = shared.checkout(Instant::now(), limits, Need::Read).await;
    Some((lease.ok()?, false))
}

/// Ends them all. Those that have a place have it until they are gone, if that does not last.
async fn end_all(
    shared: &Arc<Shared>,
    orphans: &[Orphan],
    mut lease: Lease,
    in_their_place: bool,
    kept_until: Instant,
    limits: Limits,
) {
    let here = lease.target_index();
    let mut alive = true;
    for Orphan { session, .. } in orphans {
        if session.target() != here {
            shared.end_elsewhere(session, false, limits).await;
        } else if alive {
            alive = lease.end_session(session, false, limits).await.is_ok();
        }
    }
    let until_released = Limits { deadline: limits.deadline.min(kept_until), ..limits };
    // one of the places is that of the lease
    for Orphan { session, .. } in orphans.iter().filter(|orphan| orphan.has_place).skip(in_their_place.into()) {
        if alive && session.target() == here {
            alive = lease.end_session(session, true, until_released).await.is_ok();
        }
        shared.release_place();
    }
    lease.end(if alive { End::Unused } else { End::Broken });
}
