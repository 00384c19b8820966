//! A silent attempt is watched over another connection: it is given up when its session or its path is dead, and not cut while it runs.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, future::join_all};
use mysql_async::OptsBuilder;
use mysql_retry::{
    Annotate as _, Done, Executor, ExecutorBuilder, Outcome, Reason, RetryPolicy, RowStream, TxOpts, Unavailable,
};
use mysql_retry_fixture::{Events, Fault, Place, Proxy, Recorded, Rule, Server, When, in_time, ms, pool_of};

use crate::support::{Ledger, connection_id, patient, shared, unique};

/// Watches an attempt after a second of silence, and gives it up after another one.
fn watching() -> ExecutorBuilder {
    Executor::builder().policy(patient()).watch_after(ms(1_000)).give_up_after(ms(1_000))
}

/// Where the server is to be found well, it is given more time than a busy machine needs for an answer.
const BUSY: Duration = ms(4_000);

fn exec_of_one(builder: ExecutorBuilder, opts: OptsBuilder) -> Executor {
    builder.build(pool_of(1, opts)).expect("good options")
}

/// The statement is executed; then the session ends, and the client does not notice.
fn half_open(text: &str) -> Rule {
    Rule::new(When::text(text), Place::AfterRequestWhenAnswered, Fault::ServerOnlyFin)
}

#[tokio::test]
async fn a_read_in_a_black_hole_is_given_up_and_replayed_when_the_path_is_back() {
    let proxy = Proxy::start(shared().await).await;
    let events = Events::default();
    let exec = exec_of_one(watching().on_event(events.hook()), proxy.opts());
    in_time(exec.ping()).await.expect("a server");
    proxy.go_dark().await;
    let path = async {
        events.wait_for(|event| *event == Recorded::Down { why: Unavailable::Silent }).await;
        proxy.heal().await;
    };
    let call = exec.query_first::<u8, _>("SELECT 7".idempotent());
    let (answer, ()) = in_time(async { tokio::join!(call, path) }).await;
    assert_eq!(answer.expect("a replay"), Some(7));
    assert_eq!((exec.counters().replays, exec.counters().recovered), (1, 1));
}

#[tokio::test]
async fn a_plain_write_in_a_black_hole_surfaces_as_unknown() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = exec_of_one(watching(), proxy.opts());
    in_time(exec.ping()).await.expect("a server");
    proxy.go_dark().await;
    let error = in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::NotIdempotent), "{error}");
    assert!(error.is_timeout() && error.attempts() == 1, "{error}");
    assert!(error.to_string().contains("the server has not answered for 1.000s"), "{error}");
    proxy.heal().await;
    in_time(exec.ping()).await.expect("the path is back");
}

#[tokio::test]
async fn a_long_statement_is_looked_at_again_and_again_and_not_cut() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let events = Events::default();
    let builder = watching().watch_after(ms(500)).give_up_after(ms(30_000)).on_event(events.hook());
    // the watch needs no connection of the pool
    let exec = exec_of_one(builder, proxy.opts());
    let id = in_time(connection_id(&exec)).await;
    let before = proxy.accepted();
    let row = in_time(exec.query_first::<(u32, u8), _>("SELECT CONNECTION_ID(), SLEEP(5)")).await;
    assert_eq!(row.expect("not cut"), Some((id, 0)));
    let looks = proxy.accepted() - before;
    assert!((2..=10).contains(&looks), "{looks} looks");
    assert_eq!(events.recorded(), []);
    let sent = proxy.commands().iter().filter(|it| it.text.as_ref().is_some_and(|it| it.contains("SLEEP"))).count();
    assert_eq!(sent, 1);
}

#[tokio::test]
async fn a_long_statement_is_not_cut_although_its_session_has_let_go_of_all_locks() {
    let proxy = Proxy::start(shared().await).await;
    let exec = exec_of_one(watching().watch_after(ms(300)).give_up_after(ms(30_000)), proxy.opts());
    let mut session = in_time(exec.session()).await.expect("a session");
    in_time(session.query_drop("SELECT RELEASE_ALL_LOCKS()")).await.expect("a server");
    let before = proxy.accepted();
    in_time(session.query_drop("SELECT SLEEP(3)")).await.expect("not cut");
    assert!(proxy.accepted() > before, "nobody looked");
}

