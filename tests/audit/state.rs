//! Does a form leave anything for the next caller of its connection?

use std::collections::BTreeMap;

use mysql_retry::Executor;

use crate::{
    cases::{Case, Way},
    corpus::fill,
    snapshot::Snapshot,
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
    if stage.baseline.is_none() || case.form().serial {
        stage.baseline = Some(fresh(stage).await);
    }
    let exec = stage.executor_without_proxy();
    // the connection, and what the executor asks it when it is new
    let _ = exec.query_drop("DO 0").await;
    let resets = exec.counters().resets;
    run(&exec, stage, case, way).await;
    let Ok(mut next) = exec.connection().await else { return Left::default() };
    let read_as_neutral = exec.counters().resets == resets;
    let flavour = stage.server.flavour();
    let seen = Snapshot::take(&mut next, &mut stage.own, flavour, stage.baseline.as_ref()).await;
    drop(next);
    let _ = exec.close().await;
    let known = stage.baseline.clone().expect("it was just taken");
    if seen.differences(&known).is_empty() {
        return Left { leaks: Vec::new(), read_as_neutral };
    }
    // what is true of every new connection by now was changed for all
    let again = fresh(stage).await;
    let before = seen.differences(&known);
    let mut leaks: BTreeMap<String, String> = seen.differences(&again);
    leaks.retain(|name, _| before.contains_key(name));
    if let Some(leak) = leaks.remove(INSERT_ID) {
        // a connection of the driver's tells the id of whoever used it last, as its documentation says; a session must not
        if session_sees_insert_id(stage, case, way).await {
            leaks.insert(INSERT_ID.into(), leak);
        }
    }
    stage.baseline = Some(again);
    Left { leaks: leaks.into_values().collect(), read_as_neutral }
}

const INSERT_ID: &str = "last_insert_id";

/// Runs the form once more, and asks as a session that comes next.
async fn session_sees_insert_id(stage: &Stage, case: &Case, way: Way) -> bool {
    let exec = stage.executor_without_proxy();
    run(&exec, stage, case, way).await;
    let Ok(mut session) = exec.session().await else { return false };
    let id: Option<u64> = session.query_first("SELECT LAST_INSERT_ID()").await.ok().flatten();
    drop(session);
    let _ = exec.close().await;
    id != Some(0)
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
async fn fresh(stage: &mut Stage) -> Snapshot {
    let exec = stage.executor_without_proxy();
    let mut conn = exec.connection().await.expect("a connection");
    let snapshot = Snapshot::take(&mut conn, &mut stage.own, stage.server.flavour(), None).await;
    drop(conn);
    let _ = exec.close().await;
    snapshot
}
