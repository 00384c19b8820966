//! The trim task: closes connections that nobody uses.
//!
//! It looks at intervals how many connections are in use. What was in use at no look of some seconds is closed, down to the
//! minimum of the pool. On a server that is full the minimum does not hold, and connections are closed down to what is in use in
//! the mean: the calls of one program then wait a moment for each other, and those of others are served at all.
//!
//! An executor that has all the connections that it wants does not see that the server is full. So from time to time it asks, on a
//! connection that idles. The question costs the server the more, the more connections it has. So the time between two
//! questions is a multiple of the number of its places, and a fleet that fills the server asks it at most [`RATE`] times a second.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    task::Poll,
    time::{Duration, Instant},
};

use mysql_async::prelude::{FromRow, Queryable};
use tokio::{
    task::unconstrained,
    time::{sleep, timeout},
};

use super::keeper::Turn;
use crate::{
    pool::{End, Lease, Shared, poll_once},
    random,
};

/// How often it looks, where there is more than the pool's minimum, and where the server is full.
const TICK: Duration = Duration::from_millis(250);
const TICK_WHERE_FULL: Duration = Duration::from_millis(50);
/// After so many looks it closes what was not in use.
const LOOKS: u32 = 20;
/// An executor without any call gives up its last connection to a full server after so many times as many looks.
const QUIET: u32 = 5;
/// How many questions a second come to a server whose places are all taken by executors with one connection each.
const RATE: u64 = 50;
/// The bounds of the time between two questions.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(300);
/// A question that is not answered within this time is none.
const ANSWER: Duration = Duration::from_secs(1);

impl Shared {
    /// Starts the trim task unless it runs. Called when there is a new connection, and when the server is full.
    pub(in crate::pool) fn trim(self: &Arc<Self>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && self.trimming.begins()
        {
            runtime.spawn(trim(Arc::downgrade(self)));
        }
    }

    /// A connection to the current target that idles.
    fn take_idle(self: &Arc<Self>) -> Option<Lease> {
        let (index, target) = self.current();
        let conn = self.lane.take_oldest(index).or_else(|| {
            if !target.has_idle() {
                return None;
            }
            // unconstrained: as in a checkout
            match poll_once(pin!(unconstrained(target.pool.get_conn()))) {
                Poll::Ready(conn) => conn.ok(),
                Poll::Pending => None,
            }
        });
        Some(Lease::new(conn?, self, index))
    }

    /// As many connections are kept where the server has room.
    fn minimum(&self) -> usize {
        let target = self.current().1;
        let opts = target.opts.pool_opts();
        // with a time of its own the driver's pool closes them itself
        if opts.inactive_connection_ttl().is_zero() { opts.constraints().min() } else { target.size }
    }
}

async fn trim(shared: Weak<Shared>) {
    let mut turn = Turn::new(&shared, |shared| &shared.trimming, |_| {});
    let (mut looks, mut asking) = (Looks::default(), Asking::new());
    loop {
        let pause = match shared.upgrade() {
            Some(shared) if has_work(&shared) => pause(&shared, &asking),
            Some(shared) if turn.ends(&shared, || has_work(&shared)) => return,
            Some(_) => Duration::ZERO,
            None => return,
        };
        sleep(pause).await;
        let Some(shared) = shared.upgrade() else { return };
        let is_crowded = shared.slow_start.is_crowded();
        let (open, in_use) = shared.usage();
        looks.note(in_use, is_crowded);
        if looks.count >= LOOKS {
            let kept = looks.conclude(shared.successes(), shared.minimum());
            for _ in kept..open {
                match shared.take_idle() {
                    Some(lease) => lease.end(End::Broken),
                    None => break,
                }
            }
            shared.measure();
        }
        if !is_crowded && open > 1 && asking.is_due() {
            asking.ask(&shared).await;
        }
    }
}

/// Whether a connection might be closed.
fn has_work(shared: &Shared) -> bool {
    let open = shared.usage().0;
    open > 1 || open > shared.minimum() || (open > 0 && shared.slow_start.is_crowded())
}

fn pause(shared: &Shared, asking: &Asking) -> Duration {
    if shared.slow_start.is_crowded() {
        TICK_WHERE_FULL
    } else if shared.usage().0 > shared.minimum() {
        TICK
    } else {
        asking.next.saturating_duration_since(Instant::now()).max(TICK)
    }
}

/// How many connections were in use.
#[derive(Debug, Default)]
struct Looks {
    is_crowded: bool,
    count: u32,
    sum: usize,
    most: usize,
    /// How many statements had been answered before, and how many times as many looks no other one was.
    answers: u64,
    quiet: u32,
}

impl Looks {
    fn note(&mut self, in_use: usize, is_crowded: bool) {
        if is_crowded != self.is_crowded {
            *self = Looks { is_crowded, answers: self.answers, ..Looks::default() };
        }
        self.count += 1;
        self.sum += in_use;
        self.most = self.most.max(in_use);
    }

