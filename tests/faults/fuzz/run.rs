//! Plays a script: all its tasks at once, under its rules and blows, until everything is mended and every call has ended.

use std::{cell::Cell, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use mysql_async::prelude::Queryable as _;
use mysql_retry::{Annotate as _, Error, Event, Executor, Outcome, RetryPolicy};
use mysql_retry_fixture::{Fault, Proxy, Server, pool_of};
use tokio::{task::JoinSet, time::timeout};

use super::script::{Act, Blow, Script, Setup, Step};
use crate::{
    case::{Case, Situation},
    executors,
    play::{self, Told},
    statement,
    wire::Wire,
    work::{Protocol, Work},
};

/// How long faults happen; then everything is mended.
const STORM: Duration = Duration::from_millis(1500);
/// How much longer than the storm and its deadline a call may take on a busy machine.
const STUCK: Duration = Duration::from_secs(15);

/// What a caller was told.
pub enum Heard {
    Told(Told),
    /// It did not wait for the answer.
    Cancelled,
}

/// A step, by its task and its place, and what came of it.
pub struct Done {
    pub task: usize,
    pub step: usize,
    pub heard: Heard,
    /// How many attempts of the call were lost after they may have been executed, by the executor's events.
    pub lost: u32,
}

/// What came of a script.
pub struct Played {
    pub done: Vec<Done>,
    /// What was wrong with the executor afterwards.
    pub afterwards: Option<Told>,
    /// Replays whose past could not be settled.
    pub unfenced: u64,
    /// Faults that happened, those of mending left out.
    pub fired: usize,
    /// The sessions that the script had at the server.
    pub sessions: Vec<u32>,
}

/// Plays it. When this returns nobody sends anything any more, but its sessions may still be at work.
pub async fn play(server: &Server, script: &Arc<Script>) -> Played {
    let proxy = Proxy::start_over(script.setup.transport, server).await;
    let exec = executor(&proxy, &script.setup);
    proxy.rules(script.rules.iter().cloned());
    let mut tasks = JoinSet::new();
    for task in 0..script.tasks.len() {
        tasks.spawn(work_through(exec.clone(), script.clone(), task));
    }
    let mut done = Vec::new();
    tokio::select! {
        () = collect(&mut tasks, &mut done) => {}
        () = rage(server, &proxy, script) => {}
        () = tokio::time::sleep(STORM) => {}
    }
    let fired = proxy.fired();
    mend(&proxy, script).await;
    // each step has a time-out of its own
    collect(&mut tasks, &mut done).await;
    let stuck = done.iter().any(|one| matches!(one.heard, Heard::Told(Told::Nothing(_))));
    let afterwards = if stuck { None } else { look_after(&exec, script).await };
    let unfenced = exec.counters().unfenced;
    let closed = timeout(STUCK, exec.close()).await;
    let afterwards = afterwards.or(if closed.is_err() && !stuck { Some(Told::Nothing("the closing")) } else { None });
    let sessions = proxy.server_ids().into_iter().map(|(_, id)| id).collect();
    Played { done, afterwards, unfenced, fired, sessions }
}

tokio::task_local! {
    /// The lost attempts of the call that the task makes.
    static LOST: Cell<u32>;
}

/// Events of a call are emitted on the task that made it; those of an outage also on others.
fn note(event: &Event<'_>) {
    if let Event::ConnectionLost { classification, .. } = event
        && classification.outcome() == Outcome::Unknown
    {
        let _ = LOST.try_with(|lost| lost.set(lost.get() + 1));
    }
}

fn executor(proxy: &Proxy, setup: &Setup) -> Executor {
    let opts = pool_of(setup.connections, proxy.opts())
        .stmt_cache_size(setup.cache)
        .local_infile_handler(Some(mysql_async::WhiteListFsHandler::new([crate::work::parts_file()])));
    let policy = if setup.retries { RetryPolicy::builder() } else { RetryPolicy::none().to_builder() };
    let policy = policy
        .deadline(setup.deadline)
        .max_replays(setup.replays)
        .attempt_timeout(setup.attempt)
        .connect_timeout(setup.connect)
        .initial_delay(Duration::from_millis(1))
        .max_delay(setup.max_delay)
        .replay_unfenced(setup.replay_unfenced)
        .build();
    let ping_after = setup.pinging.then_some(Duration::ZERO);
    let builder = Executor::builder().policy(policy.expect("a good policy")).ping_after(ping_after).on_event(note);
    let builder = builder.allow_session_text(true);
    // who has no attempt time-out has the watch, in a hurry here
    let watch = Duration::from_millis(100);
    builder.watch_after(watch).give_up_after(watch).retry_budget(None).build(opts).expect("good options")
}

async fn collect(tasks: &mut JoinSet<Vec<Done>>, done: &mut Vec<Done>) {
    while let Some(ended) = tasks.join_next().await {
        done.extend(ended.expect("a task that does not panic"));
    }
}

async fn work_through(exec: Executor, script: Arc<Script>, task: usize) -> Vec<Done> {
    let mut done = Vec::new();
    for (index, step) in script.tasks[task].iter().enumerate() {
        let take = take(&exec, &script, task, index);
        let counted = LOST.scope(Cell::new(0), async {
            let bounded = timeout(STORM + script.setup.deadline + STUCK, cancelled(step, take)).await;
            (bounded, LOST.with(Cell::get))
        });
        let (bounded, lost) = counted.await;
        let heard = bounded.unwrap_or(Heard::Told(Told::Nothing("the call")));
        let stuck = matches!(heard, Heard::Told(Told::Nothing(_)));
        done.push(Done { task, step: index, heard, lost });
        if stuck {
            break;
        }
    }
    done
}

async fn cancelled(step: &Step, take: impl Future<Output = Result<Option<String>, Error>>) -> Heard {
    let result = match step.cancelled {
        None => take.await,
        Some(time) => match timeout(time, take).await {
            Ok(result) => result,
            Err(_) => return Heard::Cancelled,
        },
    };
    Heard::Told(Told::of(result))
}

/// Takes a step; what is wrong with its rows, if anything is.
async fn take(exec: &Executor, script: &Script, task: usize, index: usize) -> Result<Option<String>, Error> {
    let number = script.step_number(task, index);
    match &script.tasks[task][index].act {
        Act::Run { .. } => statement::run(exec, &case(script, task, index)).await,
        Act::Set(value) => {
            let register = script.register(task);
            let sql = format!("UPDATE counter SET n = {value} WHERE c = {register} AND {number}");
            exec.query_drop(sql.idempotent()).await.map(|_| None)
        }
        Act::LeaveState => exec.query_drop(format!("SET @left_behind = {number}").idempotent()).await.map(|_| None),
        Act::Ping => exec.ping().await.map(|()| None),
        Act::Borrow { asking } => {
            let mut connection = exec.connection().await?;
            if *asking {
                // whatever becomes of it is the borrower's business
                let _ = connection.query_drop("SELECT 1, 2").await;
            }
            Ok(None)
        }
        Act::Stream { rows, read } => {
            let sql = Work::Select(Protocol::Text, *rows).sql(number);
            let mut stream = exec.query_stream::<u32, _>(sql.idempotent()).await?;
            for wanted in 1..=*read {
                match stream.next().await {
                    Some(row) if row.as_ref().is_ok_and(|row| *row != wanted) => {
                        return Ok(Some(format!("the row {row:?} instead of {wanted}")));
                    }
                    Some(row) => drop(row?),
                    None => return Ok(Some(format!("no row {wanted} of {rows}"))),
                }
            }
            Ok(None)
        }
    }
}

/// A step as a case of the matrix.
pub fn case(script: &Script, task: usize, index: usize) -> Case {
    let (work, annotated) = match script.tasks[task][index].act {
        Act::Run { work, annotated } => (work, annotated),
        Act::Stream { rows, .. } => (Work::Select(Protocol::Text, rows), true),
        // they leave nothing in the ledger
        Act::Set(_) | Act::LeaveState | Act::Ping | Act::Borrow { .. } => (Work::Select(Protocol::Text, 0), true),
    };
    Case {
        number: script.step_number(task, index),
        transport: script.setup.transport,
        work,
        annotated,
        wire: Wire::Plain,
        situation: Situation::Connected { primed: false },
        rule: None,
        before_statement: false,
    }
}

/// The blows, while doors are opened and silence is healed now and then. Has no end.
async fn rage(server: &Server, proxy: &Proxy, script: &Script) {
    let blows = async {
        let mut before = Duration::ZERO;
        for (at, blow) in &script.blows {
            tokio::time::sleep(at.saturating_sub(before)).await;
            before = *at;
            strike(server, proxy, blow).await;
        }
        std::future::pending::<()>().await;
    };
    let opening = async {
        loop {
            tokio::time::sleep(script.opened_every).await;
            open(proxy).await;
        }
    };
    let healing = async {
        let Some(every) = script.healed_every else { return std::future::pending::<()>().await };
        loop {
            tokio::time::sleep(every).await;
            proxy.heal().await;
        }
    };
    tokio::join!(blows, opening, healing);
}

async fn strike(server: &Server, proxy: &Proxy, blow: &Blow) {
    match blow {
        Blow::Cut(fault) => drop(proxy.cut_all(fault.clone()).await),
        Blow::Kill(back) => {
            // this proxy's alone: others play on the same server
            if let Some((_, id)) = proxy.server_ids().iter().rev().nth(*back) {
                server.kill_connection(*id).await;
            }
        }
        Blow::GoDark(time) => {
            proxy.go_dark().await;
            tokio::time::sleep(*time).await;
            proxy.heal().await;
        }
        Blow::Refuse(time) => {
            proxy.refuse(true).await;
            tokio::time::sleep(*time).await;
            proxy.refuse(false).await;
        }
        Blow::AcceptAndClose(time) => {
            proxy.accept_and_close(true);
            tokio::time::sleep(*time).await;
            proxy.accept_and_close(false);
        }
    }
}

async fn open(proxy: &Proxy) {
    proxy.refuse(false).await;
    proxy.accept_and_close(false);
}

/// From now on nothing strikes any more, and nobody waits for what was silenced.
async fn mend(proxy: &Proxy, script: &Script) {
    proxy.clear_rules();
    if script.healed_at_end {
        proxy.heal().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.black_hole(false);
    // also what still waited for its place in a command
    proxy.cut_all(Fault::Fin).await;
    open(proxy).await;
}

/// Whether the executor is as good as new.
async fn look_after(exec: &Executor, script: &Script) -> Option<Told> {
    let patient = exec.with_policy(&executors::policy());
    match timeout(STUCK, play::is_usable(&patient, script.step_number(0, 0))).await {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => return Some(Told::WrongAnswer(format!("the next statement: {problem}"))),
        Err(_) => return Some(Told::Nothing("the next statement")),
    }
    let all = play::has_all_connections(&patient, script.setup.connections).await;
    (!all).then_some(Told::Nothing("the wait for all connections of the pool"))
}
