//! The picture: throughput and losses over time, and the faults behind them.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use mysql_retry::Counters;

use crate::{
    judge::{Count, Judgment},
    record::{BIN, Band, Lane, Record},
    scale::Scale,
    svg::{rect, text},
};

/// What the title tells beside the judgment.
pub(crate) struct Title {
    pub(crate) server: String,
    pub(crate) tasks: u64,
    pub(crate) seed: u64,
    pub(crate) counters: Counters,
}

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

const STYLE: &str = "text{font-family:'DejaVu Sans',Verdana,sans-serif;font-size:11px;fill:#333}\
    .title{font-size:16px;font-weight:bold;fill:#111}.name{font-size:10px;fill:#111}.grid{stroke:#ddd}.axis{stroke:#888}\
    .lane{fill:#f4f4f4}.server{fill:#d9480f}.path{fill:#1971c2}.command{stroke:#7048e8}\
    .rate{fill:#2f9e44;fill-opacity:.55;stroke:#2b8a3e}.loss{fill:#c2255c}.shade{fill-opacity:.2}.strip{fill-opacity:.45}";

/// Writes it and returns where.
pub(crate) fn write(title: &Title, judgment: &Judgment, record: &Record) -> std::io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/chaos");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("chaos.svg");
    std::fs::write(&path, draw(title, judgment, record))?;
    Ok(path)
}

fn draw(title: &Title, judgment: &Judgment, record: &Record) -> String {
    let (done, losses) = record.columns();
    let bands = record.bands();
    let bin = BIN.as_secs_f64();
    let last_fault = bands.iter().filter_map(|band| band.to).max().unwrap_or_default().as_secs_f64();
    let seconds = (done.len().max(losses.len()) as f64 * bin).max(last_fault).max(1.0);
    let time = Scale::new(seconds, LEFT, RIGHT);
    let rates: Vec<f64> = done.iter().map(|count| *count as f64 / bin).collect();
    let losses: Vec<f64> = losses.iter().map(|count| *count as f64).collect();
    let highest = |values: &[f64]| values.iter().copied().fold(1.0, f64::max);
    // a little air above the highest value
    let rate = Scale::new(highest(&rates) * 1.05, RATE.1, RATE.0);
    let loss = Scale::new(highest(&losses) * 1.05, LOSSES.1, LOSSES.0);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\">\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    headline(&mut svg, title, judgment);
    for (lane, name) in [(SERVER, "server"), (PATH, "path"), (COMMANDS, "commands")] {
        rect(&mut svg, "lane", (LEFT, RIGHT), lane);
        text(&mut svg, "", "end", LEFT - 8.0, (lane.0 + lane.1) / 2.0 + 4.0, name);
    }
    faults(&mut svg, &bands, time, seconds);
    axis(&mut svg, rate, 4, "statements/s", RATE);
    axis(&mut svg, loss, 2, "losses", LOSSES);
    let mut area = format!("M{:.1} {:.1}", time.at(0.0), RATE.1);
    for (column, value) in rates.iter().enumerate() {
        let (from, to) = (time.at(column as f64 * bin), time.at((column + 1) as f64 * bin));
        let _ = write!(area, "L{from:.1} {0:.1}L{to:.1} {0:.1}", rate.at(*value));
    }
    let end = time.at(rates.len() as f64 * bin);
    let _ = writeln!(svg, "<path class=\"rate\" d=\"{area}L{end:.1} {:.1}Z\"/>", RATE.1);
    for (column, value) in losses.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let from = time.at(column as f64 * bin);
        // one loss beside hundreds is still to be seen
        let top = loss.at(*value).min(LOSSES.1 - 2.0);
        rect(&mut svg, "loss", (from + 0.3, time.at((column + 1) as f64 * bin) - 0.3), (top, LOSSES.1));
    }
    for second in time.ticks(12) {
        let x = time.at(second);
        let _ = writeln!(svg, "<path class=\"axis\" d=\"M{x:.1} {}v4\"/>", LOSSES.1);
        text(&mut svg, "", "middle", x, LOSSES.1 + 16.0, &second.to_string());
    }
    text(&mut svg, "", "middle", (LEFT + RIGHT) / 2.0, LOSSES.1 + 30.0, "seconds since the start");
    legend(&mut svg);
    svg.push_str("</svg>\n");
    svg
}

