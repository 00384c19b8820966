//! The watch: asks the server about attempts that have received nothing for a long time.
//!
//! A statement that takes an hour and a statement whose server has vanished look the same to the client. Cutting both after
//! some time would end the report, waiting for both would never end. So the server is asked over another connection whether it
//! still has the session, and whether that is executing. Only if not, the attempt is given up.
//!
//! A quick statement only notes that it waits: no timer is set for it. One task reads the notes at intervals, while there are
//! any.

use std::{
    borrow::Cow,
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
    outage::{out_of_touch, out_of_touch_for},
    pool::{Backend, Doing, Finding, GivenUp, Record, Shared, doing},
};

/// The settings of the watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// The server is asked about an attempt that has received nothing for this long; `None` never.
    pub(crate) watch_after: Option<Duration>,
    /// It is given up when its server has not answered for this long.
    pub(crate) give_up_after: Duration,
}

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) tuning: Tuning,
    keeper: Keeper,
}

/// How often the notes are read within `watch_after`. So an attempt may be watched up to an eighth of that time late.
const LOOKS: u32 = 8;
/// The pause between two questions to a server that does not answer.
const PAUSE: Duration = Duration::from_millis(250);

impl Watch {
    pub(crate) fn new(tuning: Tuning) -> Self {
        Watch { tuning, keeper: Keeper::default() }
    }
}

/// A request of at most this many bytes has been sent long before its attempt is watched.
pub(crate) const BRIEF: usize = 64 * 1024;

/// Waits for an answer, for as long as the server can still give one.
///
/// An idle session will not answer: it has answered what it has received, and a request that was lost does not arrive any
/// more. But a long request or reply may still be on its way. So an idle session counts only while `is_unheard`, where nothing
/// can be on its way.
///
/// A node that has lost the majority of its group commits nothing, so that only what `reads` can end there.
///
/// The note stays until the connection is returned, or until [`Lease::unpark`].
///
/// [`Lease::unpark`]: crate::pool::Lease::unpark
pub(crate) async fn watched<T>(
    shared: &Arc<Shared>,
    record: &Record,
    reads: bool,
    is_unheard: impl Fn() -> bool,
    answer: impl Future<Output = mysql_async::Result<T>>,
) -> mysql_async::Result<T> {
    let mut answer = pin!(answer);
    std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(answer),
        Poll::Pending => wait(shared, record, reads, &is_unheard, cx).map(Err),
    })
    .await
}

