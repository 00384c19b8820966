//! What an error says, and what it does not.

use std::{error::Error as _, io};

use super::*;

fn failure(kind: Kind, outcome: Outcome, delivery: Delivery, reason: Reason) -> Failure {
    Failure {
        kind,
        outcome,
        delivery,
        attempts: 2,
        elapsed: Duration::from_millis(1234),
        reason,
        rows: 0,
        lost_before: false,
        down_for: None,
        lost_state: StateKinds::NONE,
        transaction: false,
        address: "db.example:3306".into(),
        source: Some(io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed").into()),
    }
}

#[test]
fn a_lost_statement_reads_as_what_became_of_it_and_what_to_do() {
    let lost = Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown);
    let error =
        Error::new(failure(Kind::Classified(lost), Outcome::Unknown, Delivery::AtMostOnce, Reason::NotIdempotent));
    assert_eq!(
        error.to_string(),
        "lost connection to MySQL server during query (2013): db.example:3306: connection closed; the statement \
         may have been executed, check its effect before you run it again; it was not sent again because it is \
         not annotated as idempotent (2 attempts in 1.234 s, delivery at most once)"
    );
    assert_eq!(error.code(), Some(2013));
    assert!(error.is_disconnect());
}

#[test]
fn whoever_has_a_guard_is_not_told_to_take_one() {
    let lost = Kind::Classified(Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown));
    let text = |delivery| {
        let failure = failure(lost.clone(), Outcome::Unknown, delivery, Reason::CommitLost);
        Error::new(Failure { transaction: true, ..failure }).to_string()
    };
    assert!(text(Delivery::AtMostOnce).contains("; the reply to COMMIT was lost: with a token (exactly_once)"));
    assert!(text(Delivery::ExactlyOnce).ends_with(
        "connection closed; it may have been committed, call again with the same token to find out (2 attempts in 1.234 s, \
         delivery exactly once)"
    ));
}

#[test]
fn the_drivers_error_is_the_source() {
    let gone = Classification::disconnect(Disconnect::ServerGone, Outcome::NotExecuted);
    let error =
        Error::new(failure(Kind::Classified(gone), Outcome::NotExecuted, Delivery::AtMostOnce, Reason::Deadline));
    let source = error.source().expect("a source");
    assert!(source.downcast_ref::<mysql_async::Error>().is_some(), "{source:?}");
    assert!(error.driver_error().is_some());
    assert!(error.is_deadline());
}

#[test]
fn an_error_that_is_no_loss_shows_as_the_drivers() {
    let server =
        mysql_async::ServerError { code: 1146, message: "Table 'x.y' doesn't exist".into(), state: "42S02".into() };
    let shown = mysql_async::Error::Server(server.clone()).to_string();
    let error = Error::new(Failure {
        source: Some(server.into()),
        ..failure(
            Kind::Classified(Classification::other(Outcome::Failed)),
            Outcome::Failed,
            Delivery::AtMostOnce,
            Reason::NotALoss,
        )
    });
    assert_eq!(error.to_string(), shown);
    assert_eq!(error.code(), Some(1146));
    assert!(!error.is_disconnect());
}

#[test]
fn a_duplicate_key_after_a_lost_attempt_tells_of_that_attempt() {
    let server = mysql_async::ServerError { code: 1062, message: "Duplicate entry".into(), state: "23000".into() };
    let error = Error::new(Failure {
        source: Some(server.into()),
        lost_before: true,
        ..failure(
            Kind::Classified(Classification::other(Outcome::Unknown)),
            Outcome::Unknown,
            Delivery::AtLeastOnce,
            Reason::NotALoss,
        )
    });
    let shown = error.to_string();
    assert!(shown.contains("1062") && shown.contains("an earlier attempt was lost"), "{shown}");
}

#[test]
fn a_value_inside_the_drivers_error_is_in_no_message() {
    let value = mysql_async::Value::Bytes(b"s3cret".to_vec());
    let error = Error::new(Failure {
        source: Some(mysql_async::DriverError::FromValue { value }.into()),
        ..failure(
            Kind::Classified(Classification::other(Outcome::Unknown)),
            Outcome::Unknown,
            Delivery::AtMostOnce,
            Reason::NotALoss,
        )
    });
    let shown = format!("{error} {error:?} {error:#?}");
    assert!(!shown.contains("s3cret") && !shown.contains("115, 51"), "{shown}");
}

#[test]
fn an_error_is_small_and_can_cross_threads() {
    fn check<T: Send + Sync + 'static>() -> usize {
        size_of::<T>()
    }
    assert_eq!(check::<Error>(), size_of::<usize>());
}
