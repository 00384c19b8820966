//! What is wanted of this library, beside what was measured.
//!
//! Times are told and not judged: the machine may be slow. Errors and needless attempts are the library's own.

use std::time::Duration;

use crate::{
    cell::Cell,
    columns::{Column, POOL_SIZE},
    form::Form,
    load::PAUSE,
};

/// How long a library that waits for a server may wait between two probes at the most, and at the least.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
const FIRST_INTERVAL: Duration = Duration::from_millis(20);
/// Between the two it waits for this share of the outage so far.
const SHARE: f64 = 0.02;
/// At a full server the wait is at most this share, for an executor without a connection, and at most so long.
const SHARE_WHERE_FULL: f64 = 0.125;
const LONGEST_WHERE_FULL: Duration = Duration::from_secs(4);
/// The mean of what is left of a wait by its jitter.
const LEFT_BY_JITTER: f64 = 0.75;
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
        within("first_ms", cell.first(), Some(longest_wait(cell) + AFTER_PROBE)),
        within("p99_ms", cell.share(99), cell.first().map(|first| first + SPREAD)),
    ]
}

/// The probes of an outage, as the library's page on outages says how often it probes what refuses, and the size of the pool; at
/// each server: of several each is asked, and each has a pool of its own.
fn attempts(cell: &Cell) -> f64 {
    cell.form.servers() as f64 * (probes(cell.outage.as_secs_f64()) + POOL_SIZE as f64)
}

/// The longest wait for the next probe when the outage ends.
fn longest_wait(cell: &Cell) -> Duration {
    match cell.form {
        Form::Full => cell.outage.mul_f64(SHARE_WHERE_FULL).clamp(PROBE_INTERVAL, LONGEST_WHERE_FULL),
        _ => PROBE_INTERVAL,
    }
}

/// How many probes an outage of so many seconds has in the mean.
fn probes(outage: f64) -> f64 {
    let (shortest, longest) = (FIRST_INTERVAL.as_secs_f64(), PROBE_INTERVAL.as_secs_f64());
    // until here each wait is the shortest one, and from there each is the longest
    let (grows, stops) = (shortest / SHARE, longest / SHARE);
    let at_first = outage.min(grows) / shortest;
    let growing = (outage.clamp(grows, stops) / grows).ln() / SHARE;
    let at_last = (outage - stops).max(0.0) / longest;
    (at_first + growing + at_last) / LEFT_BY_JITTER
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

#[test]
fn an_outage_has_fewer_probes_the_longer_it_lasts() {
    for (outage, expected) in [(0.5, 33.3), (1.0, 66.7), (5.0, 174.0), (12.5, 235.1), (20.0, 275.1)] {
        assert!((probes(outage) - expected).abs() < 0.1, "{outage} s: {}", probes(outage));
    }
}
