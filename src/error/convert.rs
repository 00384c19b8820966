//! Conversions between this error and the driver's, for programs that move from the driver step by step.

use std::time::Duration;

use super::{Error, Failure, Kind};
use crate::{
    conditions::condition,
    sql::StateKinds,
    statement::Delivery,
    verdict::{Classification, Disconnect, Fault, Outcome, Reason},
};

/// So that `?` works in a function that returns the driver's error.
///
/// The server's answer to the only attempt of a statement is the driver's own error, so that
/// `Err(mysql_async::Error::Server(e)) if e.code == 1062` still matches. Everything else is `mysql_async::Error::Other` with the
/// whole [`Error`] inside, to be had back with [`Error::from`] or by `downcast_ref`.
///
/// ```
/// async fn names(exec: &mysql_retry::Executor) -> mysql_async::Result<Vec<String>> {
///     Ok(exec.query("SELECT name FROM item").await?)
/// }
/// ```
impl From<Error> for mysql_async::Error {
    fn from(error: Error) -> Self {
        match *error.0 {
            Failure {
                outcome: Outcome::Failed,
                attempts: 0 | 1,
                transaction: false,
                source: Some(answer @ mysql_async::Error::Server(_)),
                ..
            } => answer,
            failure => mysql_async::Error::Other(Box::new(Error::new(failure))),
        }
    }
}

/// An error of the driver's that did not come through this crate (from a [`Connection`](crate::Connection), from a function
/// that still takes the driver's connection, or one of the caller's own making).
///
/// Where it was an [`Error`] of this crate, it is that again. Nothing else is known of the attempt, so that the outcome is
/// [`Failed`](Outcome::Failed) for an answer of the server that proves it, and else [`Unknown`](Outcome::Unknown).
///
/// ```
/// async fn work(tx: &mut mysql_retry::Tx) -> mysql_retry::Result<()> {
///     let rows: Vec<u64> = tx.query("SELECT id FROM item").await?;
///     if rows.is_empty() {
///         return Err(mysql_async::Error::Other("there is nothing to sell".into()).into());
///     }
///     Ok(())
/// }
/// ```
impl From<mysql_async::Error> for Error {
    fn from(error: mysql_async::Error) -> Self {
        let error = match error {
            mysql_async::Error::Other(inner) => match inner.downcast::<Error>() {
                Ok(own) => return *own,
                Err(inner) => mysql_async::Error::Other(inner),
            },
            error @ (mysql_async::Error::Driver(_)
            | mysql_async::Error::Io(_)
            | mysql_async::Error::Server(_)
            | mysql_async::Error::Url(_)) => error,
        };
        // as in a context of which nothing is known
        let row = condition(&error);
        let answered = if matches!(error, mysql_async::Error::Server(_)) { Outcome::Failed } else { Outcome::Unknown };
        let outcome = if row.outcome == Outcome::NotExecuted { answered } else { row.outcome };
        let classification = match row.fault {
            Fault::Disconnect(_) => Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown),
            Fault::Refused => Classification::refused(Outcome::Unknown),
            Fault::RolledBack => Classification::rolled_back(answered),
            Fault::Other => Classification::other(outcome),
        };
        let retries = classification.fault() != Fault::Other;
        Error::new(Failure {
            kind: Kind::Classified(classification),
            outcome: classification.outcome(),
            delivery: Delivery::AtMostOnce,
            attempts: 1,
            elapsed: Duration::ZERO,
            reason: if retries { Reason::SwitchedOff } else { Reason::NotALoss },
            rows: 0,
            lost_before: false,
            down_for: None,
            lost_state: StateKinds::NONE,
            transaction: false,
            address: "a connection of the driver's own".into(),
            source: Some(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use mysql_async::ServerError;

    use super::*;

    fn answer(code: u16) -> mysql_async::Error {
        mysql_async::Error::Server(ServerError { code, message: "m".into(), state: "HY000".into() })
    }

    #[test]
    fn an_answer_of_the_server_is_the_drivers_own_and_stays_one() {
        let error = Error::from(answer(1062));
        assert_eq!((error.outcome(), error.code(), error.reason()), (Outcome::Failed, Some(1062), Reason::NotALoss));
        assert_eq!(error.to_string(), answer(1062).to_string());
        assert!(matches!(mysql_async::Error::from(error), mysql_async::Error::Server(e) if e.code == 1062));
    }

    #[test]
    fn what_is_known_of_a_call_survives_the_drivers_type() {
        let failure =
            Failure { attempts: 7, lost_before: true, outcome: Outcome::Unknown, ..*Error::from(answer(1062)).0 };
        let text = Error::new(failure).to_string();
        let failure =
            Failure { attempts: 7, lost_before: true, outcome: Outcome::Unknown, ..*Error::from(answer(1062)).0 };
        let driver = mysql_async::Error::from(Error::new(failure));
        assert!(driver.to_string().contains(&text), "{driver}");
        let back = Error::from(driver);
        assert_eq!((back.attempts(), back.outcome()), (7, Outcome::Unknown));
        assert_eq!(back.to_string(), text);
    }

    #[test]
    fn a_loss_elsewhere_is_a_loss_and_nothing_is_proved() {
        let error = Error::from(mysql_async::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)));
        assert_eq!((error.outcome(), error.disconnect()), (Outcome::Unknown, Some(Disconnect::ServerLost)));
        assert!(error.driver_error().is_some());
        let own = Error::from(mysql_async::Error::Other("nothing to sell".into()));
        assert_eq!((own.outcome(), own.is_disconnect()), (Outcome::Unknown, false));
        assert!(own.to_string().contains("nothing to sell"), "{own}");
    }
}