#[tokio::test]
async fn many_long_statements_are_looked_at_together() {
    const TASKS: usize = 20;
    let proxy = Proxy::start(shared().await).await;
    let builder = watching().watch_after(ms(800)).give_up_after(ms(30_000));
    let exec = builder.build(pool_of(TASKS, proxy.opts())).expect("good options");
    let began = Instant::now();
    let sleeping = (0..TASKS).map(|_| exec.query_drop("SELECT SLEEP(3)"));
    for slept in in_time(join_all(sleeping)).await {
        slept.expect("not cut");
    }
    // one look at a time, with a pause of 100 ms
    let most = usize::try_from(began.elapsed().as_millis() / 100).expect("few");
    let looks = proxy.accepted() - TASKS;
    assert!((1..=most).contains(&looks), "{looks} looks");
    // each look asks one question about all sessions; the last one may not have asked yet
    let asks =
        |part: &str| proxy.commands().iter().filter(|it| it.text.as_ref().is_some_and(|it| it.contains(part))).count();
    for part in ["IS_USED_LOCK", "PROCESSLIST"] {
        assert!((1..=looks).contains(&asks(part)), "{part}: {} in {looks} looks", asks(part));
    }
}

/// A user who may do nothing but use his database.
async fn plain_user(server: &Server, opts: OptsBuilder) -> OptsBuilder {
    let user = unique("plain");
    server.query_drop(format!("CREATE USER {user}@'%' IDENTIFIED BY 'plain-pass'")).await;
    server.query_drop(format!("GRANT SELECT, INSERT ON test.* TO {user}@'%'")).await;
    opts.user(Some(user)).pass(Some("plain-pass"))
}

#[tokio::test]
async fn a_session_that_has_ended_without_our_knowing_is_noticed_also_by_a_user_without_rights() {
    let server = shared().await;
    let scene = async |plain: bool| {
        let ledger = Ledger::new(server).await;
        let proxy = Proxy::start(server).await;
        let opts = if plain { plain_user(server, proxy.opts()).await } else { proxy.opts() };
        let exec = exec_of_one(watching().give_up_after(ms(30_000)), opts);
        proxy.rules([half_open("SELECT 7"), half_open(&ledger.table)]);
        assert_eq!(in_time(exec.query_first("SELECT 7".idempotent())).await.expect("a replay"), Some(7));
        let error = in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::NotIdempotent), "{error}");
        assert!(error.to_string().contains("the server has lost the session"), "{error}");
        assert_eq!((exec.counters().replays, exec.counters().outages), (1, 0), "the server is well");
        assert_eq!(ledger.rows().await, 1);
    };
    join_all([scene(false), scene(true)]).await;
}

// A firewall that has forgotten the connection drops what is sent on it. The session lives and idles.
#[tokio::test]
async fn what_is_swallowed_on_its_way_is_noticed_although_the_session_lives() {
    let server = shared().await;
    let scene = async |plain: bool, place: Place| {
        let ledger = Ledger::new(server).await;
        let proxy = Proxy::start(server).await;
        let opts = if plain { plain_user(server, proxy.opts()).await } else { proxy.opts() };
        let exec = exec_of_one(watching().give_up_after(BUSY), opts);
        let swallowed = |text: &str| Rule::new(When::text(text), place, Fault::Silence);
        proxy.rules([swallowed("SELECT 7"), swallowed("VALUES (1)"), swallowed("VALUES (2)")]);
        let shown = format!("{place:?}, plain user: {plain}");
        assert_eq!(in_time(exec.query_first("SELECT 7".idempotent())).await.expect(&shown), Some(7), "{shown}");
        let error = in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
        assert_eq!((error.outcome(), error.reason()), (Outcome::Unknown, Reason::NotIdempotent), "{shown}: {error}");
        assert!(error.is_timeout() && error.to_string().contains("the server waits for a request"), "{shown}: {error}");
        let executed = u64::from(place != Place::Request(0));
        assert_eq!(ledger.rows().await, executed, "{shown}");
        let again = format!("INSERT INTO {} (n) VALUES (2)", ledger.table).idempotent();
        in_time(exec.query_drop(again)).await.expect(&shown);
        assert_eq!(ledger.rows().await, 2 * executed + 1, "{shown}");
        assert_eq!((exec.counters().replays, exec.counters().outages), (2, 0), "{shown}: the server is well");
        assert_eq!(proxy.rules_left(), [], "{shown}");
    };
    let places = [Place::Request(0), Place::AfterRequestWhenAnswered];
    join_all([false, true].into_iter().flat_map(|plain| places.map(|place| scene(plain, place)))).await;
}

