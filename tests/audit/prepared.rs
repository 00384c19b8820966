//! Is nothing done by a statement that was prepared only?

use mysql_async::prelude::Queryable as _;
use mysql_retry_fixture::{Fault, Place, Rule, When};

use crate::{
    cases::{Case, Cut},
    corpus::mark,
    ledger,
    stage::Stage,
    told::Told,
};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Played {
    pub told: Told,
    /// Rows of its effects after one execution without a loss, and so many before the cut one.
    pub once: u32,
}

/// `None` of a form that cannot be prepared.
pub async fn play(stage: &mut Stage, case: &Case, cut: Cut) -> Option<Played> {
    let form = case.form();
    if form.on_session {
        return None;
    }
    let text = form.text(case.number, &stage.database);
    let mut conn = stage.bare().await;
    let statement = conn.prep(&text).await.ok()?;
    let _ = conn.exec_drop(statement, ()).await;
    drop(conn);
    let once = ledger::now(stage, case.number).await.effects;

    let exec = stage.executor(1);
    let _ = exec.query_drop("DO 0").await;
    stage.proxy.rule(match cut {
        Cut::BeforeExecution => Rule::new(When::executes(mark(case.number)), Place::Request(0), Fault::Fin),
        Cut::AfterPreparing => Rule::new(When::text(mark(case.number)), Place::AfterReply, Fault::Fin),
    });
    let told = Told::of(&exec.exec_drop(text.as_str(), ()).await);
    stage.proxy.clear_rules();
    let _ = exec.close().await;
    Some(Played { told, once })
}
