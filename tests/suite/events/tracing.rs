//! Events as `tracing` events, under a span of the whole call.

use std::{
    fmt::{Debug, Write as _},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::TryStreamExt as _;
use mysql_retry::{Annotate, Executor};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time};
use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};

use crate::support::{executor, executor_via, shared};

/// Writes down the library's spans and events, one line each.
#[derive(Clone, Default)]
struct Notes(Arc<State>);

#[derive(Default)]
struct State {
    next: AtomicU64,
    entered: Mutex<Vec<u64>>,
    spans: Mutex<Vec<String>>,
    events: Mutex<Vec<(Vec<String>, String)>>,
    /// What spans were told after their beginning.
    recorded: Mutex<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").expect("a string takes everything");
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mysql_retry")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields(attributes.metadata().name().to_owned());
        attributes.record(&mut fields);
        lock(&self.0.spans).push(fields.0);
        // span n is at n - 1
        Id::from_u64(self.0.next.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut fields = Fields(String::new());
        values.record(&mut fields);
        lock(&self.0.recorded).push_str(&fields.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        let spans = lock(&self.0.spans);
        let entered = lock(&self.0.entered);
        let within = entered.iter().map(|id| spans[usize::try_from(*id).expect("few") - 1].clone()).collect();
        lock(&self.0.events).push((within, fields.0));
    }

    fn enter(&self, span: &Id) {
        lock(&self.0.entered).push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        lock(&self.0.entered).retain(|id| *id != span.into_u64());
    }
}

impl Notes {
    /// Notes of what happens on this thread until the guard is dropped.
    fn begin() -> (Notes, DefaultGuard) {
        // While there is just one subscriber, `tracing` asks the thread that first comes to an event whether anybody
        // wants it, and remembers a no for all threads: other tests run at the same time, and listen to nothing.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(Notes::default()));
        let notes = Notes::default();
        let guard = tracing::subscriber::set_default(notes.clone());
        tracing::callsite::rebuild_interest_cache();
        (notes, guard)
    }

    fn events(&self) -> Vec<(Vec<String>, String)> {
        lock(&self.0.events).clone()
    }

    fn spans(&self) -> Vec<String> {
        lock(&self.0.spans).clone()
    }
}

fn assert_told_within_one_span(notes: &Notes, delivery: &str, messages: &[&str]) {
    let (spans, events) = (notes.spans(), notes.events());
    assert_eq!(spans.len(), 1, "one call, one span: {spans:?}");
    assert!(spans[0].starts_with("mysql_retry::call"), "{spans:?}");
    assert!(spans[0].contains(&format!("delivery={delivery}")), "{spans:?}");
    assert_eq!(events.len(), messages.len(), "{events:#?}");
    for ((within, event), message) in events.iter().zip(messages) {
        assert_eq!(*within, spans, "outside of the span: {event}");
        assert!(event.contains(message), "'{event}' is not '{message}'");
    }
    let all = format!("{spans:?} {events:?}");
    assert!(!all.contains("s3cret"), "a parameter value: {all}");
}

#[tokio::test]
async fn a_replay_is_traced_within_the_span_of_its_call() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(Rule::reply_lost(When::executes("SELECT ?")));
    let exec = executor_via(&proxy);
    let (notes, guard) = Notes::begin();
    let answer: Option<String> =
        in_time(exec.exec_first("SELECT ?".idempotent(), ("s3cret",))).await.expect("a replay");
    drop(guard);
    assert_eq!(answer.as_deref(), Some("s3cret"));
    let messages = ["connection lost", "retry scheduled", "replayed", "recovered"];
    assert_told_within_one_span(&notes, "at least once", &messages);
}