// A request or a reply is still on its way; the server waits for a request, or for the rest of one.
#[tokio::test]
async fn what_is_still_on_its_way_is_not_given_up() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    ledger.fill(3_000).await;
    let letters = "x".repeat(100_000);
    let scene = async |sql: String, place: Place, rows: usize| {
        let proxy = Proxy::start(server).await;
        let exec = exec_of_one(watching().give_up_after(BUSY), proxy.opts());
        proxy.rule(Rule::new(When::text("/* slowly */"), place, Fault::Silence));
        let path = async {
            proxy.wait_fired(1).await;
            // longer than the watch lets a session idle
            tokio::time::sleep(BUSY + ms(3_000)).await;
            proxy.heal().await;
        };
        let (read, ()) = in_time(async { tokio::join!(exec.query::<u64, _>(sql), path) }).await;
        assert_eq!(read.expect("not given up").len(), rows, "{place:?}");
        assert_eq!((exec.counters().losses, exec.counters().outages), (0, 0), "{place:?}");
    };
    let reply = format!("SELECT /* slowly */ n FROM {} ORDER BY id", ledger.table);
    let request = format!("SELECT /* slowly */ LENGTH('{letters}')");
    tokio::join!(scene(reply, Place::Reply(9_000), 3_000), scene(request, Place::Request(70_000), 1));
}

#[tokio::test]
async fn a_server_that_hangs_under_a_statement_is_noticed_and_the_statement_replayed_when_it_goes_on() {
    let server = Server::start().await;
    let events = Events::default();
    let exec = exec_of_one(watching().on_event(events.hook()), server.opts());
    in_time(exec.ping()).await.expect("a server");
    let hangs = async {
        server.wait_until_running("/* hangs */").await;
        server.freeze();
        events.wait_for(|event| *event == Recorded::Down { why: Unavailable::Silent }).await;
        server.thaw();
    };
    let call = exec.query_drop("SELECT SLEEP(2) /* hangs */".idempotent());
    let (result, ()) = in_time(async { tokio::join!(call, hangs) }).await;
    result.expect("it goes on");
    assert!(exec.counters().replays > 0, "{:?}", exec.counters());
}

#[tokio::test]
async fn transactions_are_watched_in_their_statements_and_at_their_commit() {
    let server = shared().await;
    let scene = async |guarded: bool, text: &str| {
        let ledger = Ledger::new(server).await;
        let proxy = Proxy::start(server).await;
        let builder = watching().give_up_after(ms(30_000)).guard_table(unique("guard"));
        let exec = exec_of_one(builder, proxy.opts());
        if guarded {
            exec.create_guard_table().await.expect("created");
        }
        proxy.rule(half_open(text));
        let transaction = exec.transaction(TxOpts::default(), |mut tx| {
            let insert = ledger.insert();
            async move { tx.query_drop(insert).await }
        });
        let shown = format!("{text}, guarded: {guarded}");
        if guarded {
            let done = in_time(async { transaction.exactly_once("token").await }).await.expect(&shown);
            assert!(matches!(done, Done::Now(())), "{shown}");
        } else {
            let result = in_time(async { transaction.await }).await;
            let outcome = result.map_err(|error: mysql_retry::Error| (error.outcome(), error.reason()));
            let lost = (text == "COMMIT").then_some((Outcome::Unknown, Reason::CommitLost));
            assert_eq!(outcome.err(), lost, "{shown}");
        }
        assert_eq!((proxy.rules_left(), ledger.rows().await), (vec![], 1), "{shown}");
    };
    let texts = ["START TRANSACTION", "INSERT INTO ledger", "COMMIT"];
    join_all([false, true].into_iter().flat_map(|guarded| texts.map(|text| scene(guarded, text)))).await;
}

