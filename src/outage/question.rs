//! The question whether a server can be used, for the first time or again.
//!
//! That a connection can be made is not enough: a cluster node without quorum takes logins, pings and `SELECT 1`, and a
//! demoted primary takes everything but writes.

use std::time::Duration;

use mysql_async::{Conn, Error, Opts, Row, Value, prelude::Queryable};
use tokio::time::timeout;

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
    /// Whether it accepts a login.
    Login,
    /// Also whether it is ready, and takes writes.
    Condition,
}

/// Logs in beside the pool, and asks. The connection is closed afterwards.
pub(crate) async fn ask(opts: Opts, question: Question, limit: Duration) -> Answer {
    let asking = async {
        let mut conn = Conn::new(opts).await?;
        match question {
            Question::Login => Ok(None),
            Question::Condition => condition(&mut conn).await,
        }
    };
    let answer = timeout(limit, asking).await;
    match answer.unwrap_or_else(|_| Err(timed_out(format!("no answer to connect within {limit:.3?}")))) {
        Ok(None) => Answer::Able,
        Ok(Some(Unavailable::ReadOnly)) => Answer::ReadOnly,
        Ok(Some(why)) => Answer::Unable(why, std::io::Error::other(why.to_string()).into()),
        Err(error) => match unavailable_at_connect(&error, false) {
            Some(why) => Answer::Unable(why, error),
            None => Answer::Objects(error),
        },
    }
}

/// What is wrong with a server that answers; `None` if nothing is.
async fn condition(conn: &mut Conn) -> Result<Option<Unavailable>, Error> {
    // a server without a cluster is not 'ready' either
    let node: Option<Row> = answered(conn.query_first("SELECT @@global.wsrep_on").await)?;
    if node.is_some_and(|row| row.as_ref(0).is_some_and(is_on)) {
        let ready: Option<Row> = answered(conn.query_first("SHOW GLOBAL STATUS LIKE 'wsrep_ready'").await)?;
        if ready.is_some_and(|row| !row.as_ref(1).is_some_and(is_on)) {
            return Ok(Some(Unavailable::NotReady));
        }
    }
    let flags: Option<Vec<Row>> = answered(conn.query(READ_ONLY_FLAGS).await.map(Some))?;
    let is_set = |row: &Row| row.as_ref(1).is_some_and(is_on);
    Ok(flags.unwrap_or_default().iter().any(is_set).then_some(Unavailable::ReadOnly))
}

/// Each of these variables prevents writes, of ordinary accounts or of all. The question works also on a server that does not
/// know some of them.
const READ_ONLY_FLAGS: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
    ('read_only', 'super_read_only', 'innodb_read_only', 'transaction_read_only', 'tx_read_only')";

/// A proxy in front of a server may not know the question: then a login counts as enough.
fn answered<T>(answer: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(Error::Server(_)) => Ok(None),
        answer => answer,
    }
}

/// Numbers everywhere, and in MariaDB 12 words: its `read_only` has more values than two.
fn is_on(flag: &Value) -> bool {
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
