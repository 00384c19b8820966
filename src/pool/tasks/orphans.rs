//! Sessions that were left with a statement under way.
//!
//! A caller that drops a future (a time-out, a `select!`) leaves its statement behind: the server does not notice and
//! goes on, so that abandoned statements would accumulate. One task ends all of them from another connection.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::keeper::{Keeper, Turn};
use crate::{
    outage::Need,
    pool::{Backend, End, Limits, Shared},
};

/// The sessions that wait for their end.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    sessions: Mutex<Vec<Backend>>,
    keeper: Keeper,
}

impl Orphans {
    pub(in crate::pool) fn add(shared: &Arc<Shared>, session: Backend) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        shared.orphans.list().push(session);
        if shared.orphans.keeper.begins() {
            let shared = shared.clone();
            runtime.spawn(async move { end_orphans(&shared).await });
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Backend>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause between two looks at an outage.
const PAUSE: Duration = Duration::from_millis(50);

async fn end_orphans(shared: &Arc<Shared>) {
    let mut turn = Turn::new(&Arc::downgrade(shared), |shared| &shared.orphans.keeper, |_| {});
    loop {
        let sessions = mem::take(&mut *shared.orphans.list());
        if sessions.is_empty() {
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
            tokio::time::sleep(PAUSE).await;
        }
        // best effort: a server that cannot be reached will notice by itself that its clients are gone
        let Ok(mut lease) = shared.checkout(now, limits, Need::Read).await else {
            continue;
        };
        let mut alive = true;
        for session in &sessions {
            if session.target() != lease.target_index() {
                shared.end_elsewhere(session, false, limits).await;
            } else if alive {
                alive = lease.end_session(session, false, limits).await.is_ok();
            }
        }
        if alive {
            lease.end(End::Unused);
        } else {
            lease.end(End::Broken);
        }
    }
}
