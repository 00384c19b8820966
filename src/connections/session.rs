//! Which session of which server a connection is, and how to be sure that one has ended.
//!
//! A connection that is lost to us may live on at the server: a statement that waits for a row lock stays until it gets
//! it, and then commits (seen on MariaDB and MySQL). The id of a session does not identify it: ids start again when a
//! server restarts, and two servers behind one address share them. So each session takes a user-level lock with a name
//! that nobody else has. Who holds it is visible without any privilege, on that server alone; and the server releases
//! it when the session has ended, after its statement was rolled back or committed.

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

use super::bounded;
use crate::{conditions::answers::is_missing_session, policy::Settings, random::random};

/// The name of the lock that marks one session. Unique among all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    fn new() -> Self {
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
pub(crate) struct Session {
    mark: Mark,
    /// The connection's id, which is not proof of anything: ids start again with the server.
    id: u64,
    /// What tells one server from another, whatever address they are behind.
    server: Arc<str>,
    /// The target that it was reached at.
    target: usize,
}

/// What became of an old session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has ended: its statement is done or rolled back, and nothing of it will happen any more.
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
}

/// What a session does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It has ended.
    Gone,
    /// It waits for a command, and no command has begun for so long: in whole seconds, which the server rounds as it likes.
    Nothing { since: Duration },
    /// It is at work, as far as can be seen.
    Something,
}

/// What a new connection tells of itself.
#[derive(Debug, Default)]
pub(crate) struct Introduction {
    /// In seconds.
    pub(crate) wait_timeout: Option<u64>,
    /// `max_allowed_packet`, in bytes.
    pub(crate) packet_limit: Option<usize>,
    /// `None` if the server, or a proxy in front of it, does not go along.
    pub(crate) session: Option<Session>,
}

/// Tells one server from another.
const SERVER: &str = "CONCAT_WS('/', @@hostname, @@port, @@server_id, @@datadir)";

/// Asks a new connection to this target for its limits and marks its session, in one round trip.
pub(crate) async fn introduce(conn: &mut Conn, target: usize) -> mysql_async::Result<Introduction> {
    let mark = Mark::new();
    let all = format!("SELECT {LIMITS}, {SERVER}, GET_LOCK('{mark}', 0)");
    let answer: Option<Answer> = match conn.query_first(all).await {
        Ok(answer) => answer,
        // a server or proxy that does not go along with all of this is still one that answers
        Err(mysql_async::Error::Server(_)) => match conn.query_first(format!("SELECT {LIMITS}")).await {
            Ok(answer) => answer.map(|(wait_timeout, packet_limit)| (wait_timeout, packet_limit, None, None)),
            Err(mysql_async::Error::Server(_)) => None,
            Err(error) => return Err(error),
        },
        Err(error) => return Err(error),
    };
    let Some((wait_timeout, packet_limit, server, locked)) = answer else {
        return Ok(Introduction::default());
    };
    let session = match (server, locked) {
        (Some(server), Some(1)) => Some(Session { mark, id: conn.id().into(), server: server.into(), target }),
        _ => None,
    };
    Ok(Introduction { wait_timeout, packet_limit, session })
}

/// What sessions do, asked from a connection to whatever server answers at their target; `None` of one that was never marked,
/// is on another server, or does not tell.
pub(crate) async fn doing(sessions: &[Option<Session>], from: &mut Conn) -> mysql_async::Result<Vec<Option<Doing>>> {
    let mut all = Vec::with_capacity(sessions.len());
    for some in sessions.chunks(AT_ONCE) {
        all.extend(doing_of_some(some, from).await?);
    }
    Ok(all)
}

/// So many sessions are asked about in one question.
const AT_ONCE: usize = 100;

async fn doing_of_some(sessions: &[Option<Session>], from: &mut Conn) -> mysql_async::Result<Vec<Option<Doing>>> {
    let nothing = vec![None; sessions.len()];
    let mut question = format!("SELECT {SERVER}");
    for session in sessions {
        match session {
            Some(session) => write!(question, ", IS_USED_LOCK('{}')", session.mark),
            None => write!(question, ", NULL"),
        }
        .expect("a string takes everything");
    }
    let answer = match from.query_first::<Row, _>(question).await {
        Ok(Some(answer)) => answer,
        Ok(None) | Err(mysql_async::Error::Server(_)) => return Ok(nothing),
        Err(error) => return Err(error),
    };
    let Some(server) = answer.get_opt::<String, _>(0).and_then(Result::ok) else { return Ok(nothing) };
    let mut asked = Vec::with_capacity(sessions.len());
    for (column, session) in sessions.iter().enumerate() {
        // what cannot be read is not the same as that nobody holds the lock
        let holder: Option<Option<u64>> = answer.get_opt(column + 1).and_then(Result::ok);
        let here = session.as_ref().filter(|session| *session.server == *server);
        asked.push(here.and_then(|session| Some((holder?, session.id))));
    }
    let ids: Vec<u64> = asked.iter().flatten().map(|(holder, id)| holder.unwrap_or(*id)).collect();
    let listed = processes(&ids, from).await?;
    let doing = |(holder, id): (Option<u64>, u64)| match &listed {
        Some(listed) => match listed.get(&holder.unwrap_or(id)) {
            Some(Some(since)) => Doing::Nothing { since: *since },
            // a statement may have released the lock (RELEASE_ALL_LOCKS) and go on
            Some(None) => Doing::Something,
            None if holder.is_some() => Doing::Something,
            None => Doing::Gone,
        },
        None if holder.is_some() => Doing::Something,
        None => Doing::Gone,
    };
    Ok(asked.into_iter().map(|asked| asked.map(doing)).collect())
}

