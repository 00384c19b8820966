//! Looks after attempts that have heard nothing for a long time.
//!
//! A statement that takes an hour and one whose server has vanished look the same from here: silence. Cutting both after a
//! while would kill the report, waiting for both would hang for ever. So a silent attempt is looked at from the side, from
//! another connection: is the server there, does it still have the session, and is that at work? Only if not is it given up.
//!
//! It costs a quick statement nothing but a note of who waits: no timer is set up for it. One task looks at the notes of
//! all from time to time, while there are any.

use std::{
    future::Future,
    io,
    pin::pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use mysql_async::Conn;
use tokio::time::{sleep, timeout};

use super::keeper::{Keeper, Turn};
use crate::{
    conditions::unavailable_at_connect,
    driver::{own, timed_out},
    pool::{Backend, Doing, Finding, GivenUp, Place, Shared, doing},
};

/// What is asked of the watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// An attempt that has heard nothing for so long is looked at; `None` never.
    pub(crate) watch_after: Option<Duration>,
    /// It is given up when its server has not answered for so long.
    pub(crate) give_up_after: Duration,
}

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) tuning: Tuning,
    keeper: Keeper,
}

/// The notes are looked at so often in the time after which an attempt is watched: it may be watched an eighth later.
const LOOKS: u32 = 8;
/// The pause between two questions to a server that does not answer.
const PAUSE: Duration = Duration::from_millis(250);

impl Watch {
    pub(crate) fn new(tuning: Tuning) -> Self {
        Watch { tuning, keeper: Keeper::default() }
    }
}

/// A request of so many bytes has left for the server long before its attempt is watched.
pub(crate) const BRIEF: usize = 64 * 1024;

/// Waits for an answer, and no longer than there is somebody who can give it.
///
/// A session that idles does not answer a request that it has received, and will not receive one that got lost. But what
/// is long takes its time on the way: so this counts only while `is_unheard`, where nothing can be on its way any more.
///
/// The note of who waits is left behind: it goes when the connection is given back, or with [`Lease::unpark`].
///
/// [`Lease::unpark`]: crate::pool::Lease::unpark
pub(crate) async fn watched<T>(
    shared: &Arc<Shared>,
    place: Place,
    is_unheard: impl Fn() -> bool,
    answer: impl Future<Output = mysql_async::Result<T>>,
) -> mysql_async::Result<T> {
    let mut answer = pin!(answer);
    std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(answer),
        Poll::Pending => wait(shared, place, &is_unheard, cx).map(Err),
    })
    .await
}

fn wait(
    shared: &Arc<Shared>,
    place: Place,
    is_unheard: impl Fn() -> bool,
    cx: &mut Context<'_>,
) -> Poll<mysql_async::Error> {
    if shared.watch.tuning.watch_after.is_none() {
        return Poll::Pending;
    }
    match shared.records(place).park(place, cx.waker()) {
        Some(GivenUp::Lost(kind, why)) => return Poll::Ready(own(kind, &*why)),
        Some(GivenUp::Idle(why)) if is_unheard() => return Poll::Ready(timed_out(why.to_string())),
        Some(GivenUp::Idle(_)) | None => {}
    }
    begin_to_look(shared);
    Poll::Pending
}

fn begin_to_look(shared: &Arc<Shared>) {
    let Some(after) = shared.watch.tuning.watch_after else { return };
    if shared.watch.keeper.begins()
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        runtime.spawn(look_after(Arc::downgrade(shared), after));
    }
}

/// Looks at the notes while there are any.
async fn look_after(shared: Weak<Shared>, after: Duration) {
    let mut turn = Turn::new(&shared, |shared| &shared.watch.keeper, |_| {});
    loop {
        sleep(after / LOOKS).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut any = false;
        for target in 0..shared.targets.len() {
            let (waiting, silent) = shared.targets[target].records.silent(target, Instant::now(), after);
            any |= waiting;
            if !silent.is_empty() {
                look(&shared, target, silent).await;
            }
        }
        if !any && turn.ends(&shared, || is_anybody_waiting(&shared)) {
            return;
        }
    }
}

fn is_anybody_waiting(shared: &Shared) -> bool {
    let now = Instant::now();
    shared.targets.iter().enumerate().any(|(index, target)| target.records.silent(index, now, Duration::MAX).0)
}

/// A connection that has been silent since then.
pub(crate) struct Silent {
    pub(crate) place: Place,
    pub(crate) since: Instant,
    pub(crate) session: Option<Backend>,
}

/// Asks a target about silent attempts of its own, until it answers or has not done so for too long.
async fn look(shared: &Arc<Shared>, target: usize, silent: Vec<Silent>) {
    let began = Instant::now();
    let records = &shared.targets[target].records;
    let patience = shared.watch.tuning.give_up_after;
    let heard = loop {
        let left = patience.saturating_sub(began.elapsed());
        let error = match timeout(left, ask(shared, target, &silent)).await {
            Ok(Ok(doing)) => break Ok(doing),
            Ok(Err(error)) if unavailable_at_connect(&error, false).is_some_and(|why| !why.is_there()) => error,
            // it is there, and will not be asked
            Ok(Err(_)) => break Ok(vec![None; silent.len()]),
            Err(_) => timed_out(format!("no answer to another connection within {patience:.3?}")),
        };
        if began.elapsed() >= patience {
            break Err(error);
        }
        sleep(PAUSE.min(patience)).await;
    };
    let findings = match &heard {
        Ok(doing) => doing.iter().copied().map(finding).collect(),
        Err(mute) => {
            let why = format!("the server has not answered for {patience:.3?}: {mute}");
            vec![Finding::Lost(io::ErrorKind::TimedOut, why.into()); silent.len()]
        }
    };
    for (silent, finding) in silent.iter().zip(findings) {
        records.judge(silent.place, silent.since, finding, patience);
    }
    if let Err(mute) = heard {
        shared.note_silence(target, &mute, began);
    }
}

fn finding(doing: Option<Doing>) -> Finding {
    match doing {
        Some(Doing::Gone) => Finding::Lost(io::ErrorKind::ConnectionAborted, "the server has lost the session".into()),
        Some(Doing::Nothing { since }) => Finding::Idles(since),
        Some(Doing::Something) | None => Finding::Works,
    }
}

/// What each session does; `None` if the server does not tell.
async fn ask(shared: &Shared, target: usize, silent: &[Silent]) -> mysql_async::Result<Vec<Option<Doing>>> {
    let sessions: Vec<_> = silent.iter().map(|silent| silent.session.clone()).collect();
    let mut conn = Conn::new(shared.targets[target].opts.clone()).await?;
    doing(&sessions, &mut conn).await
}
