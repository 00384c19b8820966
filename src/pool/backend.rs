//! Which session of which server a connection is, and how to be sure that one has ended.
//!
//! A connection that the client has lost may live on at the server: a statement that waits for a row lock stays until it gets
//! it, and then commits (seen on MariaDB and MySQL). The id of a session does not identify it: ids start again when a
//! server restarts, and two servers behind one address use the same ids. So each session takes a user-level lock with a
//! unique name. The holder of a lock is visible without any privilege, on that server only. The server releases the lock when
//! the session has ended, after its statement was rolled back or committed.
//!
//! The mark and the questions prove something only if the session that answers is the one that the statements go to. A
//! router that sends by statement breaks that. So the mark is taken in one text with the question for CONNECTION_ID(), which
//! has to be the id in the greeting. Before a session is ended, or counts as gone, a lock is taken or released by a command
//! and read by a question. Two cases are not noticed: a router that sends only certain tables elsewhere, and locks that are
//! released by a trigger or in a view, which no text shows.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mysql_async::{Conn, Opts, Row, prelude::Queryable};

use super::{Limits, bounded};
use crate::{conditions::answers::is_missing_session, outage::out_of_touch, random::random};

/// The name of the lock that marks one session. Unique among all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Mark(NEXT.fetch_add(1, Relaxed))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static PROCESS: OnceLock<(u64, u64)> = OnceLock::new();
        let (high, low) = PROCESS.get_or_init(|| (random(), random()));
        // 61 characters at most; a name may have 64
        write!(f, "mysql_retry:{high:016x}{low:016x}:{:x}", self.0)
    }
}

/// A session as it can be found again.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    mark: Mark,
    /// The connection's id, which is not proof of anything: ids start again with the server.
    id: u64,
    /// Identifies the server, whatever address it is behind.
    server: Arc<str>,
    /// The target that it was reached at.
    target: usize,
    /// It may have released the lock: a free lock proves nothing.
    pub(super) doubtful: bool,
}

/// What became of an old session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has ended: its statement was committed or rolled back, and has no further effect.
    Gone,
    /// It was on another server than the one that could be asked.
    OtherServer,
    /// It was never marked, and cannot be found.
    Unmarked,
    /// It is still there, and may not be killed.
    NotAllowed,
    /// It is still there: its end was not waited for, or did not come in time.
    StillThere,
    /// Its server cannot be reached.
    Unreachable,
    /// It was killed, and does not end: its server has lost the majority of its group.
    NoMajority,
}

/// What a session does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It has ended.
    Gone,
    /// It waits for a command, and no command has begun for this time, in whole seconds that the server rounds up or down.
    Nothing { since: Duration },
    /// It is executing, as far as can be seen.
    Something,
    /// A node of a group keeps it from beginning.
    Held,
}

/// An expression that identifies the server.
pub(super) const SERVER: &str = "CONCAT_WS('/', @@hostname, @@port, @@server_id, @@datadir)";

/// What sessions do, asked over a connection to the server that answers at their target. `None` for a session that was never
/// marked, that is on another server, or whose server does not show it.
pub(crate) async fn doing(sessions: &[Option<Backend>], from: &mut Conn) -> mysql_async::Result<Vec<Option<Doing>>> {
    let mut all = Vec::with_capacity(sessions.len());
    for some in sessions.chunks(AT_ONCE) {
        all.extend(doing_of_some(some, from).await?);
    }
    Ok(all)
}

/// How many sessions one question asks about.
const AT_ONCE: usize = 100;

async fn doing_of_some(sessions: &[Option<Backend>], from: &mut Conn) -> mysql_async::Result<Vec<Option<Doing>>> {
    let nothing = vec![None; sessions.len()];
    let mut locks = String::new();
    for session in sessions {
        match session {
            Some(session) => write!(locks, ", IS_USED_LOCK('{}')", session.mark),
            None => write!(locks, ", NULL"),
        }
        .expect("a string takes everything");
    }
    let mut asking = Asking::from_outside();
    let Some(Answer { server, row }) = asking.ask(from, &locks).await? else { return Ok(nothing) };
    let mut asked = Vec::with_capacity(sessions.len());
    for (index, session) in sessions.iter().enumerate() {
        // a value that cannot be read does not mean that the lock is free
        let holder: Option<Option<u64>> = row.get_opt(ASKED + index).and_then(Result::ok);
        let here = session.as_ref().filter(|session| *session.server == *server);
        asked.push(here.and_then(|session| Some((holder?, session.id))));
    }
    let ids: Vec<u64> = asked.iter().flatten().map(|(holder, id)| holder.unwrap_or(*id)).collect();
    let listed = processes(&ids, &server, from).await?;
    let doing = |(holder, id): (Option<u64>, u64)| match &listed {
        Some(listed) => match listed.get(&holder.unwrap_or(id)) {
            // a statement may have released the lock (RELEASE_ALL_LOCKS) and go on
            Some(listed) => *listed,
            None if holder.is_some() => Doing::Something,
            None => Doing::Gone,
        },
        None if holder.is_some() => Doing::Something,
        None => Doing::Gone,
    };
    Ok(asked.into_iter().map(|asked| asked.map(doing)).collect())
}

