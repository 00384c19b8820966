//! `INSERT a; FORM; INSERT b`: is what was called committed there, as a whole?

use mysql_retry::{Annotate as _, Done, Error, Executor, Reason, Tx, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When};

use crate::{
    cases::{Case, Manner, Trouble},
    corpus::{fill, mark},
    ledger::{self, Rows},
    stage::Stage,
    told::Told,
};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Played {
    pub told: Told,
    /// What was there when the caller was told.
    pub now: Rows,
    /// What a second call with the same token was told.
    pub again: Option<Told>,
    /// On a session: something was said to be lost before COMMIT was sent.
    pub was_told_of_loss: bool,
    /// On a session: all statements before COMMIT succeeded, apart from an error that was swallowed.
    pub all_well: bool,
    /// What was to strike the form did so. If not, the library did not send it.
    pub struck: bool,
}

/// What is sent, and what strikes it.
#[derive(Debug)]
struct Script {
    before: Vec<String>,
    a: String,
    form: String,
    b: String,
    trouble: Trouble,
    on_form: Option<Rule>,
}

impl Script {
    fn new(stage: &Stage, case: &Case, trouble: Trouble) -> Self {
        let (form, number, database) = (case.form(), case.number, &stage.database);
        let insert = |table| format!("INSERT INTO {database}.{table} (n) VALUES ({number})");
        let before = if form.on_session { &form.before[..] } else { &[] };
        Script {
            before: before.iter().map(|sql| fill(sql, number, database)).collect(),
            a: insert("a"),
            form: form.text(number, database),
            b: insert("b"),
            trouble,
            on_form: on_form(trouble, number),
        }
    }

    fn swallows(&self) -> bool {
        matches!(self.trouble, Trouble::Swallowed | Trouble::DeadlockSwallowed | Trouble::FailedAfter)
    }
}

fn on_form(trouble: Trouble, number: u32) -> Option<Rule> {
    let rule = |place, fault| Some(Rule::new(When::text(mark(number)), place, fault));
    let refused = || Fault::answer(1048, "23000", "Column 'x' cannot be null, says the audit");
    let deadlock = || Fault::answer(1213, "40001", "Deadlock found, says the audit");
    match trouble {
        Trouble::None | Trouble::CommitLost => None,
        Trouble::Lost => rule(Place::AfterRequestWhenAnswered, Fault::Fin),
        Trouble::Refused | Trouble::Swallowed => rule(Place::Request(0), refused()),
        Trouble::Deadlock | Trouble::DeadlockSwallowed => rule(Place::Request(0), deadlock()),
        Trouble::FailedAfter => rule(Place::LastResult, refused()),
    }
}

fn on_commit() -> Rule {
    Rule::reply_lost(When::text("COMMIT"))
}

/// The executor is one for all cases of a form.
pub async fn play(stage: &mut Stage, exec: &Executor, case: &Case, manner: Manner, trouble: Trouble) -> Played {
    let script = Script::new(stage, case, trouble);
    let played = match manner {
        Manner::Plain => plain(stage, exec, case, &script).await,
        Manner::Guarded => guarded(stage, exec, case, &script).await,
        Manner::Session => on_session(stage, exec, case, &script).await,
        Manner::Statement => statement(stage, exec, case, &script).await,
    };
    stage.proxy.clear_rules();
    played
}

/// One run of the closure; what is to strike does so in the first.
async fn run(proxy: &Proxy, script: &Script, first: bool, mut tx: Tx) -> Result<(), Error> {
    tx.query_drop(script.a.as_str()).await?;
    for sql in &script.before {
        tx.query_drop(sql.as_str()).await?;
    }
    if let (Some(rule), true) = (&script.on_form, first) {
        proxy.rule(rule.clone());
    }
    match tx.query_drop(script.form.as_str()).await {
        Err(_) if script.swallows() => {}
        done => drop(done?),
    }
    tx.query_drop(script.b.as_str()).await?;
    if script.trouble == Trouble::CommitLost && first {
        proxy.rule(on_commit());
    }
    Ok(())
}

