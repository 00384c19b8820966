//! What goes wrong: with the server, with the path to it, and with single commands, each by a task of its own.
//!
//! The three draw from streams of their own, so that a seed repeats the kinds, the lengths and the pauses of all faults,
//! though not the statements that they meet.

use std::{sync::Arc, time::Instant};

use mysql_async::prelude::Queryable;
use mysql_retry_fixture::{Bag, Fault, Kind, Place, Proxy, Random, Rule, Server, When};
use tokio::time::sleep;

use crate::record::{Lane, Record};

/// Faults of the server. The server runs when this returns.
pub(crate) async fn at_server(server: Arc<Server>, record: Arc<Record>, seed: u64, end: Instant) {
    let mut random = Random::new(seed, 1);
    let mut kinds = Bag::new(&["killed", "killed", "restarted", "frozen", "frozen", "KILL", "KILL"]);
    loop {
        sleep(random.millis(1200, 3000)).await;
        // All is drawn before the clock is read, so that each run of a seed draws the same.
        let what = kinds.draw(&mut random);
        let (away, frozen) = (random.millis(200, 1500), random.millis(200, 2000));
        let share = 1 + random.below(4);
        if Instant::now() >= end {
            return;
        }
        let band = record.begin(Lane::Server, what);
        match what {
            "killed" => {
                server.kill().await;
                sleep(away).await;
                server.start_again().await;
            }
            "restarted" => {
                server.stop().await;
                server.start_again().await;
            }
            "frozen" => {
                server.freeze();
                sleep(frozen).await;
                server.thaw();
            }
            _ => kill_some(&server, share).await,
        }
        record.end(band);
    }
}

/// Kills every n-th connection.
async fn kill_some(server: &Server, share: u64) {
    let ids = server.connection_ids().await;
    let mut conn = server.connect().await;
    for id in ids.into_iter().filter(|id| u64::from(*id) % share == 0) {
        // it may have ended meanwhile
        let _ = conn.query_drop(format!("KILL {id}")).await;
    }
    let _ = conn.disconnect().await;
}

/// Faults of the path between the clients and the server. The path is open when this returns.
pub(crate) async fn at_path(proxy: Arc<Proxy>, record: Arc<Record>, seed: u64, end: Instant) {
    let mut random = Random::new(seed, 2);
    let mut kinds = Bag::new(&[
        "cut",
        "reset",
        "half cut",
        "half cut",
        "black hole",
        "black hole",
        "silence",
        "refused",
        "hung up",
    ]);
    loop {
        sleep(random.millis(700, 2200)).await;
        let what = kinds.draw(&mut random);
        let (short, long) = (random.millis(200, 1000), random.millis(1600, 2500));
        let way = random.one_of(&[Fault::Fin, Fault::Rst]);
        let place = random.one_of(&[Place::AfterRequest, Place::AfterRequestWhenAnswered]);
        if Instant::now() >= end {
            return;
        }
        let band = record.begin(Lane::Path, what);
        match what {
            "cut" => drop(proxy.cut_all(Fault::Fin).await),
            "reset" => drop(proxy.cut_all(Fault::Rst).await),
            // the server does not notice, and goes on with what it was sent
            "half cut" => {
                proxy.rule(Rule::new(When::Any, place, way).times(64).keep_server());
                sleep(short).await;
                proxy.clear_rules();
            }
            "black hole" => {
                proxy.go_dark().await;
                sleep(short).await;
                proxy.heal().await;
            }
            // Open connections only, for longer than an attempt may take. What they sent arrives after the attempt ended.
            "silence" => {
                proxy.cut_all(Fault::Silence).await;
                sleep(long).await;
                proxy.heal().await;
            }
            "refused" => {
                proxy.refuse(true).await;
                proxy.cut_all(way).await;
                sleep(short).await;
                proxy.refuse(false).await;
            }
            _ => {
                proxy.accept_and_close(true);
                proxy.cut_all(way).await;
                sleep(short).await;
                proxy.accept_and_close(false);
            }
        }
        record.end(band);
    }
}

/// Faults at an exact place of a single command.
pub(crate) async fn at_commands(proxy: Arc<Proxy>, record: Arc<Record>, seed: u64, end: Instant) {
    let mut random = Random::new(seed, 3);
    loop {
        sleep(random.millis(100, 700)).await;
        let when = random.one_of(&[
            When::Any,
            When::Command(Kind::Query),
            When::Command(Kind::Execute),
            When::Command(Kind::Prepare),
            When::Login,
        ]);
        let bytes = random.below(120) as usize;
        let place = random.one_of(&[
            Place::Request(bytes),
            Place::AfterRequest,
            Place::AfterRequestWhenAnswered,
            Place::AfterRequestWhenAnswered,
            Place::Reply(bytes),
            Place::AfterReply,
        ]);
        let fault = random.one_of(&[
            Fault::Fin,
            Fault::Fin,
            Fault::Rst,
            Fault::Rst,
            Fault::HalfClose,
            Fault::ServerOnlyFin,
            Fault::Silence,
        ]);
        let mut rule = Rule::new(when, place, fault).times(1 + random.below(4) as usize);
        if random.below(3) == 0 {
            rule = rule.keep_server();
        }
        if Instant::now() >= end {
            return;
        }
        proxy.rule(rule);
        let band = record.begin(Lane::Command, "single commands");
        record.end(band);
    }
}
