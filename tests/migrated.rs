//! Three programs on the bare driver, and moved to this crate: what had to be changed in them, and what that changes when connections
//! are lost.

#[path = "../examples/migrated/bare"]
mod bare {
    pub mod actor;
    pub mod store;
    pub mod web;
}

#[path = "../examples/migrated/moved"]
mod moved {
    pub mod actor;
    pub mod store;
    pub mod web;
}

use std::{fs, path::PathBuf};

use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When, in_time};

/// Of a hundred lines, so many may be other ones.
const CHANGED: usize = 5;

#[test]
fn a_move_changes_few_lines_and_no_logic() {
    for program in ["actor", "store", "web"] {
        let [bare, moved] = ["bare", "moved"].map(|which| source(which, program));
        let new: Vec<&str> = moved.lines().filter(|line| !bare.lines().any(|old| old == *line)).collect();
        let all = moved.lines().count();
        println!("{program}: {} of {all} lines: {new:#?}", new.len());
        assert!(new.len() * 100 <= all * CHANGED, "{program}: {} of {all} lines", new.len());
        assert!(!new.is_empty(), "{program} was not moved");
        for line in new {
            let line = line.trim_start();
            assert!(
                line.starts_with("use ") || line.contains("pool:"),
                "{program}: neither a type nor its making: {line}"
            );
        }
    }
}

fn source(which: &str, program: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/migrated").join(which);
    fs::read_to_string(folder.join(program).with_extension("rs")).expect("a program")
}

/// A server with the tables of all programs.
async fn server() -> Server {
    let server = Server::start().await;
    for sql in [
        "CREATE TABLE visit (id INT AUTO_INCREMENT PRIMARY KEY, page VARCHAR(40) NOT NULL)",
        "CREATE TABLE item (id INT PRIMARY KEY, stock INT NOT NULL)",
        "INSERT INTO item VALUES (1, 10), (2, 0)",
        "CREATE TABLE page (id INT PRIMARY KEY, title VARCHAR(40) NOT NULL, comments INT NOT NULL DEFAULT 0)",
        "INSERT INTO page (id, title) VALUES (1, 'lamps')",
        "CREATE TABLE comment (id INT AUTO_INCREMENT PRIMARY KEY, page INT NOT NULL, text VARCHAR(40) NOT NULL)",
    ] {
        server.query_drop(sql).await;
    }
    server
}

/// The same done with an actor of either kind; returns what it said of a visit whose reply was lost, and of the one after that.
macro_rules! visits {
    ($actor:ident, $proxy:expr) => {{
        let (visits, inbox) = tokio::sync::mpsc::channel(4);
        tokio::spawn($actor::Actor::new(&$proxy.url()).expect("a URL").run(inbox));
        in_time($actor::book(&visits, "first")).await.expect("booked");
        $proxy.rule(Rule::reply_lost(When::executes("INSERT INTO visit")));
        let lost = in_time($actor::book(&visits, "lost")).await;
        in_time($actor::book(&visits, "last")).await.expect("it goes on");
        lost
    }};
}

async fn visits_of(server: &Server, page: &str) -> u64 {
    server.query_first(format!("SELECT COUNT(*) FROM visit WHERE page = '{page}'")).await.expect("a count")
}

#[tokio::test]
async fn the_actor_that_reconnects_by_itself_books_a_visit_twice_and_moved_it_does_not() {
    use bare::actor as bare;
    use moved::actor as moved;
    let server = server().await;
    let proxy = Proxy::start(&server).await;
    let said = visits!(bare, proxy);
    assert_eq!((said.ok(), visits_of(&server, "lost").await), (Some(2), 2), "two rows for one visit, and no error");

    server.query_drop("DELETE FROM visit").await;
    let said = visits!(moved, proxy);
    let error = said.expect_err("nobody knows");
    assert!(error.to_string().contains("may have been executed"), "{error}");
    assert_eq!((visits_of(&server, "lost").await, visits_of(&server, "last").await), (1, 1));
}

#[tokio::test]
async fn the_store_fails_where_a_connection_is_lost_at_a_beginning_and_moved_it_goes_on() {
    use bare::store as bare;
    use moved::store as moved;
    let server = server().await;
    let proxy = Proxy::start(&server).await;
    let stock = async || -> (u32, u32) {
        let sql = "SELECT MIN(stock), MAX(stock) FROM item";
        server.query_first(sql).await.expect("stock")
    };
    let store = bare::Store::new(&proxy.url()).expect("a URL");
    assert!(in_time(store.shift(1, 2, 1)).await.expect("there are enough"));
    assert!(!in_time(store.shift(2, 1, 7)).await.expect("there are too few"));
    let report = in_time(store.scarce(5)).await.expect("a report");
    assert_eq!((report.goods, report.sum), (vec![(2, 1)], 1));
    proxy.rule(Rule::new(When::text("START TRANSACTION"), Place::AfterRequest, Fault::Fin));
    in_time(store.shift(1, 2, 1)).await.expect_err("the program has to deal with it");
    assert_eq!(stock().await, (1, 9));

    let store = moved::Store::new(&proxy.url()).expect("a URL");
    proxy.rule(Rule::new(When::text("START TRANSACTION"), Place::AfterRequest, Fault::Fin));
    assert!(in_time(store.shift(1, 2, 1)).await.expect("nothing had been done"));
    assert!(!in_time(store.shift(2, 1, 7)).await.expect("there are too few"));
    let report = in_time(store.scarce(5)).await.expect("a report");
    assert_eq!((report.goods, report.sum), (vec![(2, 2)], 2));
    assert_eq!(stock().await, (2, 8));
}

#[tokio::test]
async fn the_web_service_answers_with_errors_and_moved_it_reads_again() {
    use bare::web as bare;
    use moved::web as moved;
    let server = server().await;
    let proxy = Proxy::start(&server).await;
    let state = bare::State::new(&proxy.url()).expect("a URL");
    assert!(in_time(bare::comment(&state, 1, "bright")).await.expect("added"));
    assert!(!in_time(bare::comment(&state, 2, "dark")).await.expect("there is no such page"));
    proxy.rule(Rule::reply_lost(When::executes("SELECT text")));
    in_time(bare::show(&state, 1)).await.expect_err("an error page");

    let state = moved::State::new(&proxy.url()).expect("a URL");
    assert!(in_time(moved::comment(&state, 1, "warm")).await.expect("added"));
    assert!(!in_time(moved::comment(&state, 2, "dark")).await.expect("there is no such page"));
    proxy.rule(Rule::reply_lost(When::executes("SELECT text")));
    let page = in_time(moved::show(&state, 1)).await.expect("read again").expect("a page");
    assert_eq!((page.title.as_str(), page.comments), ("lamps", vec!["bright".to_owned(), "warm".to_owned()]));
    let comments: Option<u32> = server.query_first("SELECT comments FROM page WHERE id = 1").await;
    assert_eq!(comments, Some(2));
}
