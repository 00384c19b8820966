//! The question whether a server can be used, for the first time or again.
//!
//! That a connection can be made is not enough: a cluster node without quorum takes logins, pings and `SELECT 1`, a demoted
//! primary takes everything but writes, and a node that a group has gone on without takes those too.

use std::{borrow::Cow, future::Future, time::Duration};

use mysql_async::{Conn, Error, Opts, Row, Value, prelude::Queryable};
use tokio::time::timeout;

use super::group::{self, Group, Membership};
use crate::{conditions::unavailable_at_connect, driver::timed_out, verdict::Unavailable};

/// The result of a probe.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is up, and takes writes as far as can be seen.
    Able,
    /// It is up, and takes no writes.
    ReadOnly,
    /// It cannot be used, and may be later.
    Unable(Unavailable, Error),
    /// It is up and refuses the login: a wrong password, an unknown database. Waiting does not help.
    Objects(Error),
}

/// What a probe asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether it accepts a login, and is in touch with its group if it has one.
    Login,
    /// Also whether it is ready, and takes writes.
    Condition,
    /// Also whether it is ready to be read from.
    Reading,
}

/// Logs in beside the pool, and asks. The connection is closed afterwards.
pub(crate) async fn ask(opts: Opts, question: Question, limit: Duration) -> Answer {
    ask_on(Conn::new(opts), question, limit).await.0
}

/// Asks on this connection. Also returns it if the server can be used and the question has left nothing on it.
pub(crate) async fn ask_on(
    connecting: impl Future<Output = Result<Conn, Error>>,
    question: Question,
    limit: Duration,
) -> (Answer, Option<Conn>) {
    let asking = async {
        let mut conn = connecting.await?;
        let answer = condition(&mut conn, question).await;
        if let Ok((Answer::Able, true)) = answer {
            return Ok((Answer::Able, Some(conn)));
        }
        // dropped, it would go to the pool if it came from there
        let _ = conn.disconnect().await;
        answer.map(|(answer, _)| (answer, None))
    };
    let answer = timeout(limit, asking).await;
    answer.unwrap_or_else(|_| Err(timed_out(format!("no answer to connect within {limit:.3?}")))).unwrap_or_else(
        |error| match unavailable_at_connect(&error, false) {
            Some(why) => (Answer::Unable(why, error), None),
            None => (Answer::Objects(error), None),
        },
    )
}

/// What a server that accepts a login says of itself, and whether the connection is as it began.
async fn condition(conn: &mut Conn, question: Question) -> Result<(Answer, bool), Error> {
    // a server without a cluster is not 'ready' either
    if question != Question::Login && answered(conn.query_first(WSREP).await)?.is_some_and(|row| holds(&row, 0)) {
        let ready = answered(conn.query_first("SHOW GLOBAL STATUS LIKE 'wsrep_ready'").await)?;
        if ready.is_some_and(|row| !holds(&row, 1)) {
            return Ok((not_ready(Unavailable::NotReady.to_string()), true));
        }
    }
    let mut is_as_it_began = true;
    let variables = variables(conn).await?;
    let read_only = is_read_only(&variables);
    if let Some(group) = Group::read(&variables) {
        // who writes is told by the flags
        let tries = read_only && question != Question::Condition;
        is_as_it_began = !tries;
        match group.membership(conn, tries).await? {
            Membership::Member => {}
            // it was made a server of its own
            Membership::Outside if !read_only => {}
            Membership::Outside => return Ok((not_ready("it is outside of its group"), is_as_it_began)),
            Membership::NotOnline => return Ok((not_ready("it is not ONLINE in its group"), is_as_it_began)),
            Membership::OutOfTouch(age) => return Ok((not_ready(group::out_of_touch_for(age)), is_as_it_began)),
        }
    }
    let answer = if read_only && question != Question::Login { Answer::ReadOnly } else { Answer::Able };
    Ok((answer, is_as_it_began))
}

fn not_ready(why: impl Into<Cow<'static, str>>) -> Answer {
    Answer::Unable(Unavailable::NotReady, std::io::Error::other(why.into()).into())
}

const WSREP: &str = "SELECT @@global.wsrep_on";

/// Each of these variables prevents writes, of ordinary accounts or of all. The question works also on a server that does not
/// know some of them.
const READ_ONLY_FLAGS: &str =
    "'read_only', 'super_read_only', 'innodb_read_only', 'transaction_read_only', 'tx_read_only'";

/// The variables of a server that tell whether it takes writes, and of its group.
pub(super) async fn variables(conn: &mut Conn) -> Result<Vec<Row>, Error> {
    let question = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({READ_ONLY_FLAGS}, {})", group::VARIABLES);
    Ok(answered(conn.query(question).await.map(Some))?.unwrap_or_default())
}

pub(super) fn is_read_only(variables: &[Row]) -> bool {
    let is_flag = |name: &[u8]| name.to_ascii_lowercase().ends_with(b"read_only");
    let is_set = |row: &Row| matches!(row.as_ref(0), Some(Value::Bytes(name)) if is_flag(name)) && holds(row, 1);
    variables.iter().any(is_set)
}

/// Whether this column of a row is on.
fn holds(row: &Row, column: usize) -> bool {
    row.as_ref(column).is_some_and(is_on)
}

/// A proxy in front of a server may not know the question: then a login counts as enough.
pub(super) fn answered<T>(answer: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(Error::Server(_)) => Ok(None),
        answer => answer,
    }
}

/// Numbers everywhere, and in MariaDB 12 words: its `read_only` has more values than two.
pub(super) fn is_on(flag: &Value) -> bool {
    match flag {
        Value::Bytes(text) => !(text.is_empty() || text == b"0" || text.eq_ignore_ascii_case(b"OFF")),
        Value::Int(number) => *number != 0,
        Value::UInt(number) => *number != 0,
        Value::NULL | Value::Float(_) | Value::Double(_) | Value::Date(..) | Value::Time(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_numbers_or_words() {
        for (flag, on) in [("0", false), ("OFF", false), ("off", false), ("1", true), ("ON", true), ("NO_LOCK", true)] {
            assert_eq!(is_on(&Value::Bytes(flag.into())), on, "{flag}");
        }
        assert!(is_on(&Value::Int(1)) && !is_on(&Value::UInt(0)) && !is_on(&Value::NULL));
    }
}
