//! Scenes (a) and (b): a connection dies while the program does something else.

use std::time::Duration;

use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use mysql_retry::{Annotate, Executor};
use mysql_retry_fixture::Server;

use crate::{
    Problem,
    figures::Figures,
    ledger::{self, BARE, BOOK, RETRY},
    screen::{self, Row},
};

/// Over the server's `wait_timeout` of 2 s.
const WORK: Duration = Duration::from_secs(3);

/// (a) A job reads, works for longer than `wait_timeout`, and saves its result.
pub(crate) async fn past_the_time_out(server: &Server) -> Result<Figures, Problem> {
    screen::scene(
        "(a) The job works for longer than the server's wait_timeout",
        "A job reads its input, works for 3 s without the database, and saves its result with an INSERT. After 2 s the \
         server has closed the idle connection. The bare side holds its connection meanwhile, as programs with long \
         jobs do; had it gone back to mysql_async's pool, the pool would have noticed.",
    );
    idle(server, "(a) idle past wait_timeout", 1, Death::OfAge).await
}

/// (b) The same, but somebody kills the connections.
pub(crate) async fn killed_by_an_administrator(server: &Server) -> Result<Figures, Problem> {
    screen::scene(
        "(b) An administrator kills the connection",
        "The same job, and while it works somebody runs KILL on its connection. The bare side again holds it.",
    );
    idle(server, "(b) connection killed", 2, Death::Killed).await
}

#[derive(Clone, Copy, PartialEq)]
enum Death {
    OfAge,
    Killed,
}

async fn idle(server: &Server, scene: &'static str, number: u64, death: Death) -> Result<Figures, Problem> {
    let mut figures = Figures::new(scene);
    let of = |database: &str| OptsBuilder::db_name(server.opts(), Some(database));
    let mut conn = Conn::new(of(BARE)).await?;
    let exec = Executor::new(of(RETRY))?;

    let bare_read = conn.query_first::<u32, _>("SELECT CONNECTION_ID()").await;
    let retry_read = exec.query_first::<u32, _>("SELECT CONNECTION_ID()".idempotent()).await;
    let read = (figures.bare.count(&bare_read), figures.retry.count(&retry_read));
    let ids = [bare_read?, retry_read?].map(Option::unwrap_or_default);

    let meanwhile = match death {
        Death::OfAge => {
            tokio::time::sleep(WORK).await;
            "3 s of work, the server closes it"
        }
        Death::Killed => {
            for id in ids {
                server.kill_connection(id).await;
            }
            "work, the connection is killed"
        }
    };
    for id in ids {
        server.wait_gone(id).await;
    }

    let bare_saved = conn.exec_drop(*BOOK.sql(), (number, 100)).await;
    let retry_saved = exec.exec_drop(BOOK, (number, 100)).await;
    let saved = (figures.bare.count(&bare_saved), figures.retry.count(&retry_saved));
    let there = (ledger::times(server, BARE, number).await?, ledger::times(server, RETRY, number).await?);
    figures.bare.judge(&bare_saved, there.0);
    figures.retry.judge(&retry_saved, there.1);

    let losses = exec.counters().losses;
    let bare_why = bare_saved.as_ref().err().map(|error| format!(": {}", screen::brief(error))).unwrap_or_default();
    let retry_why = match &retry_saved {
        Ok(_) if losses == 0 => "; the dead connection was noticed before anything was sent on it".to_owned(),
        Ok(_) => "; the dead connection was noticed when the statement was sent".to_owned(),
        Err(error) => format!(": {error}"),
    };
    screen::side_by_side(
        ("bare mysql_async, a held connection", "mysql-retry"),
        &[
            Row("read", read.0.to_owned(), read.1.to_owned()),
            Row("meanwhile", meanwhile.to_owned(), meanwhile.to_owned()),
            Row("save", format!("{}{bare_why}", saved.0), format!("{}{retry_why}", saved.1)),
            Row("result", ledger::in_words(there.0), ledger::in_words(there.1)),
        ],
    );
    figures.promise(bare_saved.is_err(), "bare mysql_async saved its result on a connection that was dead");
    figures.promise(figures.retry.failed == 0, format!("a call of mysql-retry failed{retry_why}"));
    figures.promise(there.1 == 1, format!("the result of mysql-retry is {}", ledger::in_words(there.1)));
    Ok(figures.end(exec).await?)
}
