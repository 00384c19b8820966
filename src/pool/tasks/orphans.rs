//! Sessions that were left with a statement under way.
//!
//! A caller that drops a future (a time-out, a `select!`) leaves its statement behind: the server does not notice and
//! goes on, so that time-outs pile up abandoned scans. They are ended from another connection, by one task however many
//! there are.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    outage::Need,
    policy::Settings,
    pool::{Backend, Shared},
};

/// The sessions that wait for their end.
#[derive(Debug, Default)]
pub(crate) struct Orphans(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    sessions: Vec<Backend>,
    /// A task is at work.
    attended: bool,
}

impl Orphans {
    pub(in crate::pool) fn add(shared: &Arc<Shared>, session: Backend) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let attended = shared.orphans.with(|waiting| {
            waiting.sessions.push(session);
            mem::replace(&mut waiting.attended, true)
        });
        if !attended {
            let shared = shared.clone();
            runtime.spawn(async move { end_orphans(&shared).await });
        }
    }

    /// The next ones, or `None` and nobody attends any more.
    fn take(&self) -> Option<Vec<Backend>> {
        self.with(|waiting| {
            waiting.attended = !waiting.sessions.is_empty();
            waiting.attended.then(|| mem::take(&mut waiting.sessions))
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The pause between two looks at an outage.
const PAUSE: Duration = Duration::from_millis(50);

async fn end_orphans(shared: &Arc<Shared>) {
    while let Some(sessions) = shared.orphans.take() {
        let now = Instant::now();
        let deadline = now.checked_add(shared.reset_timeout).unwrap_or(now);
        let settings = Settings::default();
        // not among the calls that wait
        while shared.is_shut(Need::Read) && Instant::now() < deadline {
            tokio::time::sleep(PAUSE).await;
        }
        // best effort: a server that cannot be reached has lost its clients too, or will notice
        let Ok(mut lease) = shared.checkout(now, deadline, &settings, Need::Read).await else {
            continue;
        };
        let mut alive = true;
        for session in &sessions {
            if session.target() != lease.target_index() {
                shared.end_elsewhere(session, false, deadline, &settings).await;
            } else if alive {
                alive = lease.end(session, false, deadline, &settings).await.is_ok();
            }
        }
        if alive {
            lease.put_by();
        } else {
            lease.retire();
        }
    }
}
