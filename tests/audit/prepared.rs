//! Is nothing done by a statement that was prepared only?

use mysql_async::prelude::Queryable as _;
use mysql_retry::Executor;
use mysql_retry_fixture::{Fault, Place, Rule, When};

use crate::{
    calibrate,
    cases::{Case, Cut},
    corpus::mark,
    ledger,
    stage::Stage,
    told::Told,
};

/// The execution without a loss has a number of its own.
const TRIAL: u32 = 5_000_000;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Played {
    pub told: Told,
    /// Rows of its effects after one execution without a loss.
    pub once: u32,
}

/// `None` of a form that cannot be prepared.
pub async fn play(stage: &mut Stage, exec: &Executor, case: &Case, cut: Cut) -> Option<Played> {
    let form = case.form();
    if form.on_session {
        return None;
    }
    let text = form.text(case.number, &stage.database);
    let trial = case.number + TRIAL;
    calibrate::prepare(stage, form, trial).await;
    let mut conn = stage.bare().await;
    let statement = conn.prep(form.text(trial, &stage.database)).await.ok()?;
    let _ = conn.exec_drop(statement, ()).await;
    drop(conn);
    calibrate::clean_up(stage, form, trial).await;
    let once = ledger::now(stage, trial).await.effects;

    // a connection that works
    let _ = exec.ping().await;
    stage.proxy.rule(match cut {
        Cut::BeforeExecution => Rule::new(When::executes(mark(case.number)), Place::Request(0), Fault::Fin),
        Cut::AfterPreparing => Rule::new(When::text(mark(case.number)), Place::AfterReply, Fault::Fin),
    });
    let told = Told::of(&exec.exec_drop(text.as_str(), ()).await);
    stage.proxy.clear_rules();
    Some(Played { told, once })
}
