//! Whether a server knows a form, and what it does to the transaction that it is run in.

use std::time::Duration;

use mysql_async::{Error, prelude::Queryable as _};

use crate::{
    corpus::{Form, fill},
    stage::Stage,
};

/// What a form does to an open transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Keeps,
    /// It ends it, or puts another in its place, in whatever way.
    Ends,
}

const PATIENCE: Duration = Duration::from_secs(8);

/// How often a form is looked at before it counts as unknown: beside other forms it can meet a lock of theirs.
const LOOKS: usize = 3;

/// `None` of a form that this server does not know. `number` is one that no case has.
pub async fn calibrate(stage: &mut Stage, form: &Form, number: u32) -> Option<Effect> {
    for _ in 0..LOOKS {
        if let Ok(Some(effect)) = tokio::time::timeout(PATIENCE, look(stage, form, number)).await {
            return Some(effect);
        }
        clean_up(stage, form, number).await;
    }
    None
}

async fn look(stage: &mut Stage, form: &Form, number: u32) -> Option<Effect> {
    let mut known = prepare(stage, form, number).await;
    let mut conn = stage.bare().await;
    let fill = |sql| fill(sql, number, &stage.database);
    conn.query_drop("START TRANSACTION").await.expect("a transaction");
    conn.query_drop("SAVEPOINT of_audit").await.expect("a savepoint");
    conn.query_drop(format!("INSERT INTO {}.a (n) VALUES ({number})", stage.database)).await.expect("a row");
    if form.on_session {
        for sql in &form.before {
            known &= conn.query_drop(fill(sql)).await.is_ok();
        }
    }
    let result = conn.query_drop(fill(form.sql)).await;
    known &= is_known(form, &result);
    let kept = conn.query_drop("RELEASE SAVEPOINT of_audit").await.is_ok();
    drop(conn);
    if !known && !form.fails {
        // some are refused within a transaction
        known = stands_alone(stage, form, number + 500_000).await;
    }
    clean_up(stage, form, number).await;
    known.then_some(if kept { Effect::Keeps } else { Effect::Ends })
}

async fn stands_alone(stage: &mut Stage, form: &Form, number: u32) -> bool {
    let mut known = prepare(stage, form, number).await;
    let mut conn = stage.bare().await;
    if form.on_session {
        for sql in &form.before {
            known &= conn.query_drop(fill(sql, number, &stage.database)).await.is_ok();
        }
    }
    known &= conn.query_drop(fill(form.sql, number, &stage.database)).await.is_ok();
    drop(conn);
    clean_up(stage, form, number).await;
    known
}

/// A form that is meant to fail is known unless the server does not understand it.
fn is_known(form: &Form, result: &Result<(), Error>) -> bool {
    match result {
        Ok(()) => !form.fails || form.sql.contains("KILL") || form.sql.contains("UNINSTALL"),
        Err(Error::Server(error)) if form.fails => {
            form.sql.starts_with("SELEKT") || ![1064, 1149, 1235, 1289].contains(&error.code)
        }
        Err(Error::Server(_)) => false,
        Err(Error::Io(_) | Error::Driver(_) | Error::Other(_) | Error::Url(_)) => form.sql.contains("KILL"),
    }
}

/// Runs what comes before a form, unless that belongs to its own session.
pub async fn prepare(stage: &mut Stage, form: &Form, number: u32) -> bool {
    let mut good = true;
    if !form.on_session {
        for sql in &form.before {
            good &= stage.own.query_drop(fill(sql, number, &stage.database)).await.is_ok();
        }
    }
    good
}

/// Runs what comes after it.
pub async fn clean_up(stage: &mut Stage, form: &Form, number: u32) {
    for sql in &form.after {
        let _ = stage.own.query_drop(fill(sql, number, &stage.database)).await;
    }
}