/// Which of these sessions are there, and for how long those that wait for a command have begun none; `None` if the server
/// does not tell. Each can see its own user's without a privilege.
async fn processes(ids: &[u64], from: &mut Conn) -> mysql_async::Result<Option<HashMap<u64, Option<Duration>>>> {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    if ids.is_empty() {
        return Ok(None);
    }
    let ids = ids.join(", ");
    let question = format!(
        "SELECT ID, IF(COMMAND = 'Sleep', GREATEST(TIME, 0), NULL) FROM information_schema.PROCESSLIST \
         WHERE ID IN ({ids})"
    );
    // a type that does not fit is no answer; the driver's own conversion panics
    let put = |mut listed: HashMap<u64, Option<Duration>>, row: Row| {
        if let (Some(Ok(id)), Some(Ok(idle))) = (row.get_opt(0), row.get_opt::<Option<u64>, _>(1)) {
            listed.insert(id, idle.map(Duration::from_secs));
        }
        listed
    };
    match from.query_fold(question, HashMap::new(), put).await {
        Ok(listed) => Ok(Some(listed)),
        Err(mysql_async::Error::Server(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `wait_timeout`, `max_allowed_packet`, the server, and whether the lock was had.
type Answer = (Option<u64>, Option<usize>, Option<String>, Option<u32>);

const LIMITS: &str = "@@wait_timeout, @@max_allowed_packet";

impl Session {
    /// Takes the lock again, on its own connection, after a reset released it.
    pub(crate) async fn mark_again(&self, conn: &mut Conn) -> mysql_async::Result<bool> {
        let locked: Option<Option<u32>> = conn.query_first(format!("SELECT GET_LOCK('{}', 0)", self.mark)).await?;
        Ok(locked.flatten() == Some(1))
    }

    /// The target that it was reached at.
    pub(crate) fn target(&self) -> usize {
        self.target
    }

    /// What tells its server from others.
    pub(crate) fn server(&self) -> &Arc<str> {
        &self.server
    }

    /// Ends this session from a connection that was made for it.
    pub(crate) async fn end_from_outside(
        &self,
        opts: Opts,
        wait: bool,
        deadline: Instant,
        settings: &Settings,
    ) -> mysql_async::Result<Fate> {
        let mut conn = bounded(Conn::new(opts), "connect", deadline, settings).await?;
        let asking = conn.query_first::<String, _>(format!("SELECT {SERVER}"));
        let server = bounded(asking, "the server's name", deadline, settings).await?;
        self.end(&mut conn, server.as_deref(), wait, deadline, settings).await
    }

    /// Ends this session from a connection to this server, and with `wait` does not return before it is seen gone, or `deadline`.
    ///
    /// Each question has the connect time-out to be answered. An error leaves `from` unfit for use.
    ///
    /// KILL alone is not enough: it returns at once, and what it killed may still commit (MySQL 9.7 commits an
    /// `INSERT .. SELECT SLEEP(5)` that was killed).
    pub(crate) async fn end(
        &self,
        from: &mut Conn,
        server: Option<&str>,
        wait: bool,
        deadline: Instant,
        settings: &Settings,
    ) -> mysql_async::Result<Fate> {
        if server != Some(&*self.server) {
            return Ok(Fate::OtherServer);
        }
        let mut killed = None;
        let mut pause = Duration::from_millis(1);
        loop {
            let asking = from.query_first(format!("SELECT IS_USED_LOCK('{}')", self.mark));
            let holder: Option<Option<u32>> = bounded(asking, "IS_USED_LOCK", deadline, settings).await?;
            let Some(id) = holder.flatten() else {
                return Ok(Fate::Gone);
            };
            if killed != Some(id) {
                killed = Some(id);
                let killing = from.query_drop(format!("KILL {id}"));
                match bounded(killing, "KILL", deadline, settings).await {
                    Ok(()) => {}
                    // it ended in between
                    Err(mysql_async::Error::Server(error)) if is_missing_session(&error) => {}
                    Err(mysql_async::Error::Server(_)) => return Ok(Fate::NotAllowed),
                    Err(error) => return Err(error),
                }
            }
            if !wait || Instant::now() + pause >= deadline {
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
