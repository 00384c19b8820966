//! Random scripts of faults over a whole executor, for a bounded time, with the ledger as the judge.
//!
//! `FUZZ_SECONDS` plays for so long, `FUZZ_SEED` repeats the scripts of a run, `FUZZ_SCRIPT` plays one of them alone and
//! prints it. What happens when depends on the machine, so that a script may have to be played a few times.

mod rules;
mod run;
mod script;
mod verdict;

use std::{
    env, fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use mysql_retry_fixture::{Random, Server};

use crate::{field, judge::Crime, ledger, play::Told};
use run::Heard;
use script::Script;
use verdict::Finding;

/// So many scripts are under way at once: they wait most of the time.
const WORKERS: usize = 16;
/// The random stream of what happens to the whole server; scripts have their numbers.
const SERVER: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    scripts: u64,
    statements: u64,
    success: u64,
    not_executed: u64,
    failed: u64,
    unknown: u64,
    cancelled: u64,
    fired: u64,
    wrong: u64,
    duplicates: u64,
    lost: u64,
    stuck: u64,
}

/// One run.
struct Fuzz {
    server: Server,
    seed: u64,
    /// One script is played alone.
    alone: Option<u32>,
    end: Instant,
    next: AtomicU32,
    counts: Mutex<Counts>,
}

pub fn is_asked_for() -> bool {
    number_of("FUZZ_SECONDS").is_some() || number_of("FUZZ_SCRIPT").is_some()
}

/// Plays; whether everything was as promised, and something was played.
pub fn run() -> bool {
    let clock =
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.subsec_micros().into());
    let seconds = number_of("FUZZ_SECONDS").unwrap_or(60);
    let seed = number_of("FUZZ_SEED").unwrap_or_else(clock);
    let alone = number_of("FUZZ_SCRIPT").map(|number| number as u32);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let server = field::start_server().await;
        ledger::lay_out(&server, &[]).await;
        // each script asks for its own rows
        server.query_drop("CREATE INDEX effect_c ON effect (c)").await;
        println!("fuzz: {}, seed={seed}", server.name());
        let end = Instant::now() + Duration::from_secs(seconds);
        let fuzz = Fuzz { server, seed, alone, end, next: AtomicU32::new(0), counts: Mutex::default() };
        let counts = Arc::new(fuzz).play().await;
        let _ = std::fs::remove_file(crate::work::parts_file());
        let Counts { success, not_executed, failed, cancelled, fired, .. } = counts;
        println!(
            "{success} succeeded, {not_executed} NotExecuted, {failed} Failed, {cancelled} cancelled; {fired} faults happened"
        );
        println!("{counts} seed={seed}");
        // a run in which nothing happens proves nothing; one script may have nothing that succeeds
        counts.has_no_crime() && counts.scripts > 0 && (alone.is_some() || (counts.success > 0 && counts.fired > 0))
    })
}

impl Fuzz {
    async fn play(self: Arc<Self>) -> Counts {
        if let Some(number) = self.alone {
            println!("{}", Script::new(self.seed, number));
            self.play_one(number).await;
            return self.counts();
        }
        let told = tokio::spawn(self.clone().tell());
        let frozen = tokio::spawn(self.clone().freeze());
        let workers: Vec<_> = (0..WORKERS).map(|_| tokio::spawn(self.clone().work())).collect();
        for worker in workers {
            worker.await.expect("a worker that does not panic");
        }
        frozen.await.expect("a server that could be frozen");
        told.abort();
        self.counts()
    }

    async fn work(self: Arc<Self>) {
        while Instant::now() < self.end {
            self.play_one(self.next.fetch_add(1, Relaxed)).await;
        }
    }

    async fn play_one(&self, number: u32) {
        let script = Arc::new(Script::new(self.seed, number));
        let mut conn = self.server.connect().await;
        verdict::prepare(&mut conn, &script).await;
        let played = run::play(&self.server, &script).await;
        let mut findings = Vec::new();
        if !verdict::wait_until_gone(&mut conn, &played.sessions).await {
            findings.push((Crime::Stuck, "a session that does not end at the server".to_owned()));
        }
        findings.extend(verdict::pronounce(&mut conn, &script, &played).await);
        let _ = conn.disconnect().await;
        if !findings.is_empty() {
            self.accuse(&script, &findings);
        }
        self.count(&played, &findings);
    }

    fn accuse(&self, script: &Script, findings: &[Finding]) {
        let mut text = String::new();
        for (crime, what) in findings {
            text += &format!("{crime:?}: {what}\n");
        }
        let Script { number, .. } = script;
        println!("{text}{script}\n  again: make fuzz SEED={} SCRIPT={number}", self.seed);
    }

    fn count(&self, played: &run::Played, findings: &[Finding]) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.scripts += 1;
        counts.fired += played.fired as u64;
        for done in &played.done {
            counts.statements += 1;
            match &done.heard {
                Heard::Cancelled => counts.cancelled += 1,
                Heard::Told(Told::Success) => counts.success += 1,
                Heard::Told(Told::NotExecuted(_)) => counts.not_executed += 1,
                Heard::Told(Told::Failed(_)) => counts.failed += 1,
                Heard::Told(Told::Unknown(_)) => counts.unknown += 1,
                Heard::Told(Told::WrongAnswer(_) | Told::Nothing(_)) => {}
            }
        }
        for (crime, _) in findings {
            match crime {
                Crime::Wrong => counts.wrong += 1,
                Crime::Duplicate => counts.duplicates += 1,
                Crime::Lost => counts.lost += 1,
                Crime::Stuck => counts.stuck += 1,
            }
        }
    }

    fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line now and then.
    async fn tell(self: Arc<Self>) {
        let started = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            println!("{:3.0} s: {}", started.elapsed().as_secs_f64(), self.counts());
        }
    }

    /// Stops the whole server for a moment, now and then: that is a silence for all scripts.
    async fn freeze(self: Arc<Self>) {
        let mut random = Random::new(self.seed, SERVER);
        loop {
            let pause = random.millis(2000, 6000);
            if Instant::now() + pause >= self.end {
                return;
            }
            tokio::time::sleep(pause).await;
            self.server.freeze();
            tokio::time::sleep(random.millis(50, 300)).await;
            self.server.thaw();
        }
    }
}

impl Counts {
    fn has_no_crime(&self) -> bool {
        (self.wrong, self.duplicates, self.lost, self.stuck) == (0, 0, 0, 0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { scripts, statements, wrong, duplicates, lost, stuck, unknown, failed, .. } = self;
        write!(
            f,
            "fuzz: scripts={scripts} statements={statements} wrong={wrong} duplicates={duplicates} lost={lost} \
             stuck={stuck} unknown={unknown} failed={failed}"
        )
    }
}

fn number_of(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`, and no number")))
}