async fn plain(stage: &mut Stage, exec: &Executor, case: &Case, script: &Script) -> Played {
    let result = exec.transaction(TxOpts::default(), |tx| run(&stage.proxy, script, tx.attempt() == 1, tx)).await;
    let struck = stage.proxy.rules_left().is_empty();
    let now = ledger::now(stage, case.number).await;
    Played { told: Told::of(&result), now, again: None, was_told_of_loss: false, all_well: true, struck }
}

async fn guarded(stage: &mut Stage, exec: &Executor, case: &Case, script: &Script) -> Played {
    let token = case.number.to_string();
    let told = Told::of_done(&guarded_call(&stage.proxy, exec, &token, script, true).await);
    let struck = stage.proxy.rules_left().is_empty();
    let now = ledger::now(stage, case.number).await;
    stage.proxy.clear_rules();
    let again = Some(Told::of_done(&guarded_call(&stage.proxy, exec, &token, script, false).await));
    Played { told, now, again, was_told_of_loss: false, all_well: true, struck }
}

async fn guarded_call(
    proxy: &Proxy,
    exec: &Executor,
    token: &str,
    script: &Script,
    first: bool,
) -> Result<Done<()>, Error> {
    exec.transaction(TxOpts::default(), |tx| run(proxy, script, first && tx.attempt() == 1, tx))
        .exactly_once(token)
        .await
}

/// The form alone, as exactly-once work.
async fn statement(stage: &mut Stage, exec: &Executor, case: &Case, script: &Script) -> Played {
    let token = case.number.to_string();
    let call = async || {
        let result = exec.query_drop(script.form.as_str().exactly_once(token.as_str())).await;
        match &result {
            Ok(summary) if summary.was_done_before() => Told::Before,
            _ => Told::of(&result),
        }
    };
    match script.trouble {
        Trouble::CommitLost => stage.proxy.rule(on_commit()),
        _ => stage.proxy.rules(script.on_form.clone()),
    }
    let told = call().await;
    let struck = stage.proxy.rules_left().is_empty();
    let now = ledger::now(stage, case.number).await;
    stage.proxy.clear_rules();
    let again = Some(call().await);
    Played { told, now, again, was_told_of_loss: false, all_well: true, struck }
}

/// A caller that takes no notice of a loss, and one that stops at any other error.
async fn on_session(stage: &mut Stage, exec: &Executor, case: &Case, script: &Script) -> Played {
    let mut played = Played {
        told: Told::NotExecuted("no session".into()),
        now: Rows::default(),
        again: None,
        was_told_of_loss: false,
        all_well: true,
        struck: true,
    };
    let Ok(mut session) = exec.session().await else { return played };
    let mut texts: Vec<&str> = vec!["BEGIN", &script.a];
    texts.extend(script.before.iter().map(String::as_str));
    texts.extend([&*script.form, &script.b]);
    let mut end = "COMMIT";
    for text in texts {
        let is_form = text == script.form;
        if is_form {
            stage.proxy.rules(script.on_form.clone());
        }
        if let Err(error) = session.query_drop(text).await {
            let lost = error.is_disconnect() || error.reason() == Reason::StateLost;
            played.was_told_of_loss |= lost;
            if !(is_form && script.swallows()) {
                played.all_well = false;
                if !lost {
                    end = "ROLLBACK";
                    break;
                }
            }
        }
    }
    played.struck = stage.proxy.rules_left().is_empty();
    stage.proxy.clear_rules();
    if script.trouble == Trouble::CommitLost {
        stage.proxy.rule(on_commit());
    }
    played.told = match (session.query_drop(end).await, end) {
        // what was rolled back is not there
        (Ok(_), "ROLLBACK") => Told::NotExecuted("rolled back by the caller".into()),
        (result, _) => Told::of(&result),
    };
    // it may have locked the tables
    drop(session);
    played.now = ledger::now(stage, case.number).await;
    played
}
