//! The probe task: asks whether a server is back, while the calls wait for the result.
//!
//! It probes in rounds. In a round each target is asked, and the first in order that can be used is taken. The wait for the
//! next round is a share of the time that the outage has lasted (see [`longest_pause`]), with jitter: the executors of a fleet
//! lose their server at the same moment.
//!
//! A probe that is not answered is kept for as long as the connect time-out allows, because the server may be slow. A new one
//! is sent beside it nevertheless, because a probe that was sent into a dead path is not answered when the path is back: in
//! each round where the path may be dead, and after [`SLOW`] where the server has answered something before, which would have
//! to answer one more. So at most two probes to a target are under way, an old one and a new one.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use mysql_async::{Conn, Error};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{sleep_until, timeout_at},
};

use super::keeper::Turn;
use crate::{
    error::Cause,
    outage::{Answer, Plan, Question, Trouble, ask_on},
    pool::{Lease, Shared},
    random,
    verdict::Unavailable,
};

/// Probes until a target can be used, or no call waits for it any more.
pub(in crate::pool) async fn probe(shared: Weak<Shared>) {
    let mut turn = Turn::new(&shared, |shared| &shared.probing, |shared| shared.outage.note_failed_probe());
    let Some(mut prober) = shared.upgrade().map(|shared| Prober::new(&shared)) else {
        return;
    };
    if let Some(pause) = prober.first_pause(&shared) {
        tokio::time::sleep(pause).await;
    }
    loop {
        // not held while it waits, so that the last handle of the executor can be dropped
        let pause = match shared.upgrade() {
            Some(shared) => match shared.outage.plan() {
                Plan::Probe(trouble) => prober.begin_round(&shared, trouble),
                Plan::Rest if turn.ends(&shared, || shared.outage.plan() != Plan::Rest) => return,
                Plan::Rest => continue,
            },
            None => return,
        };
        let until = Instant::now() + pause;
        let found = prober.listen(until).await;
        let is_news = match shared.upgrade() {
            Some(shared) => prober.conclude(&shared, found),
            None => return,
        };
        // an answer from before this round does not cut it short
        if !is_news {
            sleep_until(until.into()).await;
        }
    }
}

/// The result of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// This target can be used; only for reads if `read_only`.
    Target {
        index: usize,
        read_only: bool,
    },
}

struct Prober {
    accept_read_only: bool,
    current: usize,
    /// The error of a login that the user's classification calls a loss: it is tried again.
    patient_with: Option<Error>,
    asking: JoinSet<Reply>,
    /// Connections that probes have made in the pools.
    open: Vec<Open>,
    targets: Vec<Asked>,
    probes: u64,
}

/// The result of a probe.
struct Reply {
    index: usize,
    answer: Answer,
    conn: Option<Conn>,
    took: Duration,
}

/// A connection to the target of this index, and how long it took to open it.
struct Open {
    index: usize,
    conn: Conn,
    took: Duration,
}

/// What is known of one target.
#[derive(Default)]
struct Asked {
    under_way: VecDeque<(AbortHandle, Instant)>,
    /// It was asked in this round, and has not answered.
    is_awaited: bool,
    /// It refuses the login, and is not asked again.
    objects: bool,
    said: Option<(Unavailable, Error)>,
    address: String,
}

/// The shortest of the longest waits between two rounds, where a probe costs the server nothing, and where it does.
const FIRST: Duration = Duration::from_millis(20);
const FIRST_OF_A_SERVER: Duration = Duration::from_millis(50);
/// The random share of each wait.
const JITTER: f64 = 0.5;
const JITTER_WHERE_FULL: f64 = 0.75;
/// A server that answers is given this long before it is asked anew.
const SLOW: Duration = Duration::from_secs(2);
/// An outage that begins this soon after the last one continues it.
const FLAPPING: Duration = Duration::from_secs(1);

/// The longest wait for the next round: at most the probe interval. Where the server is full it grows to 16 of them, half as fast for
/// an executor that has no connection at all.
///
/// A refusal costs the server nothing. Anything else is a connection that it has to serve. Where it is full, each probe takes
/// a place from somebody who has one to lose.
fn longest_pause(trouble: Trouble, interval: Duration, has_open: bool) -> Duration {
    let share = |share, least: Duration| trouble.lasted.mul_f64(share).clamp(least.min(interval), interval);
    match trouble.why {
        Unavailable::Full => {
            (trouble.lasted / if has_open { 4 } else { 8 }).clamp(interval, interval.saturating_mul(16))
        }
        Unavailable::Unreachable if trouble.is_refused => share(0.02, FIRST),
        Unavailable::Unreachable | Unavailable::Silent | Unavailable::NotReady | Unavailable::ReadOnly => {
            share(0.1, FIRST_OF_A_SERVER)
        }
    }
}