fn headline(svg: &mut String, title: &Title, judgment: &Judgment) {
    let Title { server, tasks, seed, counters } = title;
    let statements = judgment.sum(|count| count.statements);
    let (losses, replays) = (counters.losses, counters.replays);
    let first = format!("{} statements, {} losses, {replays} replays:", grouped(statements), grouped(losses));
    let verdict = format!(
        "wrong verdicts {}, duplicates {}, lost writes {}, stuck calls {}",
        judgment.sum(|count| count.wrong),
        judgment.sum(|count| count.duplicates),
        judgment.sum(|count| count.lost),
        judgment.sum(|count| count.stuck),
    );
    text(svg, "title", "start", 16.0, 25.0, &format!("{first} {verdict}"));
    let share = 100.0 * judgment.sum(|count| count.done) as f64 / statements.max(1) as f64;
    let of_plain = |of: fn(&Count) -> u64| {
        judgment.counts.iter().filter(|(kind, _)| !kind.is_idempotent()).map(|(_, count)| of(count)).sum::<u64>()
    };
    let (plain, unknown) = (of_plain(|count| count.statements), of_plain(|count| count.unknown));
    let second = format!(
        "{server}, {tasks} tasks, seed {seed}. {share:.2} % of the statements succeeded; {unknown} of {} plain writes \
         surfaced as 'Unknown'.",
        grouped(plain)
    );
    text(svg, "", "start", 16.0, 44.0, &second);
}

/// Bands behind the curves, and their names in the lanes.
fn faults(svg: &mut String, bands: &[Band], time: Scale, seconds: f64) {
    let mut free_from = [0.0, 0.0];
    for band in bands {
        let from = time.at(band.from.as_secs_f64());
        let to = time.at(band.to.map_or(seconds, |to| to.as_secs_f64())).max(from + 1.5);
        let (class, lane, free_from) = match band.lane {
            Lane::Server => ("server", SERVER, &mut free_from[0]),
            Lane::Path => ("path", PATH, &mut free_from[1]),
            Lane::Command => {
                let (top, height) = (COMMANDS.0 + 1.0, COMMANDS.1 - COMMANDS.0 - 2.0);
                let _ = writeln!(svg, "<path class=\"command\" d=\"M{from:.1} {top}v{height}\"/>");
                continue;
            }
        };
        rect(svg, &format!("{class} strip"), (from, to), lane);
        rect(svg, &format!("{class} shade"), (from, to), (RATE.0, LOSSES.1));
        // a name that is wider than its band stands beside it; at the end of the picture there is no room for that
        let middle = if to - from >= LETTERS { (from + to) / 2.0 } else { to + LETTERS / 2.0 };
        let middle = middle.min(RIGHT - LETTERS / 2.0);
        if middle - LETTERS / 2.0 >= *free_from {
            *free_from = middle + LETTERS / 2.0;
            let (x, y) = (middle + 3.5, lane.1 - 3.0);
            let _ = writeln!(
                svg,
                "<text class=\"name\" transform=\"translate({x:.1} {y:.1}) rotate(-90)\">{}</text>",
                band.what
            );
        }
    }
}

fn axis(svg: &mut String, scale: Scale, ticks: u32, unit: &str, (top, bottom): (f64, f64)) {
    for value in scale.ticks(ticks) {
        let y = scale.at(value);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
        text(svg, "", "end", LEFT - 8.0, y + 4.0, &value.to_string());
    }
    let _ = writeln!(svg, "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {top}V{bottom}H{RIGHT}\"/>");
    let middle = (top + bottom) / 2.0;
    let _ =
        writeln!(svg, "<text text-anchor=\"middle\" transform=\"translate(24 {middle}) rotate(-90)\">{unit}</text>");
}

fn legend(svg: &mut String) {
    let y = HEIGHT - 23.0;
    let entries = [
        ("rate", 16.0, "statements done"),
        ("loss", 142.0, "losses (per 0.25 s): attempts that failed"),
        ("server strip", 422.0, "fault of the server"),
        ("path strip", 574.0, "fault of the path (proxy)"),
    ];
    for (class, x, what) in entries {
        rect(svg, class, (x, x + 12.0), (y - 10.0, y + 1.0));
        text(svg, "", "start", x + 18.0, y, what);
    }
    let _ = writeln!(svg, "<path class=\"command\" stroke-width=\"2\" d=\"M762 {}v11\"/>", y - 10.0);
    text(svg, "", "start", 770.0, y, "fault at a byte of single commands");
    let words = "half cut: the server does not notice. black hole: nothing gets through. silence: the same, for open \
                 connections only. hung up: new connections are closed at once.";
    text(svg, "name", "start", 16.0, HEIGHT - 6.0, words);
}

/// With a comma before each three digits.
fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}
