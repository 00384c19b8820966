//! The picture: throughput and losses over time, and the faults behind them.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

use mysql_retry::Counters;
use mysql_retry_tools::{Picture, Scale};

use crate::{
    judge::{Count, Judgment},
    record::{BIN, Band, Lane, Record},
};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 984.0;
/// The lanes with the names of the faults, the rate, the losses: top and bottom of each.
const SERVER: (f64, f64) = (58.0, 112.0);
const PATH: (f64, f64) = (115.0, 175.0);
const COMMANDS: (f64, f64) = (178.0, 188.0);
const RATE: (f64, f64) = (196.0, 332.0);
const LOSSES: (f64, f64) = (343.0, 404.0);
/// Names stand upright; nearer than this they would overlap.
const LETTERS: f64 = 11.0;

const STYLE: &str = ".server{fill:#d9480f}.path{fill:#1971c2}.command{fill:#7048e8;stroke:#7048e8}\
    .rate{fill:#2f9e44;fill-opacity:.55;stroke:#2b8a3e}.loss{fill:#c2255c}.shade{fill-opacity:.2}.strip{fill-opacity:.45}";

/// Writes it and returns where. `run` names the server, the tasks and the seed.
pub(crate) fn write(run: &str, counters: Counters, judgment: &Judgment, record: &Record) -> io::Result<PathBuf> {
    // the repository: this package is two folders below it
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    let folder = repository.join("target/chaos");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("chaos.svg");
    std::fs::write(&path, draw(run, counters, judgment, record).svg())?;
    Ok(path)
}

fn draw(run: &str, counters: Counters, judgment: &Judgment, record: &Record) -> Picture {
    let (done, losses) = record.columns();
    let bands = record.bands();
    let bin = BIN.as_secs_f64();
    let last_fault = bands.iter().filter_map(|band| band.to).max().unwrap_or_default().as_secs_f64();
    let seconds = (done.len().max(losses.len()) as f64 * bin).max(last_fault).max(1.0);
    let time = Scale::linear(seconds, 12, (LEFT, RIGHT));
    let rates: Vec<f64> = done.iter().map(|count| *count as f64 / bin).collect();
    let losses: Vec<f64> = losses.iter().map(|count| *count as f64).collect();
    // a little air above the highest value
    let top = |values: &[f64]| values.iter().copied().fold(1.0, f64::max) * 1.05;
    let rate = Scale::linear(top(&rates), 4, (RATE.1, RATE.0));
    let loss = Scale::linear(top(&losses), 2, (LOSSES.1, LOSSES.0));

    let mut picture = Picture::new(WIDTH, HEIGHT, STYLE);
    headline(&mut picture, run, counters, judgment);
    for (lane, name) in [(SERVER, "server"), (PATH, "path"), (COMMANDS, "commands")] {
        picture.rect("lane", (LEFT, RIGHT), lane);
        picture.text("end", (LEFT - 8.0, (lane.0 + lane.1) / 2.0 + 4.0), name);
    }
    faults(&mut picture, &bands, &time, seconds);
    axis(&mut picture, &rate, "statements/s", RATE);
    axis(&mut picture, &loss, "losses", LOSSES);
    let mut area = format!("M{:.1} {:.1}", time.at(0.0), RATE.1);
    for (column, value) in rates.iter().enumerate() {
        let (from, to) = (time.at(column as f64 * bin), time.at((column + 1) as f64 * bin));
        let _ = write!(area, "L{from:.1} {0:.1}L{to:.1} {0:.1}", rate.at(*value));
    }
    picture.path("rate", format_args!("{area}L{:.1} {:.1}Z", time.at(rates.len() as f64 * bin), RATE.1));
    for (column, value) in losses.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let (from, to) = (time.at(column as f64 * bin), time.at((column + 1) as f64 * bin));
        // one loss beside hundreds is still to be seen
        picture.rect("loss", (from + 0.3, to - 0.3), (loss.at(*value).min(LOSSES.1 - 2.0), LOSSES.1));
    }
    for second in &time.ticks {
        let x = time.at(*second);
        picture.path("axis", format_args!("M{x:.1} {}v4", LOSSES.1));
        picture.text("middle", (x, LOSSES.1 + 16.0), second);
    }
    picture.text("middle", ((LEFT + RIGHT) / 2.0, LOSSES.1 + 30.0), "seconds since the start");
    legend(&mut picture);
    picture
}

