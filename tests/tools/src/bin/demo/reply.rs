//! Scenes (d) and (e): the server executes a statement, and its reply is lost.
//!
//! A proxy does it: it forwards the statement, waits for the first byte of the reply, withholds it, and closes the
//! connection.

use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use mysql_retry::{Executor, Outcome, Statement};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When};

use crate::{
    Problem,
    figures::Figures,
    ledger::{self, BARE, BOOK, BOOKED, RETRY, SET_BALANCE},
    screen::{self, Row},
};

/// (d) An INSERT that is not annotated.
pub(crate) async fn of_an_insert(server: &Server) -> Result<Figures, Problem> {
    screen::scene(
        "(d) The reply to an INSERT gets lost",
        "The server books a payment, and the connection breaks before its reply arrives. The program cannot see \
         whether it was booked. The usual remedy is a loop that tries again; on the left is one around the bare \
         driver. The executor was not told that this INSERT may run twice, so it says 'unknown' and leaves it alone.",
    );
    const NUMBER: u64 = 4;
    let mut figures = Figures::new("(d) INSERT, reply lost");
    let proxy = Proxy::start(server).await;

    lose_next_reply(&proxy, BOOK);
    let mut first_error = String::new();
    loop {
        let mut conn = Conn::new(opts(&proxy, BARE)).await?;
        let booked = conn.exec_drop(*BOOK.sql(), (NUMBER, 100)).await;
        figures.bare.count(&booked);
        match booked {
            Ok(()) => break,
            Err(error) => first_error = screen::brief(&error),
        }
    }
    let bare_there = ledger::times(server, BARE, NUMBER).await?;
    figures.bare.judge(&Ok::<_, Problem>(()), bare_there);

    let exec = Executor::new(opts(&proxy, RETRY))?;
    lose_next_reply(&proxy, BOOK);
    let booked = exec.exec_drop(BOOK, (NUMBER, 100)).await;
    let word = figures.retry.count(&booked);
    let there = ledger::times(server, RETRY, NUMBER).await?;
    figures.retry.judge(&booked, there);
    // what a program does with 'unknown': it looks, before it books again
    let looked = exec.exec_first::<u64, _, _>(BOOKED, (NUMBER,)).await;
    figures.retry.count(&looked);
    let found = looked?.unwrap_or_default();

    let outcome = booked.as_ref().err().map(mysql_retry::Error::outcome);
    let told = match outcome {
        None => word.to_owned(),
        Some(outcome) => format!("{word}, with the outcome '{outcome:?}'"),
    };
    screen::side_by_side(
        ("bare mysql_async, in a retry loop", "mysql-retry"),
        &[
            Row("INSERT", format!("FAILED: {first_error}"), told),
            Row("then", "again, ok".to_owned(), format!("the program looks: it is {}", ledger::in_words(found))),
            Row("payment", ledger::in_words(bare_there), ledger::in_words(there)),
        ],
    );
    if let Err(error) = &booked {
        screen::paragraph(&format!("What mysql-retry said: \"{error}\""));
    }
    figures.promise(
        outcome == Some(Outcome::Unknown),
        format!("an INSERT whose reply was lost has the outcome Unknown, and was reported as {outcome:?}"),
    );
    figures.promise(there == 1, format!("the payment of mysql-retry is {}", ledger::in_words(there)));
    figures.promise(bare_there == 2, format!("the payment of the retry loop is {}", ledger::in_words(bare_there)));
    Ok(figures.end(exec).await?)
}

/// (e) An UPDATE that is annotated as idempotent.
pub(crate) async fn of_an_update(server: &Server) -> Result<Figures, Problem> {
    screen::scene(
        "(e) The reply to an UPDATE gets lost, and the UPDATE is annotated",
        "The same, with 'UPDATE account SET balance = 700', which does no harm when it runs twice. Only its author \
         knows that, and wrote .idempotent() beside it: the executor may send it again.",
    );
    const ACCOUNT: u64 = 7;
    const BALANCE_WANTED: u64 = 700;
    let mut figures = Figures::new("(e) UPDATE, reply lost");
    let proxy = Proxy::start(server).await;

    lose_next_reply(&proxy, SET_BALANCE);
    let mut conn = Conn::new(opts(&proxy, BARE)).await?;
    let bare_set = conn.exec_drop(*SET_BALANCE.sql(), (BALANCE_WANTED, ACCOUNT)).await;
    let bare_word = figures.bare.count(&bare_set);

    let exec = Executor::new(opts(&proxy, RETRY))?;
    lose_next_reply(&proxy, SET_BALANCE);
    let set = exec.exec_drop(SET_BALANCE, (BALANCE_WANTED, ACCOUNT)).await;
    let word = figures.retry.count(&set);
    let bare_balance = ledger::balance(server, BARE, ACCOUNT).await?;
    let balance = ledger::balance(server, RETRY, ACCOUNT).await?;
    let there = balance == BALANCE_WANTED;
    figures.retry.judge(&set, there.into());

    let replays = exec.counters().replays;
    let bare_why = bare_set.as_ref().err().map(|error| format!(": {}", screen::brief(error))).unwrap_or_default();
    let retry_why = match &set {
        Ok(_) => format!(", replayed {replays} time on a new connection"),
        Err(error) => format!(": {error}"),
    };
    screen::side_by_side(
        ("bare mysql_async", "mysql-retry"),
        &[
            Row("UPDATE", format!("{bare_word}{bare_why}"), format!("{word}{retry_why}")),
            Row("balance", format!("{bare_balance}, which the program does not know"), balance.to_string()),
        ],
    );
    figures.promise(bare_set.is_err(), "bare mysql_async reported success without a reply");
    figures.promise(set.is_ok(), format!("the annotated UPDATE failed{retry_why}"));
    figures.promise(replays == 1, format!("the annotated UPDATE was replayed {replays} times, not once"));
    figures.promise(there, format!("the balance is {balance}, not {BALANCE_WANTED}"));
    Ok(figures.end(exec).await?)
}

fn lose_next_reply(proxy: &Proxy, statement: Statement) {
    proxy.rule(Rule::new(When::executes(*statement.sql()), Place::AfterRequestWhenAnswered, Fault::Fin));
}

fn opts(proxy: &Proxy, database: &str) -> OptsBuilder {
    proxy.opts().db_name(Some(database))
}