fn pause(shared: &Shared, trouble: Trouble) -> Duration {
    let jitter = if trouble.why == Unavailable::Full { JITTER_WHERE_FULL } else { JITTER };
    let has_open = shared.targets[shared.outage.current()].open() > 0;
    longest_pause(trouble, shared.outage.tuning.probe_interval, has_open).mul_f64(1.0 - jitter * random::share())
}

impl Prober {
    fn new(shared: &Shared) -> Self {
        let tuning = shared.outage.tuning;
        Prober {
            accept_read_only: tuning.accept_read_only,
            current: shared.outage.current(),
            patient_with: None,
            asking: JoinSet::new(),
            open: Vec::new(),
            targets: shared
                .targets
                .iter()
                .map(|target| Asked { address: target.address.clone(), ..Asked::default() })
                .collect(),
            probes: 0,
        }
    }

    /// The first round does not wait for what the calls have just found out by themselves, but for those of other executors.
    /// It waits longer if an outage has just ended, if the last probe task has panicked, and if the server was full before.
    fn first_pause(&self, shared: &Weak<Shared>) -> Option<Duration> {
        let shared = shared.upgrade()?;
        let outage = &shared.outage;
        let Plan::Probe(trouble) = outage.plan() else { return None };
        if trouble.why == Unavailable::Full {
            let since = outage.since_round().unwrap_or_default();
            return Some(pause(&shared, trouble).saturating_sub(since));
        }
        let again = outage.take_failed() || outage.since_last().is_some_and(|since| since < FLAPPING);
        let interval = outage.tuning.probe_interval;
        let longest = if again { interval } else { FIRST.min(interval) };
        Some(longest.mul_f64(random::share()))
    }

    /// Asks the targets, and returns the duration of the round.
    fn begin_round(&mut self, shared: &Shared, trouble: Trouble) -> Duration {
        shared.outage.note_round();
        self.current = shared.outage.current();
        let alone = self.targets.len() == 1;
        self.patient_with = shared.outage.patient_with(!alone);
        let question = match trouble.why {
            // the server has not changed
            Unavailable::Unreachable | Unavailable::Silent | Unavailable::Full if alone => Question::Login,
            Unavailable::Unreachable
            | Unavailable::Silent
            | Unavailable::Full
            | Unavailable::NotReady
            | Unavailable::ReadOnly => shared.outage.tuning.question(),
        };
        for (index, (asked, target)) in self.targets.iter_mut().zip(&*shared.targets).enumerate() {
            if asked.objects {
                continue;
            }
            asked.under_way.retain(|(probe, _)| !probe.is_finished());
            let is_slow = |(_, since): &(AbortHandle, Instant)| since.elapsed() >= SLOW;
            if trouble.why != Unavailable::Silent && asked.under_way.back().is_some_and(|fresh| !is_slow(fresh)) {
                continue;
            }
            if asked.under_way.len() > 1
                && let Some((fresh, _)) = asked.under_way.pop_back()
            {
                fresh.abort();
            }
            self.probes += 1;
            shared.tell_probing(index, self.probes);
            let since = Instant::now();
            let asking = ask_on(target.probing(), question, shared.reset_timeout);
            let probe = self.asking.spawn(async move {
                let (answer, conn) = asking.await;
                Reply { index, answer, conn, took: since.elapsed() }
            });
            asked.under_way.push_back((probe, since));
            asked.is_awaited = true;
        }
        pause(shared, trouble)
    }

    /// Waits for the answers of the targets until one can be used, or the round is over.
    async fn listen(&mut self, until: Instant) -> Found {
        let mut found = Found::Nothing;
        loop {
            match timeout_at(until.into(), self.asking.join_next()).await {
                Err(_) => return found,
                Ok(Some(Ok(Reply { index, answer, conn, took }))) => {
                    self.open.extend(conn.map(|conn| Open { index, conn, took }));
                    found = self.weigh(found, index, answer);
                }
                // given up for a fresh one
                Ok(Some(Err(_))) => {}
                Ok(None) => return found,
            }
            if let Found::Target { index, read_only } = found
                && (self.targets.len() == 1 || (!read_only && !self.targets[..index].iter().any(|it| it.is_awaited)))
            {
                return found;
            }
        }
    }

