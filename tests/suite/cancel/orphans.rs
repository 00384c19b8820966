//! A call that is dropped half-way, or cut by its time-out, leaves no statement running on the server.

use futures_util::StreamExt as _;
use mysql_async::{Conn, OptsBuilder, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, RetryPolicy};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When};

use crate::{
    support::hooks::{Losses, ms},
    support::{connection_id, executor_of_one, in_time, pool_of, shared, unique},
};

/// A row that is locked. (What waits for it is not ended by the server when its client goes away; SLEEP and GET_LOCK are.)
struct Locked {
    table: String,
    owner: Conn,
}

impl Locked {
    async fn new(server: &Server) -> Self {
        let table = unique("locked");
        server.query_drop(format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT NOT NULL)")).await;
        server.query_drop(format!("INSERT INTO {table} VALUES (1, 0)")).await;
        let mut owner = server.connect().await;
        owner.query_drop("BEGIN").await.expect("a transaction");
        owner.query_drop(format!("SELECT v FROM {table} WHERE id = 1 FOR UPDATE")).await.expect("the row");
        Locked { table, owner }
    }

    /// A statement that waits for the row.
    fn read(&self) -> String {
        format!("SELECT v FROM {} WHERE id = 1 FOR UPDATE", self.table)
    }

    /// Another one.
    fn update(&self) -> String {
        format!("UPDATE {} SET v = 1 WHERE id = 1", self.table)
    }

    async fn release(mut self, server: &Server) -> Option<i32> {
        self.owner.query_drop("COMMIT").await.expect("the row is free");
        server.query_first(format!("SELECT v FROM {} WHERE id = 1", self.table)).await
    }
}

/// A server with a statement whose last row never comes. Its own: a statement that is not ended uses a processor.
struct Endless {
    server: Server,
}

impl Endless {
    /// The first rows fill the server's buffer, so that they are sent.
    const SELECT: &str =
        "SELECT id, BENCHMARK(IF(id < 4, 0, 1000000000000), SHA2(id, 256)), filler FROM streamed ORDER BY id";

    async fn new() -> Self {
        let server = Server::start().await;
        server.query_drop("CREATE TABLE streamed (id INT PRIMARY KEY, filler VARCHAR(12000) NOT NULL)").await;
        server.query_drop("INSERT INTO streamed SELECT 1, REPEAT('a', 12000)").await;
        server.query_drop("INSERT INTO streamed SELECT id + 1, filler FROM streamed").await;
        server.query_drop("INSERT INTO streamed SELECT id + 2, filler FROM streamed").await;
        Endless { server }
    }
}

/// Connections that wait for a row longer than any test.
fn waiting(connections: usize, opts: OptsBuilder) -> Executor {
    Executor::new(waiting_opts(connections, opts)).expect("good options")
}

fn waiting_opts(connections: usize, opts: OptsBuilder) -> OptsBuilder {
    pool_of(connections, opts.setup(vec!["SET SESSION innodb_lock_wait_timeout = 100000"]))
}

#[tokio::test]
async fn a_statement_whose_caller_has_gone_away_is_ended() {
    let server = shared().await;
    let locked = Locked::new(server).await;
    let exec = waiting(1, server.opts());
    for (prepared, sql) in
        [(false, locked.read()), (true, locked.read()), (false, locked.update()), (true, locked.update())]
    {
        let call = async { if prepared { exec.exec_drop(&*sql, ()).await } else { exec.query_drop(&*sql).await } };
        let id = tokio::select! {
            done = call => panic!("it was to be dropped: {done:?}"),
            id = server.wait_until_running(&locked.table) => id,
        };
        server.wait_gone(id).await;
        assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
    }
    assert_eq!(locked.release(server).await, Some(0), "what waited for the row was executed after all");
}

#[tokio::test]
async fn a_task_that_is_aborted_leaves_no_statement_behind() {
    let server = shared().await;
    let locked = Locked::new(server).await;
    let exec = waiting(1, server.opts());
    let task = tokio::spawn({
        let (exec, sql) = (exec.clone(), locked.update());
        async move { exec.query_drop(sql).await }
    });
    let id = server.wait_until_running(&locked.table).await;
    task.abort();
    server.wait_gone(id).await;
    assert_eq!(locked.release(server).await, Some(0));
}

// the pile of abandoned scans that a time-out must not leave
#[tokio::test]
async fn a_statement_that_its_attempt_time_out_cut_is_ended_though_it_is_not_replayed() {
    let server = shared().await;
    let policy = RetryPolicy::builder().attempt_timeout(ms(2_000)).build().expect("valid");
    let locked = Locked::new(server).await;
    let exec = waiting(1, server.opts());
    let handle = exec.with_policy(&policy);
    let (error, id) = in_time(async {
        exec.ping().await.expect("a server");
        let id = connection_id(&exec).await;
        (handle.query_drop(locked.read()).await.unwrap_err(), id)
    })
    .await;
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::NotIdempotent), "{error}");
    server.wait_gone(id).await;
}

