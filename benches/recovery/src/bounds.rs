//! What is wanted of this library, beside what was measured.
//!
//! Times are told and not judged: the machine may be slow. Errors and needless attempts are the library's own.

use std::time::Duration;

use crate::{
    cell::Cell,
    columns::{Column, POOL_SIZE},
    load::PAUSE,
};

/// How often a library that waits for a server may knock.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// The first success comes so long after the probe that found the server ready.
const AFTER_PROBE: Duration = Duration::from_millis(50);
/// From the first success, when it came, to 99 % of the tasks.
const SPREAD: Duration = Duration::from_millis(150);
/// Attempts over the bound by this much fail the run.
const TOLERANCE: f64 = 1.25;

/// A number and what it should not exceed.
pub(crate) struct Bound {
    pub(crate) name: &'static str,
    pub(crate) measured: String,
    pub(crate) wanted: String,
    pub(crate) is_met: bool,
}

/// What is wanted of a cell of this library.
pub(crate) fn of(cell: &Cell) -> Vec<Bound> {
    let within = |name, measured: Option<Duration>, wanted: Option<Duration>| Bound {
        name,
        measured: measured.map_or_else(|| format!("> {}", cell.limit.as_millis()), |time| time.as_millis().to_string()),
        wanted: wanted.map_or_else(|| "-".to_owned(), |time| time.as_millis().to_string()),
        is_met: measured.zip(wanted).is_some_and(|(measured, wanted)| measured <= wanted),
    };
    vec![
        Bound {
            name: "errors",
            measured: cell.errors().to_string(),
            wanted: "0".to_owned(),
            is_met: cell.errors() == 0,
        },
        Bound {
            name: "attempts",
            measured: cell.attempts.to_string(),
            wanted: format!("{:.0}", attempts(cell)),
            is_met: cell.attempts as f64 <= attempts(cell),
        },
        within("first_ms", cell.first(), Some(PROBE_INTERVAL + AFTER_PROBE)),
        within("p99_ms", cell.share(99), cell.first().map(|first| first + SPREAD)),
    ]
}

/// outage / probe interval + pool size, at each server: of several each is asked, and each has a pool of its own.
fn attempts(cell: &Cell) -> f64 {
    cell.form.servers() as f64 * (cell.outage.as_secs_f64() / PROBE_INTERVAL.as_secs_f64() + POOL_SIZE as f64)
}

/// In which respects another column did better than this library, under the same outage. Times that differ by less than
/// the pause of a task are the same: so much is chance.
pub(crate) fn behind(ours: &Cell, cells: &[Cell]) -> Vec<String> {
    let same = |cell: &&Cell| cell.column != Column::Ours && cell.form == ours.form && cell.asked == ours.asked;
    let earlier = |other: Option<Duration>, own: Option<Duration>| match (other, own) {
        (Some(other), Some(own)) => other + PAUSE <= own,
        (other, own) => other.is_some() && own.is_none(),
    };
    let mut behind = Vec::new();
    for other in cells.iter().filter(same) {
        let better = [
            ("errors", other.errors() < ours.errors()),
            ("attempts", other.attempts < ours.attempts),
            ("first", earlier(other.first(), ours.first())),
            ("50 %", earlier(other.share(50), ours.share(50))),
            ("99 %", earlier(other.share(99), ours.share(99))),
            ("peak", other.peak < ours.peak),
        ];
        let better: Vec<&str> = better.into_iter().filter(|(_, better)| *better).map(|(name, _)| name).collect();
        if !better.is_empty() {
            behind.push(format!("{} in {}", other.column.name(), better.join(", ")));
        }
    }
    behind
}

/// What fails the run, in words.
pub(crate) fn failures(cells: &[Cell]) -> Vec<String> {
    let ours = cells.iter().filter(|cell| cell.column == Column::Ours);
    ours.flat_map(|cell| [errors_surfaced(cell), too_many_attempts(cell)]).flatten().collect()
}

fn errors_surfaced(cell: &Cell) -> Option<String> {
    let count = cell.errors();
    let first = cell.seen.first_error.as_deref().unwrap_or_default();
    (count > 0).then(|| format!("{}: {count} errors to calls whose deadline outlives the outage: {first}", title(cell)))
}

fn too_many_attempts(cell: &Cell) -> Option<String> {
    let most = attempts(cell) * TOLERANCE;
    // what others may have done is nobody's failure
    let is_over = cell.attempts as f64 > most && !cell.is_disturbed;
    is_over.then(|| format!("{}: {} connection attempts, over {most:.0}", title(cell), cell.attempts))
}

/// The form and the length of an outage.
pub(crate) fn title(cell: &Cell) -> String {
    match cell.asked.as_secs() {
        0 => cell.form.name().to_owned(),
        seconds => format!("{}, {seconds} s", cell.form.name()),
    }
}
