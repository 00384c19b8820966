//! Transfers of money and guarded statements: how they are run, and what a guard costs.

use mysql_retry::{Annotate as _, Done, Error, Executor, TxOpts};
use mysql_retry_fixture::{Proxy, Server, pool_of};

use crate::{
    case::Case,
    ledger::TRIAL,
    work::{Manner, Work},
};

/// The statements of a transfer. The second is prepared, the others are text.
pub fn withdraw(number: u32) -> String {
    format!("UPDATE account SET balance = balance - 1 WHERE c = {number} AND side = 1")
}

pub fn deposit(number: u32) -> String {
    format!("UPDATE account SET balance = balance + ? WHERE c = {number} AND side = 2")
}

pub fn note(number: u32) -> String {
    Work::Transfer(Manner::Plain).sql(number)
}

/// Runs the transfer; what is wrong with the answer, if anything is.
pub async fn run(exec: &Executor, number: u32, manner: Manner) -> Result<Option<String>, Error> {
    let work = |mut tx: mysql_retry::Tx| async move {
        tx.query_drop(withdraw(number)).await?;
        tx.exec_drop(deposit(number), (1,)).await?;
        tx.query_drop(note(number)).await?;
        Ok::<_, Error>(number)
    };
    match manner {
        Manner::Careless => {
            let transfer = exec.transaction(TxOpts::default(), |mut tx| async move {
                let _ = tx.query_drop(withdraw(number)).await;
                let _ = tx.exec_drop(deposit(number), (1,)).await;
                let _ = tx.query_drop(note(number)).await;
                Ok::<_, Error>(number)
            });
            transfer.await.map(|value| not_ours(number, value))
        }
        Manner::Plain => exec.transaction(TxOpts::default(), work).await.map(|value| not_ours(number, value)),
        Manner::Guarded => {
            let done = exec.transaction(TxOpts::default(), work).exactly_once(u64::from(number)).await?;
            Ok(match done {
                Done::Now(value) => not_ours(number, value),
                Done::Before { .. } => Some("it is said to have been done before".to_owned()),
            })
        }
        Manner::OnSession | Manner::OnSessionWithState => {
            let mut session = exec.session().await?;
            if manner == Manner::OnSessionWithState {
                session.query_drop("SET @left_behind = 1".idempotent()).await?;
            }
            session.transaction(TxOpts::default(), work).await.map(|value| not_ours(number, value))
        }
    }
}

fn not_ours(number: u32, value: u32) -> Option<String> {
    (value != number).then(|| format!("{value} instead of {number}"))
}

/// Has the prepared statement of a transfer executed, so that it need not be prepared again.
pub async fn prime(exec: &Executor, number: u32) -> Result<(), Error> {
    exec.exec_drop(deposit(number).idempotent(), (0,)).await.map(drop)
}

/// Runs the INSERT with the case's number as its token.
pub async fn guarded_insert(exec: &Executor, case: &Case) -> Result<Option<String>, Error> {
    let sql = case.work.sql(case.number).exactly_once(u64::from(case.number));
    let done = if case.work.is_prepared() {
        exec.exec_drop(sql, (case.work.parameter(),)).await?
    } else {
        exec.query_drop(sql).await?
    };
    Ok(done.was_done_before().then(|| "it is said to have been done before".to_owned()))
}

/// How many commands more a guarded transaction sends than a plain one while nothing is lost.
pub async fn extra_round_trips(server: &Server) -> u64 {
    let proxy = Proxy::start(server).await;
    // the next one waits for the connection, and opens none of its own
    let exec = Executor::new(pool_of(1, proxy.opts())).expect("good options");
    let mut sent = Vec::new();
    // the first of each kind connects, and has the guard's table looked at
    for (number, manner) in TRIAL.zip([Manner::Plain, Manner::Guarded, Manner::Plain, Manner::Guarded]) {
        let before = proxy.commands().len();
        run(&exec, number, manner).await.expect("nothing is lost");
        sent.push(proxy.commands().len() - before);
    }
    let _ = exec.close().await;
    u64::try_from(sent[3].saturating_sub(sent[2])).expect("few")
}