#[tokio::test]
async fn a_statement_on_a_borrowed_connection_whose_future_was_dropped_is_ended() {
    let server = shared().await;
    let locked = Locked::new(server).await;
    let exec = waiting(1, server.opts());
    for prepared in [false, true] {
        let mut conn = exec.connection().await.expect("a connection");
        let id = conn.id();
        let sql = locked.update();
        let statement = async { if prepared { conn.exec_drop(sql, ()).await } else { conn.query_drop(sql).await } };
        tokio::select! {
            done = statement => panic!("it was to be dropped: {done:?}"),
            running = server.wait_until_running(&locked.table) => assert_eq!(running, id),
        }
        drop(conn);
        server.wait_gone(id).await;
        assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
    }
    assert_eq!(locked.release(server).await, Some(0), "what waited for the row was executed after all");
}

#[tokio::test]
async fn a_borrowed_connection_that_is_dropped_in_the_middle_of_its_rows_leaves_no_statement_behind() {
    let endless = Endless::new().await;
    // the rest of the rows cannot be read within this time
    let policy = RetryPolicy::builder().connect_timeout(ms(300)).build().expect("valid");
    let patient = RetryPolicy::default();
    let exec = Executor::builder().policy(policy).build(pool_of(1, endless.server.opts())).expect("good options");
    let mut conn = in_time(exec.with_policy(&patient).connection()).await.expect("a connection");
    let id = conn.id();
    let mut rows = in_time(conn.query_iter(Endless::SELECT)).await.expect("rows");
    in_time(rows.next()).await.expect("a row").expect("the first");
    assert_eq!(endless.server.wait_until_running("BENCHMARK").await, id);
    drop(rows);
    drop(conn);
    endless.server.wait_gone(id).await;
    assert_eq!(in_time(exec.with_policy(&patient).query_first("SELECT 7")).await.expect("an answer"), Some(7));
}

#[tokio::test]
async fn a_call_that_is_dropped_between_its_loss_and_its_replay_leaves_no_statement_behind() {
    let server = shared().await;
    let locked = Locked::new(server).await;
    let proxy = Proxy::start(server).await;
    let (hook, mut losses) = Losses::listen();
    let exec = Executor::builder().on_event(hook).build(waiting_opts(1, proxy.opts())).expect("good options");
    let id = connection_id(&exec).await;
    proxy.rule(Rule::new(When::text("UPDATE"), Place::AfterRequest, Fault::Fin).keep_server());
    proxy.black_hole(true);
    tokio::select! {
        done = exec.query_drop(locked.update().idempotent()) => panic!("it was to be dropped: {done:?}"),
        () = losses.wait_for(1) => {}
    }
    proxy.black_hole(false);
    assert_eq!(in_time(exec.query_first("SELECT 7")).await.expect("an answer"), Some(7));
    server.wait_gone(id).await;
    assert_eq!(locked.release(server).await, Some(0), "what waited for the row was executed after all");
}

#[tokio::test]
async fn a_stream_that_is_dropped_while_it_reads_leaves_no_statement_behind() {
    let Endless { server } = Endless::new().await;
    let exec = executor_of_one(server.opts());
    let mut stream = in_time(exec.query_stream::<(u32, u32, String), _>(Endless::SELECT)).await.expect("rows");
    assert_eq!(in_time(stream.next()).await.expect("a row").expect("the first").0, 1);
    let id = server.wait_until_running("BENCHMARK").await;
    drop(stream);
    server.wait_gone(id).await;
}

#[tokio::test]
async fn a_thousand_cancelled_calls_leave_the_pool_at_full_size_and_nothing_running() {
    const POOL: usize = 4;
    let server = shared().await;
    let locked = Locked::new(server).await;
    let exec = waiting(POOL, server.opts());
    // somebody else's, and one of another executor
    let other = waiting(1, server.opts());
    let others_lock = Locked::new(server).await;
    let others = tokio::spawn({
        let (other, sql) = (other.clone(), others_lock.update());
        async move { other.query_drop(sql).await }
    });
    let others_id = server.wait_until_running(&others_lock.table).await;
    let mut client = mysql_async::Conn::new(server.opts()).await.expect("a server");
    for n in 0..1_000_u64 {
        // cut at another point each time: in the pool, while connecting, while the statement runs
        let after = std::time::Duration::from_micros((n % 40) * 100);
        let _ = tokio::time::timeout(after, exec.query_drop(locked.read())).await;
    }
    // all at once, so that each has a connection of its own
    let meeting = "SELECT CONNECTION_ID() FROM (SELECT SLEEP(2)) AS nap";
    let answers = in_time(futures_util::future::join_all((0..POOL).map(|_| exec.query_first::<u32, _>(meeting)))).await;
    let mut ids: Vec<u32> = answers.into_iter().map(|id| id.expect("an answer").expect("a row")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), POOL, "a slot of the pool was lost");
    let running = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%{}%' AND id <> CONNECTION_ID()",
        locked.table
    );
    in_time(async {
        while server.query_first::<u32>(&running).await != Some(0) {
            tokio::time::sleep(ms(20)).await;
        }
    })
    .await;
    assert_eq!(server.wait_until_running(&others_lock.table).await, others_id);
    assert!(!others.is_finished(), "a statement of another executor was ended");
    assert_eq!(client.query_first::<i32, _>("SELECT 7").await.expect("it was killed"), Some(7));
    others_lock.release(server).await;
    in_time(others).await.expect("no panic").expect("it has got its row");
}
