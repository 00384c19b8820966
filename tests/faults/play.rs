//! Plays a case: brings about its situation, lets the fault strike, and writes down what the caller was told.

use std::{fmt, future::Future, time::Duration};

use mysql_retry::{Annotate as _, Error, Executor, Outcome};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When};

use crate::{
    case::{Case, Situation},
    executors::Executors,
    statement::run,
    transfer,
    wire::Wire,
    work::Work,
};

/// What the caller was told.
pub enum Told {
    Success,
    NotExecuted(String),
    /// The server answered with an error, and nothing was lost.
    Failed(String),
    Unknown(String),
    /// A success with other rows than there are, or another call's answer.
    WrongAnswer(String),
    /// Nothing, for much longer than the deadline.
    Nothing(&'static str),
}

impl Told {
    /// What a call returned: what is wrong with its rows, if anything is, or its error.
    pub fn of(result: Result<Option<String>, Error>) -> Self {
        match result {
            Ok(None) => Told::Success,
            Ok(Some(wrong)) => Told::WrongAnswer(wrong),
            Err(error) => match error.outcome() {
                Outcome::NotExecuted => Told::NotExecuted(error.to_string()),
                Outcome::Failed if had_lost_an_attempt(&error) => {
                    Told::WrongAnswer(format!("Failed after a lost attempt: {error}"))
                }
                Outcome::Failed => Told::Failed(error.to_string()),
                Outcome::Unknown => Told::Unknown(error.to_string()),
            },
        }
    }
}

/// Whether an attempt before the last one may have executed the statement. Only the error's Debug form shows it.
fn had_lost_an_attempt(error: &Error) -> bool {
    let shown = format!("{error:?}");
    assert!(shown.contains("lost_before: "), "{shown}");
    shown.contains("lost_before: true")
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::Success => f.write_str("success"),
            Told::NotExecuted(error) => write!(f, "NotExecuted: {error}"),
            Told::Failed(error) => write!(f, "Failed: {error}"),
            Told::Unknown(error) => write!(f, "Unknown: {error}"),
            Told::WrongAnswer(problem) => write!(f, "a wrong answer: {problem}"),
            Told::Nothing(of) => write!(f, "no end of {of}"),
        }
    }
}

/// A case, and what came of it.
pub struct Played {
    pub case: Case,
    pub told: Told,
    /// The fault happened.
    pub struck: bool,
}

/// Nothing that the policy bounds takes so long.
const STUCK: Duration = Duration::from_secs(10);
/// For cases whose client is left without a sign.
const ATTEMPT: Duration = Duration::from_millis(100);
/// How long nobody can connect where the fault shuts the door.
const SHUT: Duration = Duration::from_millis(3);

/// The executor looks at the sockets of idle connections anew when nothing happened for a millisecond. What is cut and
/// used within that time may be used as if it were alive. And the pool takes a moment to take a connection back.
const NOTICED: Duration = Duration::from_millis(2);

/// What one worker plays on: a proxy and its executors.
pub struct Stage<'p> {
    pub proxy: &'p Proxy,
    pub executors: Executors,
}