#[tokio::test]
async fn a_loss_that_surfaces_is_traced_within_the_span_of_its_call() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(Rule::reply_lost(When::executes("SELECT ?")));
    let exec = executor_via(&proxy);
    let (notes, guard) = Notes::begin();
    in_time(exec.exec_drop("SELECT ?", ("s3cret",))).await.unwrap_err();
    drop(guard);
    assert_told_within_one_span(&notes, "at most once", &["connection lost", "gave up"]);
    let (_, gave_up) = &notes.events()[1];
    for field in ["outcome=Unknown", "reason=NotIdempotent", "attempts=1"] {
        assert!(gave_up.contains(field), "{gave_up}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_traced_within_the_span_of_its_call() {
    let proxy = Proxy::start(shared().await).await;
    // the first row and a half
    proxy.rule(Rule::new(When::text("REPEAT"), Place::Reply(1_500), Fault::Fin));
    let exec = executor_via(&proxy);
    let (notes, guard) = Notes::begin();
    let sql = "SELECT REPEAT('a', 1000) UNION ALL SELECT REPEAT('s3cret', 200)";
    let mut stream = in_time(exec.query_stream::<String, _>(sql)).await.expect("the first row");
    assert!(in_time(stream.try_next()).await.expect("the first row").is_some());
    let error = in_time(stream.try_next()).await.expect_err("half of a row");
    drop(guard);
    assert_eq!(error.rows_delivered(), 1);
    assert_told_within_one_span(&notes, "at most once", &["connection lost", "gave up"]);
}

#[tokio::test]
async fn a_success_is_a_span_without_events() {
    let exec = executor(shared().await);
    let (notes, guard) = Notes::begin();
    exec.exec_drop("SELECT ?", ("s3cret",)).await.expect("success");
    drop(guard);
    assert_told_within_one_span(&notes, "at most once", &[]);
}

#[tokio::test]
async fn a_span_has_opentelemetry_s_names_and_neither_text_nor_value() {
    let server = shared().await;
    let exec = executor(server);
    let (notes, guard) = Notes::begin();
    exec.exec_drop("select ?", ("s3cret",)).await.expect("success");
    exec.query_drop("SELECT 's3cret' FROM nowhere").await.expect_err("there is no such table");
    drop(guard);
    let spans = notes.spans();
    for field in
        ["otel.kind=\"client\"", "db.system.name=\"mysql\"", "db.namespace=\"test\"", "db.operation.name=\"SELECT\""]
    {
        assert!(spans.iter().all(|span| span.contains(field)), "{field}: {spans:?}");
    }
    let address = server.address();
    let server_fields = match address.rsplit_once(':') {
        Some((host, port)) => format!("server.address={host:?} server.port={port}"),
        None => format!("server.address={address:?}"),
    };
    assert!(spans.iter().all(|span| span.contains(&server_fields)), "{server_fields}: {spans:?}");
    let recorded = lock(&notes.0.recorded).clone();
    assert_eq!(recorded, " otel.status_code=\"ERROR\" db.response.status_code=1146 error.type=1146");
    assert!(!format!("{spans:?} {recorded}").contains("s3cret"));
}

#[tokio::test]
async fn a_span_has_the_text_where_that_is_asked_for_and_never_its_values() {
    let exec = Executor::builder().trace_text(true).build(shared().await.opts()).expect("good options");
    let (notes, guard) = Notes::begin();
    exec.query_drop("SELECT 's3cret', 4711 -- s3cret").await.expect("success");
    exec.exec_drop("SELECT ?", ("s3cret",)).await.expect("success");
    exec.query_drop("SELECT 's3cret\\\\'").await.expect("success");
    drop(guard);
    let spans = notes.spans();
    let shown = [Some("db.query.text=\"SELECT ?, ? \""), Some("db.query.text=\"SELECT ?\""), None];
    for (span, shown) in spans.iter().zip(shown) {
        assert!(!span.contains("s3cret") && !span.contains("4711"), "{span}");
        assert_eq!(span.contains("db.query.text"), shown.is_some(), "{span}");
        assert!(shown.is_none_or(|shown| span.contains(shown)), "{span}");
    }
    assert_eq!(spans.len(), 3, "{spans:?}");
}
