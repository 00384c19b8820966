//! Does a form leave anything for the next caller of its connection?

use std::collections::BTreeMap;

use mysql_retry::{Executor, TxOpts};

use crate::{
    cases::{Case, Way},
    corpus::fill,
    snapshot::{Caller, Snapshot},
    stage::Stage,
};

/// What the next caller sees that nobody had set when the connection was new. Empty if nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub leaks: Vec<String>,
    /// The connection was not reset: the text was read as one that leaves nothing.
    pub read_as_neutral: bool,
}

pub async fn play(stage: &mut Stage, case: &Case, way: Way) -> Left {
    // one that changes something for all is compared with what was before it
    if case.form().serial {
        for in_transaction in [false, true] {
            stage.baselines[usize::from(in_transaction)] = fresh(stage, in_transaction).await;
        }
    }
    let exec = stage.executor_without_proxy();
    // the connection, and what the executor asks it when it is new
    let _ = exec.query_drop("DO 0").await;
    let resets = exec.counters().resets;
    run(&exec, stage, case, way).await;
    let read_as_neutral = exec.counters().resets == resets;
    // A connection that is lent is reset before. What was left without a reset is seen by the executor's next statements, which
    // share a connection in a transaction alone.
    let baseline = usize::from(read_as_neutral);
    if stage.baselines[baseline].is_none() {
        stage.baselines[baseline] = fresh(stage, read_as_neutral).await;
    }
    let known = stage.baselines[baseline].clone();
    let seen = look(&exec, stage, read_as_neutral, known.as_ref()).await;
    let _ = exec.close().await;
    let (Some(seen), Some(known)) = (seen, known) else { return Left::default() };
    let before = seen.differences(&known);
    if before.is_empty() {
        return Left { leaks: Vec::new(), read_as_neutral };
    }
    // what is true of every new connection by now was changed for all
    let Some(again) = fresh(stage, read_as_neutral).await else { return Left::default() };
    let mut leaks: BTreeMap<String, String> = seen.differences(&again);
    leaks.retain(|name, _| before.contains_key(name));
    if case.form().sql.contains("XA PREPARE") {
        // the locks of a prepared transaction outlive its session, as they are meant to; MySQL 9.7 still shows them as its own
        leaks.remove("metadata_locks");
    }
    for name in OF_LAST_STATEMENT {
        // the executor refuses a text that asks for it; a session must not see it
        if let Some(leak) = leaks.remove(name)
            && session_sees(stage, case, way, name).await
        {
            leaks.insert(name.into(), leak);
        }
    }
    stage.baselines[baseline] = Some(again);
    Left { leaks: leaks.into_values().collect(), read_as_neutral }
}

/// What the next caller sees.
async fn look(exec: &Executor, stage: &mut Stage, in_transaction: bool, known: Option<&Snapshot>) -> Option<Snapshot> {
    let flavour = stage.server.flavour();
    if !in_transaction {
        let mut next = exec.connection().await.ok()?;
        return Some(Snapshot::take(&mut Caller::Conn(&mut next), &mut stage.own, flavour, known).await);
    }
    // what was asked may have broken the transaction: the answers are there all the same
    let seen = tokio::sync::Mutex::new((&mut stage.own, None));
    let _ = exec
        .transaction(TxOpts::default(), |tx| async {
            let mut seen = seen.lock().await;
            let snapshot = Snapshot::take(&mut Caller::Tx(tx), seen.0, flavour, known).await;
            seen.1 = Some(snapshot);
            Ok::<_, mysql_retry::Error>(())
        })
        .await;
    seen.into_inner().1
}

const OF_LAST_STATEMENT: [&str; 2] = ["last_insert_id", "probe: sequence"];

/// Runs the form once more, and asks as a session that comes next.
async fn session_sees(stage: &Stage, case: &Case, way: Way, name: &str) -> bool {
    let exec = stage.executor_without_proxy();
    run(&exec, stage, case, way).await;
    let Ok(mut session) = exec.session().await else { return false };
    let question = if name == "last_insert_id" { "SELECT LAST_INSERT_ID()" } else { "SELECT LASTVAL(seq)" };
    let answer: Option<Option<u64>> = session.query_first(question).await.ok().flatten();
    drop(session);
    let _ = exec.close().await;
    !matches!(answer, Some(None | Some(0)))
}

async fn run(exec: &Executor, stage: &Stage, case: &Case, way: Way) {
    let form = case.form();
    let text = form.text(case.number, &stage.database);
    // what it returns does not matter: a form that fails may leave something too
    match way {
        Way::Text => drop(exec.query_drop(text).await),
        Way::Prepared => drop(exec.exec_drop(text, ()).await),
        Way::Session => {
            let Ok(mut session) = exec.session().await else { return };
            if form.on_session {
                for sql in &form.before {
                    let _ = session.query_drop(fill(sql, case.number, &stage.database)).await;
                }
            }
            let _ = session.query_drop(text).await;
        }
    }
}

/// What a connection shows that nobody has used.
async fn fresh(stage: &mut Stage, in_transaction: bool) -> Option<Snapshot> {
    let exec = stage.executor_without_proxy();
    let snapshot = look(&exec, stage, in_transaction, None).await;
    let _ = exec.close().await;
    snapshot
}