fn headline(picture: &mut Picture, run: &str, counters: Counters, judgment: &Judgment) {
    let statements = judgment.sum(|count| count.statements);
    let (losses, replays) = (grouped(counters.losses), counters.replays);
    let verdict = format!(
        "wrong verdicts {}, duplicates {}, lost writes {}, stuck calls {}",
        judgment.sum(|count| count.wrong),
        judgment.sum(|count| count.duplicates),
        judgment.sum(|count| count.lost),
        judgment.sum(|count| count.stuck),
    );
    let first = format!("{} statements, {losses} losses, {replays} replays: {verdict}", grouped(statements));
    picture.text("title", (16.0, 25.0), first);
    let share = 100.0 * judgment.sum(|count| count.done) as f64 / statements.max(1) as f64;
    let of_plain = |of: fn(&Count) -> u64| {
        judgment.counts.iter().filter(|(kind, _)| !kind.is_idempotent()).map(|(_, count)| of(count)).sum::<u64>()
    };
    let (plain, unknown) = (grouped(of_plain(|count| count.statements)), of_plain(|count| count.unknown));
    let second = format!(
        "{run}. {share:.2} % of the statements succeeded; {unknown} of {plain} plain writes \
         surfaced as 'Unknown'."
    );
    picture.text("", (16.0, 44.0), second);
}

/// Bands behind the curves, and their names in the lanes.
fn faults(picture: &mut Picture, bands: &[Band], time: &Scale, seconds: f64) {
    let mut free_from = [0.0, 0.0];
    for band in bands {
        let from = time.at(band.from.as_secs_f64());
        let to = time.at(band.to.map_or(seconds, |to| to.as_secs_f64())).max(from + 1.5);
        let (class, lane, free_from) = match band.lane {
            Lane::Server => ("server", SERVER, &mut free_from[0]),
            Lane::Path => ("path", PATH, &mut free_from[1]),
            Lane::Command => {
                picture.path("command", format_args!("M{from:.1} {}V{}", COMMANDS.0 + 1.0, COMMANDS.1 - 1.0));
                continue;
            }
        };
        picture.rect(&format!("{class} strip"), (from, to), lane);
        picture.rect(&format!("{class} shade"), (from, to), (RATE.0, LOSSES.1));
        // a name that is wider than its band stands beside it; at the end of the picture there is no room for that
        let middle = if to - from >= LETTERS { (from + to) / 2.0 } else { to + LETTERS / 2.0 };
        let middle = middle.min(RIGHT - LETTERS / 2.0);
        if middle - LETTERS / 2.0 >= *free_from {
            *free_from = middle + LETTERS / 2.0;
            picture.upright("name", (middle + 3.5, lane.1 - 3.0), band.what);
        }
    }
}

fn axis(picture: &mut Picture, scale: &Scale, unit: &str, (top, bottom): (f64, f64)) {
    for value in &scale.ticks {
        let y = scale.at(*value);
        picture.path("grid", format_args!("M{LEFT} {y:.1}H{RIGHT}"));
        picture.text("end", (LEFT - 8.0, y + 4.0), value);
    }
    picture.path("axis", format_args!("M{LEFT} {top}V{bottom}H{RIGHT}"));
    picture.upright("middle", (24.0, (top + bottom) / 2.0), unit);
}

fn legend(picture: &mut Picture) {
    let y = HEIGHT - 23.0;
    for (class, x, width, what) in [
        ("rate", 16.0, 12.0, "statements done"),
        ("loss", 142.0, 12.0, "losses (per 0.25 s): attempts that failed"),
        ("server strip", 422.0, 12.0, "fault of the server"),
        ("path strip", 574.0, 12.0, "fault of the path (proxy)"),
        ("command", 762.0, 1.0, "fault at a byte of single commands"),
    ] {
        picture.rect(class, (x, x + width), (y - 10.0, y + 1.0));
        picture.text("", (x + width + 6.0, y), what);
    }
    let words = "half cut: the server does not notice. black hole: nothing gets through. silence: the same, for open \
                 connections only. hung up: new connections are closed at once.";
    picture.text("name", (16.0, HEIGHT - 6.0), words);
}

/// With a comma before each three digits.
fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}
