//! The way back to a target that is preferred to the one in use.

use std::{sync::Weak, time::Duration};

use super::keeper::Turn;
use crate::{
    outage::{Answer, ask, is_left_behind},
    policy::{Delays, Schedule},
    pool::Shared,
};

/// After how many probe intervals a preferred target is asked; later after up to ten times as many.
const INTERVALS: u32 = 4;

/// Asks the targets before the current one until one of them can be used, and moves to it.
pub(in crate::pool) async fn retake(shared: Weak<Shared>) {
    let Some(mut schedule) = shared.upgrade().map(|shared| schedule(shared.outage.tuning.probe_interval)) else {
        return;
    };
    let mut turn = Turn::new(&shared, |shared| &shared.retaking, |_| {});
    loop {
        tokio::time::sleep(schedule.next()).await;
        let mut index = 0;
        while let Some(question) = shared.upgrade().and_then(|shared| {
            let preferred = !shared.outage.is_troubled() && index < shared.outage.current();
            preferred
                .then(|| ask(shared.targets[index].opts.clone(), shared.outage.tuning.question(), shared.reset_timeout))
        }) {
            let verdict = question.await;
            let Some(shared) = shared.upgrade() else { return };
            let able = match verdict {
                Answer::Able => true,
                Answer::ReadOnly => shared.outage.tuning.accept_read_only,
                Answer::Unable(..) | Answer::Objects(_) => false,
            };
            let left_behind = able && {
                let current = shared.targets[shared.outage.current()].opts.clone();
                is_left_behind(shared.targets[index].opts.clone(), current, shared.reset_timeout).await
            };
            if able && !left_behind && !shared.outage.is_troubled() && index < shared.outage.current() {
                shared.back(index, false, None);
            }
            index += 1;
        }
        // the executor is gone, or the first target is in use
        let Some(shared) = shared.upgrade() else { return };
        let is_elsewhere = || shared.outage.current() > 0;
        if !is_elsewhere() && turn.ends(&shared, is_elsewhere) {
            return;
        }
    }
}

fn schedule(probe_interval: Duration) -> Schedule {
    let initial = probe_interval.saturating_mul(INTERVALS);
    Schedule::new(&Delays { initial, maximum: initial.saturating_mul(10), multiplier: 1.5, jitter: 0.2 })
}