    /// How many connections are kept, and begins anew. So many statements have been answered.
    fn conclude(&mut self, answers: u64, minimum: usize) -> usize {
        let is_quiet = answers == self.answers && self.most == 0;
        let quiet = if is_quiet { self.quiet + 1 } else { 0 };
        let kept = match self.is_crowded {
            true if quiet >= QUIET => 0,
            // a quarter more: calls do not come one after another
            true => (self.sum * 5).div_ceil(self.count as usize * 4).max(1),
            false if is_quiet => minimum,
            false => (self.most + 1).max(minimum),
        };
        *self = Looks { is_crowded: self.is_crowded, answers, quiet, ..Looks::default() };
        kept
    }
}

/// When the server is asked whether it is full.
#[derive(Debug)]
struct Asking {
    next: Instant,
    /// How many connections the server takes.
    places: Option<u64>,
    interval: Duration,
}

impl Asking {
    fn new() -> Self {
        let mut asking = Asking { next: Instant::now(), places: None, interval: OFTEN };
        asking.wait();
        asking
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Programs that were started together do not ask together.
    fn wait(&mut self) {
        self.next = Instant::now() + self.interval.mul_f64(1.0 - 0.5 * random::share());
    }

    /// The time between two questions grows up to this one, of which it is at first a part.
    fn longest(places: u64) -> Duration {
        Duration::from_millis(places.saturating_mul(1_000) / RATE).clamp(OFTEN, SELDOM)
    }

    async fn ask(&mut self, shared: &Arc<Shared>) {
        match self.places {
            None => {
                let answer = ask::<u64>(shared, "SELECT @@GLOBAL.max_connections").await;
                self.places = answer;
                self.interval = answer.map_or(SELDOM, |places| (Self::longest(places) / 5).max(OFTEN));
            }
            Some(places) => {
                let answer = ask::<(String, u64)>(shared, "SHOW GLOBAL STATUS LIKE 'Threads_connected'").await;
                // a place that is given back is soon taken, and sometimes none is free
                if answer.is_some_and(|(_, taken)| taken.saturating_mul(20) >= places.saturating_mul(19)) {
                    shared.note_crowd();
                }
                self.interval = self.interval.saturating_mul(2).min(Self::longest(places));
            }
        }
        self.wait();
    }
}

/// `None` if no connection idles, or if the answer is of no use.
async fn ask<T: FromRow + Send + 'static>(shared: &Arc<Shared>, question: &str) -> Option<T> {
    let mut lease = shared.take_idle()?;
    lease.sending();
    let answer = timeout(ANSWER, lease.conn().query_first::<mysql_async::Row, _>(question)).await.ok()?;
    lease.answered();
    let is_usable = matches!(answer, Ok(_) | Err(mysql_async::Error::Server(_)));
    lease.end(if is_usable { End::Unused } else { End::Broken });
    mysql_async::from_row_opt(answer.ok()??).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(looks: &[usize], is_crowded: bool) -> Looks {
        let mut all = Looks::default();
        for in_use in looks {
            all.note(*in_use, is_crowded);
        }
        all
    }

    #[test]
    fn one_more_is_kept_than_were_in_use_and_the_minimum() {
        assert_eq!(after(&[0, 3, 1], false).conclude(7, 0), 4);
        assert_eq!(after(&[0, 3, 1], false).conclude(7, 5), 5);
        assert_eq!(after(&[0, 0], false).conclude(7, 0), 1, "there were calls between the looks");
        assert_eq!(after(&[0, 0], false).conclude(0, 0), 0);
        assert_eq!(after(&[0, 0], false).conclude(0, 5), 5);
    }

    #[test]
    fn at_a_full_server_what_is_in_use_in_the_mean_and_a_quarter_is_kept_whatever_the_minimum() {
        assert_eq!(after(&[0, 5, 1, 2], true).conclude(7, 5), 3);
        assert_eq!(after(&[2, 2], true).conclude(7, 5), 3);
        assert_eq!(after(&[0, 1], true).conclude(7, 5), 1);
        assert_eq!(after(&[0, 0], true).conclude(7, 5), 1);
    }

    #[test]
    fn the_last_one_is_kept_until_no_call_has_come_for_some_time() {
        let mut looks = after(&[0], true);
        for _ in 1..QUIET {
            assert_eq!(looks.conclude(0, 5), 1);
            looks.note(0, true);
        }
        assert_eq!(looks.conclude(0, 5), 0);
        looks.note(0, true);
        assert_eq!(looks.conclude(1, 5), 1, "a call has come");
    }

    #[test]
    fn what_was_seen_before_the_server_was_full_does_not_count() {
        let mut looks = after(&[9, 9], false);
        looks.note(1, true);
        assert_eq!((looks.count, looks.conclude(7, 0)), (1, 2));
    }

    #[test]
    fn the_more_places_a_server_has_the_more_seldom_it_is_asked() {
        let longest = [10, 150, 500, 10_000, 1_000_000].map(|places| Asking::longest(places).as_secs());
        assert_eq!(longest, [1, 3, 10, 200, 300]);
    }
}
