//! The executors that one worker plays with: one for each situation that needs its own.

use std::time::Duration;

use mysql_async::OptsBuilder;
use mysql_retry::{Executor, RetryPolicy};
use mysql_retry_fixture::{Proxy, pool_of};

use crate::{
    case::{Case, Situation},
    wire::Wire,
    work::parts_file,
};

const DEADLINE: Duration = Duration::from_secs(8);

pub struct Executors {
    opts: OptsBuilder,
    connections: usize,
    plain: Executor,
    /// Pings before each use.
    pinging: Executor,
    /// Has one connection, which keeps one prepared statement.
    forgetful: Executor,
    /// Uses no connection twice.
    restless: Executor,
}

/// Most of their statements meet a loss, which no budget is made for.
fn builder() -> mysql_retry::ExecutorBuilder {
    let builder = Executor::builder().policy(policy()).ping_after(None).allow_session_text(true);
    builder.retry_budget(None).probe_interval(Duration::from_millis(20))
}

impl Executors {
    pub fn new(proxy: &Proxy, wire: Wire, connections: usize) -> Self {
        let opts_of = |connections| {
            let opts = pool_of(connections, wire.of(proxy.opts()));
            opts.local_infile_handler(Some(mysql_async::WhiteListFsHandler::new([parts_file()])))
        };
        let opts = || opts_of(connections);
        Executors {
            opts: opts(),
            connections,
            plain: builder().build(opts()).expect("good options"),
            pinging: builder().ping_after(Duration::ZERO).build(opts()).expect("good options"),
            forgetful: builder().build(opts_of(1).stmt_cache_size(1)).expect("good options"),
            restless: builder().max_age(Duration::from_nanos(1)).build(opts()).expect("good options"),
        }
    }

    /// All of them, and how many connections each may have.
    pub fn all(&self) -> [(&Executor, usize); 4] {
        let Executors { connections, plain, pinging, forgetful, restless, .. } = self;
        [(plain, *connections), (pinging, *connections), (forgetful, 1), (restless, *connections)]
    }

    /// One for a single case, which has not looked at the guard's table yet.
    pub fn unexamined(&self) -> Executor {
        builder().build(self.opts.clone()).expect("good options")
    }

    pub fn for_case(&self, case: &Case) -> &Executor {
        match case.situation {
            Situation::Connected { .. }
            | Situation::Unconnected
            | Situation::Idle(_)
            | Situation::Resetting
            | Situation::Unexamined
            | Situation::CommitLost
            | Situation::Closing => &self.plain,
            Situation::Pinged => &self.pinging,
            Situation::Forgetting => &self.forgetful,
            Situation::Retiring => &self.restless,
        }
    }
}

pub fn policy() -> RetryPolicy {
    let ms = Duration::from_millis;
    let policy = RetryPolicy::builder().deadline(DEADLINE).connect_timeout(ms(500));
    policy.initial_delay(ms(1)).max_delay(ms(5)).build().expect("a good policy")
}