fn wait(
    shared: &Arc<Shared>,
    record: &Record,
    reads: bool,
    is_unheard: impl Fn() -> bool,
    cx: &mut Context<'_>,
) -> Poll<mysql_async::Error> {
    if shared.watch.tuning.watch_after.is_none() {
        return Poll::Pending;
    }
    match record.park(cx.waker()) {
        Some(GivenUp::Lost(kind, why)) => return Poll::Ready(own(kind, &*why)),
        Some(GivenUp::Idle(why)) if is_unheard() => return Poll::Ready(timed_out(why.to_string())),
        Some(GivenUp::CannotCommit(why)) if !reads => return Poll::Ready(timed_out(why.to_string())),
        Some(GivenUp::Idle(_) | GivenUp::CannotCommit(_)) | None => {}
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

/// Reads the notes while there are any.
async fn look_after(shared: Weak<Shared>, after: Duration) {
    let mut turn = Turn::new(&shared, |shared| &shared.watch.keeper, |_| {});
    loop {
        sleep(after / LOOKS).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut any = false;
        for target in 0..shared.targets.len() {
            let (waiting, silent) = shared.targets[target].records.silent(Instant::now(), after);
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
    shared.targets.iter().any(|target| target.records.silent(now, Duration::MAX).0)
}

/// A connection that has been silent since then.
pub(crate) struct Silent {
    pub(crate) record: Arc<Record>,
    pub(crate) since: Instant,
    pub(crate) session: Option<Backend>,
}

/// Asks a target about silent attempts of its own, until it answers or has not done so for too long.
async fn look(shared: &Arc<Shared>, target: usize, silent: Vec<Silent>) {
    let began = Instant::now();
    let patience = shared.watch.tuning.give_up_after;
    let heard = loop {
        let left = patience.saturating_sub(began.elapsed());
        let error = match timeout(left, ask(shared, target, &silent)).await {
            Ok(Ok(heard)) => break Ok(heard),
            Ok(Err(error)) if unavailable_at_connect(&error, false).is_some_and(|why| !why.is_there()) => error,
            // it is up, and cannot be asked
            Ok(Err(_)) => break Ok(Heard { doing: vec![None; silent.len()], out_of_touch: None }),
            Err(_) => timed_out(format!("no answer to another connection within {patience:.3?}")),
        };
        if began.elapsed() >= patience {
            break Err(error);
        }
        sleep(PAUSE.min(patience)).await;
    };
    let findings = match &heard {
        Ok(Heard { doing, out_of_touch }) => {
            let why = out_of_touch.map(out_of_touch_for);
            let holds = || doing.contains(&Some(Doing::Held)).then_some(Cow::Borrowed(HOLDS));
            if let Some(why) = why.clone().or_else(holds) {
                // before the calls are woken, so that they wait instead of trying
                shared.note_unready(target, &own(io::ErrorKind::Other, why), began);
            }
            doing.iter().map(|doing| finding(*doing, why.as_deref())).collect()
        }
        Err(mute) => {
            let why = format!("the server has not answered for {patience:.3?}: {mute}");
            vec![Finding::Lost(io::ErrorKind::TimedOut, why.into()); silent.len()]
        }
    };
    for (silent, finding) in silent.iter().zip(findings) {
        silent.record.judge(silent.since, finding, patience);
    }
    if let Err(mute) = heard {
        shared.note_silence(target, &mute, began);
    }
}

/// What a server has said.
struct Heard {
    /// What each session does; `None` if the server does not show it.
    doing: Vec<Option<Doing>>,
    /// How long it has been out of touch with the majority of its group, if it is.
    out_of_touch: Option<Duration>,
}

/// The server keeps transactions from beginning. That is not executing, and may last as long as its backlog.
const HOLDS: &str = "it holds new transactions until it has applied what its group has committed";

fn finding(doing: Option<Doing>, out_of_touch: Option<&str>) -> Finding {
    match (doing, out_of_touch) {
        (Some(Doing::Gone), _) => {
            Finding::Lost(io::ErrorKind::ConnectionAborted, "the server has lost the session".into())
        }
        (Some(Doing::Nothing { since }), _) => Finding::Idles(since),
        (Some(Doing::Held), why) => Finding::Lost(io::ErrorKind::TimedOut, why.unwrap_or(HOLDS).into()),
        (Some(Doing::Something), Some(why)) => Finding::CannotCommit(why.into()),
        (Some(Doing::Something) | None, _) => Finding::Works,
    }
}

/// What each session does, and whether the server could end what they do.
async fn ask(shared: &Shared, target: usize, silent: &[Silent]) -> mysql_async::Result<Heard> {
    let sessions: Vec<_> = silent.iter().map(|silent| silent.session.clone()).collect();
    let mut conn = Conn::new(shared.targets[target].opts.clone()).await?;
    let doing = doing(&sessions, &mut conn).await?;
    let works = |doing: &Option<Doing>| matches!(doing, Some(Doing::Something | Doing::Held));
    let out_of_touch = if doing.iter().any(works) { out_of_touch(&mut conn).await? } else { None };
    Ok(Heard { doing, out_of_touch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_works_on_a_server_out_of_touch_will_not_commit() {
        let since = Duration::from_secs(1);
        for out_of_touch in [None, Some("why")] {
            assert!(matches!(finding(Some(Doing::Gone), out_of_touch), Finding::Lost(..)));
            assert!(matches!(finding(Some(Doing::Nothing { since }), out_of_touch), Finding::Idles(_)));
            // nothing is known of the session
            assert!(matches!(finding(None, out_of_touch), Finding::Works));
        }
        assert!(matches!(finding(Some(Doing::Something), None), Finding::Works));
        assert!(matches!(finding(Some(Doing::Held), None), Finding::Lost(..)));
        assert!(matches!(finding(Some(Doing::Something), Some("why")), Finding::CannotCommit(_)));
        assert!(matches!(finding(Some(Doing::Held), Some("why")), Finding::Lost(..)));
    }
}