    /// The answer of a server that refuses the login, after the user's classification.
    fn by_the_user(&self, verdict: Answer) -> Answer {
        match (verdict, &self.patient_with) {
            (Answer::Objects(error), Some(expected)) if is_the_same(&error, expected) => {
                Answer::Unable(Unavailable::NotReady, error)
            }
            (verdict, _) => verdict,
        }
    }

    /// The better of the result so far and this answer.
    fn weigh(&mut self, found: Found, index: usize, verdict: Answer) -> Found {
        let alone = self.targets.len() == 1;
        let verdict = self.by_the_user(verdict);
        let asked = &mut self.targets[index];
        asked.is_awaited = false;
        let now = match verdict {
            Answer::Able => Found::Target { index, read_only: false },
            Answer::ReadOnly if self.accept_read_only => Found::Target { index, read_only: false },
            // reads stay at their target: another one may lag behind what they have seen
            Answer::ReadOnly if alone || index == self.current => Found::Target { index, read_only: true },
            Answer::ReadOnly => {
                let why = Unavailable::ReadOnly;
                asked.said = Some((why, io::Error::other(why.to_string()).into()));
                Found::Nothing
            }
            // the statements will get the error from the server itself
            Answer::Objects(_) if alone => Found::Target { index, read_only: false },
            Answer::Objects(error) => {
                (asked.objects, asked.said) = (true, Some((Unavailable::NotReady, error)));
                match self.targets.iter().all(|asked| asked.objects) {
                    true => Found::Target { index: self.current, read_only: false },
                    false => Found::Nothing,
                }
            }
            Answer::Unable(why, error) => {
                asked.said = Some((why, error));
                Found::Nothing
            }
        };
        match (found, now) {
            (Found::Nothing, now) => now,
            (found, Found::Nothing) => found,
            (Found::Target { index: i, read_only: r }, Found::Target { index: j, read_only: s }) => {
                if (s, j) < (r, i) {
                    now
                } else {
                    found
                }
            }
        }
    }

    /// Notes the result for all calls: `true` if anything has changed.
    fn conclude(&mut self, shared: &Arc<Shared>, found: Found) -> bool {
        let mut took = None;
        for open in self.open.drain(..) {
            let lease = Lease::new(open.conn, shared, open.index);
            // those that were made beside the pool are closed, and those to other targets
            if matches!(found, Found::Target { index, .. } if index == open.index) && lease.is_pristine() {
                lease.give_to_next();
                took = Some(open.took);
            }
        }
        if let Found::Target { index, read_only } = found {
            if read_only && self.targets.len() > 1 {
                shared.outage.note_read_only();
            }
            if shared.back(index, read_only, took) {
                return true;
            }
        }
        let said = self.said();
        if matches!(said, Some((Unavailable::Full, _))) {
            shared.note_crowd();
        }
        shared.outage.confirm(said);
        false
    }

    /// The last answers of all targets, for messages.
    fn said(&mut self) -> Option<(Unavailable, Error)> {
        if let [only] = &mut self.targets[..] {
            return only.said.take();
        }
        let mut words = Vec::new();
        for asked in &self.targets {
            words.push(match &asked.said {
                Some((_, error)) => format!("{}: {}", asked.address, Cause(Some(error))),
                None => format!("{}: {}", asked.address, Unavailable::Silent),
            });
        }
        let why = self.targets[self.current].said.as_ref().map_or(Unavailable::Silent, |(why, _)| *why);
        Some((why, io::Error::other(format!("none of the targets can be used: {}", words.join("; "))).into()))
    }
}