/// The state of a session that Group Replication keeps from beginning a transaction (seen on MySQL 9.7).
const HELD: &str = "Executing hook on transaction begin";

/// Which of these sessions are there, and what they do; `None` if this server does not show it. A user can see its own sessions without a privilege.
async fn processes(ids: &[u64], server: &str, from: &mut Conn) -> mysql_async::Result<Option<HashMap<u64, Doing>>> {
    if ids.is_empty() {
        return Ok(None);
    }
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    let ids = ids.join(", ");
    // the row of the connection that asks shows who answered, also where there is no other row
    let question = format!(
        "SELECT ID, IF(COMMAND = 'Sleep', GREATEST(TIME, 0), NULL), {SERVER}, STATE LIKE '{HELD}%' \
         FROM information_schema.PROCESSLIST WHERE ID IN ({ids}, CONNECTION_ID())"
    );
    // a type that does not fit is no answer; the driver's own conversion panics
    let put = |(mut listed, mut here): (HashMap<u64, Doing>, bool), row: Row| {
        here &= matches!(row.get_opt::<String, _>(2), Some(Ok(name)) if name == server);
        if let (Some(Ok(id)), Some(Ok(idle))) = (row.get_opt(0), row.get_opt::<Option<u64>, _>(1)) {
            let held = matches!(row.get_opt(3), Some(Ok(true)));
            let works = if held { Doing::Held } else { Doing::Something };
            listed.insert(id, idle.map_or(works, |since| Doing::Nothing { since: Duration::from_secs(since) }));
        }
        (listed, here)
    };
    let own = u64::from(from.id());
    match from.query_fold(question, (HashMap::new(), true), put).await {
        Ok((listed, here)) => {
            let seen = listed.keys().any(|id| id & u64::from(u32::MAX) == own);
            Ok((here && seen).then_some(listed))
        }
        Err(mysql_async::Error::Server(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How a connection asks about other sessions, and checks that one session answers all that it sends.
///
/// A router that sends by statement may send a question to one server and a command to another, and the id in its greeting
/// may by chance be that of the session that answers. So before the first question a command takes or releases a lock, and
/// the question has to show that.
pub(super) struct Asking {
    /// The lock, and whether it marks the session of this connection.
    mark: Mark,
    own: bool,
    /// The command has been sent.
    begun: bool,
}

/// The answer to a question, from the session that also takes the commands.
struct Answer {
    server: String,
    row: Row,
}

/// What was asked begins at this column.
const ASKED: usize = 4;

impl Asking {
    /// From a connection that has no mark.
    fn from_outside() -> Self {
        Asking { mark: Mark::new(), own: false, begun: false }
    }

    /// From a connection whose session is marked.
    fn from_session(session: &Backend) -> Self {
        Asking { mark: session.mark, own: true, begun: false }
    }

    /// The answer; `None` if it cannot be believed. An error leaves the connection unfit for use.
    async fn ask(&mut self, from: &mut Conn, what: &str) -> mysql_async::Result<Option<Answer>> {
        let mark = self.mark;
        let first = !self.begun;
        if first {
            self.begun = true;
            let command =
                if self.own { format!("DO RELEASE_LOCK('{mark}')") } else { format!("DO GET_LOCK('{mark}', 0)") };
            match from.query_drop(command).await {
                Ok(()) => {}
                Err(mysql_async::Error::Server(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let again = if first && self.own { format!("GET_LOCK('{mark}', 0)") } else { "1".into() };
        let question = format!("SELECT IS_USED_LOCK('{mark}'), {again}, {SERVER}, CONNECTION_ID(){what}");
        let row = match from.query_first::<Row, _>(question).await {
            Ok(Some(row)) => row,
            Ok(None) | Err(mysql_async::Error::Server(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (Some(Ok(server)), Some(Ok(id)), Some(Ok(holder)), Some(Ok(locked))) = (
            row.get_opt::<String, _>(2),
            row.get_opt::<u64, _>(3),
            row.get_opt::<Option<u64>, _>(0),
            row.get_opt::<Option<u64>, _>(1),
        ) else {
            return Ok(None);
        };
        let expected = if first && self.own { None } else { Some(id) };
        let is_direct = id & u64::from(u32::MAX) == u64::from(from.id()) && holder == expected && locked == Some(1);
        Ok(is_direct.then_some(Answer { server, row }))
    }
}

/// A session that was killed and is still there after this time is killed again.
const KILL_AGAIN: Duration = Duration::from_millis(250);

impl Backend {
    pub(super) fn new(mark: Mark, id: u32, server: Arc<str>, target: usize) -> Self {
        Backend { mark, id: id.into(), server, target, doubtful: false }
    }

    /// The target that it was reached at.
    pub(crate) fn target(&self) -> usize {
        self.target
    }

    /// Identifies its server.
    pub(crate) fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// Ends this session from a connection that was made for it.
    pub(crate) async fn end_from_outside(&self, opts: Opts, wait: bool, limits: Limits) -> mysql_async::Result<Fate> {
        let mut conn = bounded(Conn::new(opts), "connect", limits).await?;
        self.end_asking(Asking::from_outside(), &mut conn, wait, limits).await
    }

    /// Ends this session from a connection whose session is `own`, and with `wait` does not return before it is seen gone, or
    /// `deadline`.
    ///
    /// Each question has the connect time-out to be answered. An error leaves `from` unfit for use.
    pub(crate) async fn end(
        &self,
        from: &mut Conn,
        own: Option<&Backend>,
        wait: bool,
        limits: Limits,
    ) -> mysql_async::Result<Fate> {
        match own {
            None => Ok(Fate::Unmarked),
            Some(own) if own.server != self.server => Ok(Fate::OtherServer),
            Some(own) => self.end_asking(Asking::from_session(own), from, wait, limits).await,
        }
    }

    /// KILL alone is not enough: it returns at once, and what it killed may still commit (MySQL 9.7 commits an
    /// `INSERT .. SELECT SLEEP(5)` that was killed).
    async fn end_asking(
        &self,
        mut asking: Asking,
        from: &mut Conn,
        wait: bool,
        limits: Limits,
    ) -> mysql_async::Result<Fate> {
        let mut killed: Option<(u64, Instant)> = None;
        let mut pause = Duration::from_millis(1);
        let lock = format!(", IS_USED_LOCK('{}')", self.mark);
        loop {
            let answer = bounded(asking.ask(from, &lock), "IS_USED_LOCK", limits).await?;
            let Some(Answer { server, row }) = answer else { return Ok(Fate::Unmarked) };
            if server != *self.server {
                return Ok(Fate::OtherServer);
            }
            let Some(Ok(holder)) = row.get_opt::<Option<u64>, _>(ASKED) else { return Ok(Fate::Unmarked) };
            let Some(id) = holder else {
                // it may have released the lock and live on, unless it was seen to have it
                return Ok(if self.doubtful && killed.is_none() { Fate::Unmarked } else { Fate::Gone });
            };
            // again after a while: a session that is committing may drop the order and live on (seen with Galera 4)
            if killed.is_none_or(|(other, when)| other != id || when.elapsed() >= KILL_AGAIN) {
                if killed.is_some() && bounded(out_of_touch(from), "SHOW VARIABLES", limits).await?.is_some() {
                    return Ok(Fate::NoMajority);
                }
                killed = Some((id, Instant::now()));
                let killing = from.query_drop(format!("KILL {id}"));
                match bounded(killing, "KILL", limits).await {
                    Ok(()) => {}
                    // it ended in between
                    Err(mysql_async::Error::Server(error)) if is_missing_session(&error) => {}
                    Err(mysql_async::Error::Server(_)) => return Ok(Fate::NotAllowed),
                    Err(error) => return Err(error),
                }
            }
            if !wait || Instant::now() + pause >= limits.deadline {
                return Ok(Fate::StillThere);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_differ_and_fit_the_name_of_a_lock() {
        let (one, two) = (Mark::new().to_string(), Mark::new().to_string());
        assert_ne!(one, two);
        assert!(Mark(u64::MAX).to_string().len() <= 64);
        assert!(one.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'), "{one}");
    }
}