impl Stage<'_> {
    /// Plays a case, and then looks whether the executor is as good as before.
    pub async fn play(&self, case: Case) -> Played {
        let told = tokio::time::timeout(STUCK, self.strike(&case)).await;
        if matches!(case.situation, Situation::Retiring | Situation::Closing) {
            // the old connection says goodbye, or is reset, while the case goes on
            let _ = tokio::time::timeout(STUCK, self.until_struck()).await;
        }
        let struck = self.proxy.rules_left().is_empty();
        self.proxy.clear_rules();
        let told = match told {
            Ok(told) => self.look_after(&case, told).await,
            Err(_) => Told::Nothing("the statement"),
        };
        Played { case, told, struck }
    }

    /// Whether as many connections can be had at once as the pools are meant to have.
    pub async fn has_all_connections(&self) -> bool {
        for (exec, connections) in self.executors.all() {
            if !has_all_connections(exec, connections).await {
                return false;
            }
        }
        true
    }

    async fn look_after(&self, case: &Case, told: Told) -> Told {
        let usable = tokio::time::timeout(STUCK, is_usable(&self.executor_for(case), case.number)).await;
        if case.leaves_remains() {
            self.cut().await;
        }
        match usable {
            Ok(Ok(())) => told,
            Ok(Err(problem)) => Told::WrongAnswer(format!("{told}; and the next statement: {problem}")),
            Err(_) => Told::Nothing("the statement after it"),
        }
    }

    async fn strike(&self, case: &Case) -> Told {
        // without an attempt time-out: on a slow machine it would cut what leads to the fault
        if let Err(error) = self.bring_about(case, self.executors.for_case(case)).await {
            return Told::WrongAnswer(format!("before the fault: {error}"));
        }
        let fired = self.proxy.fired();
        if !matches!(case.situation, Situation::Resetting)
            && let Some(rule) = &case.rule
        {
            self.proxy.rule(rule.clone());
        }
        let exec = match case.situation {
            Situation::Unexamined => self.executors.unexamined().with_policy(self.executor_for(case).policy()),
            _ => self.executor_for(case),
        };
        let result = run(&exec, case);
        let result = if case.shuts_the_door() { self.with_door_opened(fired, result).await } else { result.await };
        Told::of(result)
    }

    async fn bring_about(&self, case: &Case, exec: &Executor) -> Result<(), Error> {
        match &case.situation {
            Situation::Connected { primed: true } if matches!(case.work, Work::Transfer(_)) => {
                transfer::prime(exec, case.number).await?;
            }
            Situation::Connected { primed: true } => {
                let (sql, primer) = (case.work.sql(case.number), case.work.primer());
                exec.exec_drop(sql.idempotent(), (primer,)).await?;
            }
            // what strikes there counts the commands from here on, and a new connection has some of its own
            Situation::Connected { primed: false } if case.wire != Wire::Plain && case.work.is_transaction() => {
                exec.query_drop("DO 0".idempotent()).await?;
            }
            Situation::Connected { primed: false } | Situation::Unexamined | Situation::Closing => return Ok(()),
            Situation::CommitLost => {
                let place = Place::AfterRequestWhenAnswered;
                self.proxy.rule(Rule::new(When::text("COMMIT"), place, Fault::Fin));
                return Ok(());
            }
            Situation::Unconnected => {
                self.proxy.cut_all(Fault::Fin).await;
            }
            Situation::Idle(fault) if case.wire != Wire::Plain => {
                exec.query_drop("SELECT 'the last one'".idempotent()).await?;
                self.proxy.cut_all(fault.clone()).await;
            }
            Situation::Idle(fault) => {
                let fired = self.proxy.fired();
                self.proxy.rule(Rule::new(When::text("'the last one'"), Place::AfterReply, fault.clone()));
                exec.query_drop("SELECT 'the last one'".idempotent()).await?;
                self.proxy.wait_fired(fired + 1).await;
            }
            Situation::Pinged | Situation::Retiring => exec.query_drop("DO 0".idempotent()).await.map(drop)?,
            Situation::Forgetting => exec.exec_drop("DO ?".idempotent(), (0,)).await.map(drop)?,
            Situation::Resetting => {
                if let Some(rule) = &case.rule {
                    self.proxy.rule(rule.clone());
                }
                exec.query_drop("SET @left_behind = 1".idempotent()).await?;
                self.until_struck().await;
                return Ok(());
            }
        }
        tokio::time::sleep(NOTICED).await;
        Ok(())
    }

    async fn until_struck(&self) {
        while !self.proxy.rules_left().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends all connections, and what the proxy kept of them.
    async fn cut(&self) {
        self.proxy.cut_all(Fault::Fin).await;
        tokio::time::sleep(NOTICED).await;
    }

    fn executor_for(&self, case: &Case) -> Executor {
        let exec = self.executors.for_case(case);
        let policy = exec.policy().to_builder().attempt_timeout(case.is_silent().then_some(ATTEMPT)).build();
        exec.with_policy(&policy.expect("a good policy"))
    }

    /// Lets connections in again, some time after the fault.
    async fn with_door_opened<T>(&self, fired_before: usize, statement: impl Future<Output = T>) -> T {
        let open = async {
            while self.proxy.fired() == fired_before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(SHUT).await;
            self.proxy.refuse(false).await;
            self.proxy.accept_and_close(false);
            std::future::pending::<()>().await;
        };
        let told = tokio::select! {
            told = statement => told,
            () = open => unreachable!("it is pending"),
        };
        self.proxy.refuse(false).await;
        self.proxy.accept_and_close(false);
        told
    }
}

/// Whether so many connections can be had at once.
pub async fn has_all_connections(exec: &Executor, connections: usize) -> bool {
    let mut held = Vec::new();
    for _ in 0..connections {
        match tokio::time::timeout(STUCK, exec.connection()).await {
            Ok(Ok(connection)) => held.push(connection),
            Ok(Err(_)) | Err(_) => return false,
        }
    }
    true
}

/// Another statement gets its own answer.
pub async fn is_usable(exec: &Executor, number: u32) -> Result<(), String> {
    let wanted = number + 1_000_000;
    let question = format!("SELECT {wanted}").idempotent();
    let answer: Option<u32> = exec.query_first(question).await.map_err(|error| error.to_string())?;
    if answer == Some(wanted) { Ok(()) } else { Err(format!("{answer:?} instead of {wanted}")) }
}