fn is_the_same(error: &Error, other: &Error) -> bool {
    match (error, other) {
        (Error::Server(error), Error::Server(other)) => error.code == other.code,
        (Error::Io(_) | Error::Driver(_) | Error::Other(_) | Error::Url(_), Error::Io(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prober(targets: usize, current: usize, accept_read_only: bool) -> Prober {
        let asked = |number| Asked { address: format!("db{number}"), is_awaited: true, ..Asked::default() };
        Prober {
            accept_read_only,
            current,
            patient_with: None,
            asking: JoinSet::new(),
            open: Vec::new(),
            targets: (0..targets).map(asked).collect(),
            probes: 0,
        }
    }

    fn refused() -> Answer {
        Answer::Unable(Unavailable::Unreachable, io::Error::from(io::ErrorKind::ConnectionRefused).into())
    }

    fn wrong_password() -> Answer {
        Answer::Objects(io::Error::other("access denied").into())
    }

    fn weigh(prober: &mut Prober, verdicts: Vec<(usize, Answer)>) -> Found {
        verdicts.into_iter().fold(Found::Nothing, |found, (index, verdict)| prober.weigh(found, index, verdict))
    }

    fn target(index: usize) -> Found {
        Found::Target { index, read_only: false }
    }

    fn for_reads(index: usize) -> Found {
        Found::Target { index, read_only: true }
    }

    #[test]
    fn the_wait_grows_with_the_outage_and_where_a_probe_costs_something() {
        let interval = Duration::from_millis(250);
        let longest = |why, is_refused, lasted| {
            let trouble = Trouble { why, lasted: Duration::from_millis(lasted), is_refused };
            [false, true].map(|has_open| longest_pause(trouble, interval, has_open).as_millis())
        };
        let refused = [0, 1_000, 5_000, 60_000].map(|lasted| longest(Unavailable::Unreachable, true, lasted));
        assert_eq!(refused, [[20; 2], [20; 2], [100; 2], [250; 2]]);
        for why in [Unavailable::Unreachable, Unavailable::Silent, Unavailable::NotReady, Unavailable::ReadOnly] {
            let waits = [0, 1_000, 60_000].map(|lasted| longest(why, false, lasted));
            assert_eq!(waits, [[50; 2], [100; 2], [250; 2]], "{why:?}");
        }
        let full = [0, 1_000, 8_000, 60_000].map(|lasted| longest(Unavailable::Full, false, lasted));
        assert_eq!(full, [[250, 250], [250, 250], [1_000, 2_000], [4_000, 4_000]]);
        let short = Duration::from_millis(5);
        let trouble = Trouble { why: Unavailable::Silent, lasted: Duration::ZERO, is_refused: false };
        assert_eq!(longest_pause(trouble, short, true), short);
    }

    #[test]
    fn the_only_server_is_taken_as_it_is() {
        assert_eq!(weigh(&mut prober(1, 0, false), vec![(0, Answer::Able)]), target(0));
        assert_eq!(weigh(&mut prober(1, 0, false), vec![(0, Answer::ReadOnly)]), for_reads(0));
        assert_eq!(weigh(&mut prober(1, 0, true), vec![(0, Answer::ReadOnly)]), target(0));
        assert_eq!(weigh(&mut prober(1, 0, false), vec![(0, refused())]), Found::Nothing);
        // the statements will be told so
        assert_eq!(weigh(&mut prober(1, 0, false), vec![(0, wrong_password())]), target(0));
    }

    #[test]
    fn the_first_of_those_that_are_able_is_taken() {
        let both = || vec![(1, Answer::Able), (0, Answer::Able)];
        assert_eq!(weigh(&mut prober(3, 0, false), both()), target(0));
        assert_eq!(weigh(&mut prober(3, 2, false), both()), target(0));
        assert_eq!(weigh(&mut prober(3, 0, false), vec![(0, refused()), (2, Answer::Able)]), target(2));
    }

    #[test]
    fn of_several_a_read_only_one_is_taken_only_if_it_was_in_use_and_no_other_takes_writes() {
        assert_eq!(weigh(&mut prober(2, 0, false), vec![(0, refused()), (1, Answer::ReadOnly)]), Found::Nothing);
        assert_eq!(weigh(&mut prober(2, 1, false), vec![(0, refused()), (1, Answer::ReadOnly)]), for_reads(1));
        assert_eq!(weigh(&mut prober(2, 0, false), vec![(0, Answer::ReadOnly), (1, Answer::Able)]), target(1));
        assert_eq!(weigh(&mut prober(2, 0, true), vec![(0, refused()), (1, Answer::ReadOnly)]), target(1));
    }

    #[test]
    fn a_server_that_lets_nobody_in_is_passed_over_and_not_asked_again() {
        let mut three = prober(3, 0, false);
        assert_eq!(weigh(&mut three, vec![(0, refused()), (1, wrong_password()), (2, refused())]), Found::Nothing);
        assert!(three.targets[1].objects && !three.targets[0].objects);
        let mut two = prober(2, 0, false);
        assert_eq!(weigh(&mut two, vec![(0, wrong_password()), (1, wrong_password())]), target(0), "to be told so");
    }

    #[test]
    fn the_error_of_several_names_each() {
        let mut two = prober(2, 0, false);
        weigh(&mut two, vec![(1, wrong_password())]);
        let (why, error) = two.said().expect("something");
        assert_eq!(why, Unavailable::Silent);
        let text = error.to_string();
        assert!(text.contains("db0: it does not answer") && text.contains("db1: access denied"), "{text}");
    }
}