/// A ledger behind a proxy, and a statement whose reply does not fit into one read.
async fn with_many_rows() -> (Ledger<'static>, Proxy, Executor, String) {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    ledger.fill(3_000).await;
    let proxy = Proxy::start(server).await;
    let exec = exec_of_one(watching().give_up_after(ms(30_000)), proxy.opts());
    let sql = format!("SELECT n FROM {} ORDER BY id", ledger.table);
    (ledger, proxy, exec, sql)
}

#[tokio::test]
async fn a_stream_is_watched_between_its_rows() {
    let (_ledger, proxy, exec, sql) = with_many_rows().await;
    for prepared in [false, true] {
        let when = if prepared { When::executes(&sql) } else { When::text(&sql) };
        proxy.rule(Rule::new(when, Place::Reply(9_000), Fault::ServerOnlyFin));
        let sql = sql.as_str().idempotent();
        let stream = async { if prepared { exec.exec_stream(sql, ()).await } else { exec.query_stream(sql).await } };
        let mut stream: RowStream<u64> = in_time(stream).await.expect("the first row");
        let mut rows: u64 = 0;
        let error = loop {
            match in_time(stream.next()).await.expect("it cannot end well") {
                Ok(n) => {
                    rows += 1;
                    assert_eq!(rows, n);
                }
                Err(error) => break error,
            }
        };
        assert_eq!((error.reason(), error.rows_delivered()), (Reason::RowsDelivered, rows), "{error}");
        assert!(rows > 0 && error.to_string().contains("the server has lost the session"), "{error}");
    }
}

#[tokio::test]
async fn a_stream_whose_caller_is_busy_is_not_looked_at() {
    let (_ledger, proxy, exec, sql) = with_many_rows().await;
    // the stream waits for one of the rows
    proxy.rule(Rule::new(When::text(&sql), Place::Reply(9_000), Fault::Delay(ms(100))));
    let mut stream: RowStream<u64> = in_time(exec.query_stream(sql.as_str())).await.expect("the first row");
    for row in 1..=2_000 {
        assert_eq!(in_time(stream.next()).await.expect("a row").expect("no error"), row);
    }
    assert_eq!(proxy.fired(), 1);
    let before = proxy.accepted();
    tokio::time::sleep(ms(3_000)).await;
    assert_eq!(proxy.accepted(), before);
}

#[tokio::test]
async fn what_has_a_time_out_of_its_own_or_is_not_to_be_watched_is_left_alone() {
    let proxy = Proxy::start(shared().await).await;
    let eager = || watching().watch_after(ms(200));
    let timed = RetryPolicy::builder().attempt_timeout(ms(30_000)).build().expect("valid");
    for (builder, looked_at) in [(eager(), true), (eager().policy(timed), false), (eager().watch_after(None), false)] {
        let exec = exec_of_one(builder.give_up_after(ms(30_000)), proxy.opts());
        in_time(exec.ping()).await.expect("a server");
        let before = proxy.accepted();
        in_time(exec.query_drop("SELECT SLEEP(2)")).await.expect("not cut");
        assert_eq!(proxy.accepted() > before, looked_at);
    }
    let exec = exec_of_one(eager().watch_after(None), proxy.opts());
    proxy.rule(half_open("SELECT 7"));
    let call = exec.query_drop("SELECT 7".idempotent());
    tokio::time::timeout(Duration::from_secs(2), call).await.expect_err("nobody looks");
    assert_eq!(exec.counters().losses, 0);
}
