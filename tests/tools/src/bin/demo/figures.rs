//! What was counted in each scene, the table of it, and which promises were broken.

use mysql_retry::{Executor, Result};

use crate::screen;

/// One scene's figures.
#[derive(Debug)]
pub(crate) struct Figures {
    scene: &'static str,
    pub(crate) bare: Side,
    pub(crate) retry: Side,
    /// Attempts that lost their connection or found no server, from the executor's counters.
    losses: u64,
    /// Statements sent again that may have been executed, from the executor's counters.
    replays: u64,
    broken: Vec<String>,
}

/// One side's figures.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// Calls that the program made.
    pub(crate) statements: u64,
    /// Calls that ended with an error.
    pub(crate) failed: u64,
    /// Rows that were written more than once.
    pub(crate) duplicates: u64,
    /// Writes that were reported as done and are not in the database.
    pub(crate) lost: u64,
}

impl Side {
    /// Counts a call. Returns its result in a word.
    pub(crate) fn count<T, E>(&mut self, result: &std::result::Result<T, E>) -> &'static str {
        self.statements += 1;
        match result {
            Ok(_) => "ok",
            Err(_) => {
                self.failed += 1;
                "FAILED"
            }
        }
    }

    /// Counts a write of one row that is in its table `times` times.
    pub(crate) fn judge<T, E>(&mut self, result: &std::result::Result<T, E>, times: u64) {
        self.duplicates += times.saturating_sub(1);
        if result.is_ok() && times == 0 {
            self.lost += 1;
        }
    }
}

impl Figures {
    pub(crate) fn new(scene: &'static str) -> Self {
        Figures { scene, bare: Side::default(), retry: Side::default(), losses: 0, replays: 0, broken: Vec::new() }
    }

    /// Notes the sentence `broken` unless the promise was `kept`.
    pub(crate) fn promise(&mut self, kept: bool, broken: impl Into<String>) {
        if !kept {
            self.broken.push(format!("{}: {}", self.scene, broken.into()));
        }
    }

    /// Reads the executor's counters and closes it. Checks what every scene promises.
    pub(crate) async fn end(mut self, exec: Executor) -> Result<Self> {
        let counters = exec.counters();
        self.losses = counters.losses;
        self.replays = counters.replays;
        exec.close().await?;
        let (duplicates, lost) = (self.retry.duplicates, self.retry.lost);
        self.promise(duplicates == 0, format!("mysql-retry wrote {duplicates} rows twice"));
        self.promise(lost == 0, format!("mysql-retry reported {lost} writes as done that are not in the database"));
        Ok(self)
    }

    fn row(&self) -> String {
        let (bare, retry) = (&self.bare, &self.retry);
        row(
            self.scene,
            [bare.statements, bare.failed, bare.duplicates],
            [retry.statements, self.losses, self.replays, retry.failed, retry.duplicates, retry.lost],
        )
    }
}

/// Prints the table, broken promises, and the line that scripts read. False if a promise was broken.
pub(crate) fn tell(scenes: &[Figures]) -> bool {
    screen::title("All in numbers", '-');
    let bare = "| bare mysql_async";
    screen::line(&format!("{:<28} {bare:<24} | mysql-retry", ""));
    let heads = (["stmts", "failed", "twice"], ["stmts", "losses", "replays", "surfaced", "twice", "lost"]);
    screen::line(&row("scene", heads.0, heads.1));
    screen::line(&format!("{}+{}+{}", "-".repeat(29), "-".repeat(24), "-".repeat(41)));
    for scene in scenes {
        screen::line(&scene.row());
    }
    println!();
    screen::paragraph(
        "stmts: calls that the program made. losses: attempts that lost their connection or found no server. replays: \
         idempotent statements sent again though they may have run. surfaced: calls that gave the program an error. \
         twice: rows booked once too often. lost: writes reported as done that are not in the database.",
    );
    let broken: Vec<&String> = scenes.iter().flat_map(|scene| &scene.broken).collect();
    for sentence in &broken {
        eprintln!("demo: BROKEN PROMISE: {sentence}");
    }
    let sum = |of: fn(&Figures) -> u64| scenes.iter().map(of).sum::<u64>();
    println!(
        "demo: statements={} losses={} replays={} surfaced={} duplicates={} lost={}",
        sum(|s| s.retry.statements),
        sum(|s| s.losses),
        sum(|s| s.replays),
        sum(|s| s.retry.failed),
        sum(|s| s.retry.duplicates),
        sum(|s| s.retry.lost),
    );
    broken.is_empty()
}

fn row<T: ToString>(scene: &str, bare: [T; 3], retry: [T; 6]) -> String {
    let [b1, b2, b3] = bare.map(|value| value.to_string());
    let [r1, r2, r3, r4, r5, r6] = retry.map(|value| value.to_string());
    format!("{scene:<28} | {b1:>6} {b2:>7} {b3:>7} | {r1:>5} {r2:>6} {r3:>7} {r4:>8} {r5:>5} {r6:>4}")
}
