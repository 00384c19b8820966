//! Plays all cases on one server: many at once, each worker with a proxy and executors of its own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mysql_retry_fixture::{Flavour, Proxy, Server, Transport};

use crate::{
    case::Case,
    executors::Executors,
    judge::judge,
    ledger::{self, Ledger},
    matrix,
    play::{Played, Stage, Told},
    table::{self, Counts, Findings},
    transfer, ways,
    wire::Wire,
    work::Work,
};

/// So many cases are under way at once: they wait for round trips and time-outs most of the time. A prime, so that no
/// regularity of the matrix gives a worker cases of one kind only.
pub const WORKERS: u32 = 13;

/// Which cases are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    All,
    /// About so many, over the transport of the run.
    Thin(usize),
    One(u32),
}

/// A server for thousands of sessions that end badly.
pub async fn start_server() -> Server {
    let builder = Server::builder();
    let builder = if mysql_retry_fixture::TLS { builder.tls() } else { builder };
    builder
        .flag("--max-allowed-packet=64M")
        .flag("--max-connections=1000")
        .flag("--max-connect-errors=1000000")
        .flag("--skip-log-bin")
        .start()
        .await
}

pub fn select(selection: Selection, flavour: Flavour) -> Vec<Case> {
    let everything = || matrix::all(flavour, &[Transport::Tcp, Transport::Unix]);
    match selection {
        Selection::All => everything(),
        Selection::Thin(wanted) => {
            let chosen = Transport::chosen();
            matrix::thin(everything().into_iter().filter(|case| case.transport == chosen).collect(), wanted)
        }
        Selection::One(number) => everything().into_iter().filter(|case| case.number == number).collect(),
    }
}

/// Plays the cases, prints the bad ones and the rows of the table, and returns their sum.
pub async fn play(server: Server, cases: Vec<Case>) -> Findings {
    ledger::lay_out(&server, &cases).await;
    eprintln!("{}: {} cases ..", server.name(), cases.len());
    let extra_round_trips = transfer::extra_round_trips(&server).await;
    let server = Arc::new(server);
    let mut shares: BTreeMap<(u32, bool, Wire), Vec<Case>> = BTreeMap::new();
    for case in cases {
        let share = (case.number % WORKERS, case.transport == Transport::Unix, case.wire);
        shares.entry(share).or_default().push(case);
    }
    let workers: Vec<_> = shares.into_values().map(|share| tokio::spawn(work_through(server.clone(), share))).collect();
    let mut played = Vec::new();
    for worker in workers {
        played.extend(worker.await.expect("a worker that does not panic"));
    }
    wait_until_alone(&server).await;
    Findings { extra_round_trips, ..pronounce(&server, &played, &Ledger::read(&server).await) }
}

async fn work_through(server: Arc<Server>, share: Vec<Case>) -> Vec<Played> {
    let mut played = Vec::new();
    let mut rest = share.into_iter().peekable();
    while let Some(first) = rest.peek() {
        let proxy = Proxy::start_over(first.transport, &server).await;
        // a slot that is lost shows at once in a pool of one; a pool of two has the other connection to go on with
        let connections = if (first.number % WORKERS).is_multiple_of(3) { 2 } else { 1 };
        let stage = Stage { proxy: &proxy, executors: Executors::new(&proxy, first.wire, connections) };
        for case in rest.by_ref() {
            let result = stage.play(case).await;
            let stuck = matches!(result.told, Told::Nothing(_));
            played.push(result);
            if stuck {
                // what hangs would spoil the cases after it
                break;
            }
        }
        if let Some(last) = played.last_mut()
            && !stage.has_all_connections().await
        {
            last.told = Told::Nothing("the wait for a slot of the pool, after the last case of a worker");
        }
        for (exec, _) in stage.executors.all() {
            let _ = tokio::time::timeout(Duration::from_secs(5), exec.clone().close()).await;
        }
    }
    played
}

/// Until no session of a case is left, so that nothing can happen any more.
async fn wait_until_alone(server: &Server) {
    let alone = async {
        while !server.connection_ids().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), alone).await.expect("sessions that end");
}

fn pronounce(server: &Server, played: &[Played], ledger: &Ledger) -> Findings {
    let server = server.name();
    let mut rows: BTreeMap<Work, Counts> = BTreeMap::new();
    let mut sum = Findings::default();
    for one in played {
        let times = ledger.times(one.case.number, one.case.work);
        let answered = one.case.fault().is_some_and(ways::is_answer);
        let crime = judge(&one.case, &one.told, &times, answered);
        let mut counts = Counts::default();
        counts.note(one, crime);
        if !counts.is_good() || counts.unharmed > 0 {
            let verdict = match crime {
                Some(crime) => format!("{crime:?}"),
                None if counts.unharmed > 0 => "the fault did not happen".to_owned(),
                None if counts.undecided > 0 => "undecided".to_owned(),
                None => "avoidable".to_owned(),
            };
            println!("{verdict}: {server}: {}\n  effects {times:?}, told {}", one.case, one.told);
        }
        rows.entry(one.case.work).or_default().add(counts);
        let guarded = if one.case.work.is_guarded() { counts } else { Counts::default() };
        sum.add(Findings { all: counts, guarded, extra_round_trips: 0 });
    }
    table::print_rows(&server, &rows);
    sum
}
