//! The picture: for each outage the columns one under the other, with their attempts, their times and their errors.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use mysql_retry_tools::{Picture, Scale};

use crate::{
    bounds,
    cell::Cell,
    columns::{Column, POOL_SIZE},
    load::TASKS,
    table,
};

const WIDTH: f64 = 1000.0;
/// The names of the outages end here; left and right of the three panels.
const NAMES: f64 = 152.0;
const ATTEMPTS: (f64, f64) = (162.0, 412.0);
const TIMES: (f64, f64) = (446.0, 746.0);
const ERRORS: (f64, f64) = (780.0, 984.0);
/// Where the first outage stands, how high a line is, and the air between two outages.
const TOP: f64 = 96.0;
const LINE: f64 = 9.0;
const AIR: f64 = 8.0;

const STYLE: &str = ".ours{fill:#2f9e44;stroke:#2f9e44}.bare{fill:#d9480f;stroke:#d9480f}\
    .backoff{fill:#1971c2;stroke:#1971c2}.sqlx{fill:#7048e8;stroke:#7048e8}.bar{stroke:none;fill-opacity:.75}\
    .range{stroke-width:2.5}.half{stroke-width:5.6;stroke-linecap:round}.cross{stroke-width:1.5}";

/// Writes it and returns where: into the repository when it shows a whole run, else beside what was built.
pub(crate) fn write(server: &str, cells: &[Cell], is_whole: bool) -> std::io::Result<PathBuf> {
    let folder = if is_whole {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    } else {
        // target/debug/program
        let program = std::env::current_exe()?;
        program.ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
    };
    let path = folder.join("recovery.svg");
    std::fs::write(&path, draw(server, cells).svg())?;
    Ok(path)
}

fn draw(server: &str, cells: &[Cell]) -> Picture {
    let groups: Vec<&[Cell]> = cells.chunk_by(|one, next| bounds::title(one) == bounds::title(next)).collect();
    let bottom = TOP + cells.len() as f64 * LINE + groups.len() as f64 * AIR;
    let height = bottom + 72.0;
    let highest = |of: &dyn Fn(&Cell) -> f64| cells.iter().map(of).fold(10.0, f64::max);
    let attempts = Scale::logarithmic(highest(&|cell| cell.attempts as f64), ATTEMPTS);
    let times = Scale::logarithmic(highest(&|cell| milliseconds(cell, cell.share(99))), TIMES);
    let errors = Scale::logarithmic(highest(&|cell| cell.errors() as f64), ERRORS);

    let mut picture = Picture::new(WIDTH, height, STYLE);
    headline(&mut picture, server, cells);
    let mut y = TOP;
    for group in &groups {
        let end = y + group.len() as f64 * LINE;
        for panel in [ATTEMPTS, TIMES, ERRORS] {
            picture.rect("lane", panel, (y - 2.0, end + 1.0));
        }
        picture.text("end", (NAMES, (y + end) / 2.0 + 4.0), bounds::title(&group[0]));
        y = end + AIR;
    }
    axis(&mut picture, &attempts, ATTEMPTS, bottom, "connection attempts until the server was ready");
    axis(&mut picture, &times, TIMES, bottom, "ms from then to the first success of tasks");
    axis(&mut picture, &errors, ERRORS, bottom, "errors that callers saw");
    let mut y = TOP;
    for group in &groups {
        for cell in *group {
            bar(&mut picture, cell, &attempts, y, cell.attempts);
            range(&mut picture, cell, &times, y);
            bar(&mut picture, cell, &errors, y, cell.errors());
            y += LINE;
        }
        y += AIR;
    }
    legend(&mut picture, height);
    picture
}

fn headline(picture: &mut Picture, server: &str, cells: &[Cell]) {
    let worst = table::Worst::of(cells).map_or_else(String::new, |worst| {
        let (errors, attempts, most) = (worst.errors, worst.attempts, worst.most.as_millis());
        format!(". mysql-retry at worst: {errors} errors, {attempts} attempts, {most} ms to 99 %")
    });
    picture.text("title", (16.0, 25.0), format_args!("Lost servers, and who is back when{worst}"));
    let second = format!(
        "{server}, {TASKS} tasks that read and write by key, a pool of {POOL_SIZE} connections; all columns in one run, one after the other."
    );
    picture.text("", (16.0, 44.0), second);
}

/// The axis stands above: the lines below it are many.
fn axis(picture: &mut Picture, scale: &Scale, (left, right): (f64, f64), bottom: f64, unit: &str) {
    let top = TOP - 6.0;
    picture.text("middle", ((left + right) / 2.0, TOP - 26.0), unit);
    for value in &scale.ticks {
        let x = scale.at(*value);
        picture.path("grid", format_args!("M{x:.1} {top}V{bottom:.1}"));
        picture.text("name middle", (x, TOP - 10.0), short(*value));
    }
    picture.path("axis", format_args!("M{left} {top}V{bottom:.1}"));
}

/// Nothing for 0: that is what is wanted.
fn bar(picture: &mut Picture, cell: &Cell, scale: &Scale, y: f64, value: u64) {
    if value > 0 {
        // 1 is at the beginning of the scale, and still to be seen
        let right = scale.at(value as f64).max(scale.at(1.0) + 3.0);
        picture.rect(&format!("{} bar", cell.column.key()), (scale.at(1.0), right), (y + 1.0, y + LINE - 2.0));
    }
}

/// From the first task to 99 % of them, with a mark at the half; a cross where 99 % were not waited for.
fn range(picture: &mut Picture, cell: &Cell, scale: &Scale, y: f64) {
    let class = cell.column.key();
    let [first, half, most] =
        [cell.first(), cell.share(50), cell.share(99)].map(|time| scale.at(milliseconds(cell, time)));
    let middle = y + LINE / 2.0 - 0.5;
    let end = most.max(first + 1.0);
    picture.path(&format!("{class} range"), format_args!("M{first:.1} {middle:.1}H{end:.1}"));
    picture.path(&format!("{class} half"), format_args!("M{half:.1} {middle:.1}h0"));
    if cell.share(99).is_none() {
        let (x, y) = (most - 3.0, middle - 3.0);
        picture.path(&format!("{class} cross"), format_args!("M{x:.1} {y:.1}l6 6m0 -6l-6 6"));
    }
}

fn legend(picture: &mut Picture, height: f64) {
    let y = height - 42.0;
    for (number, column) in Column::ALL.iter().enumerate() {
        let x = 16.0 + 130.0 * number as f64;
        picture.rect(&format!("{} bar", column.key()), (x, x + 12.0), (y - 10.0, y + 1.0));
        picture.text("", (x + 18.0, y), column.name());
    }
    for (line, words) in [
        "All scales are logarithmic. Times: the line goes from the first task to 99 % of them, the dot is the half; a cross: not \
         waited for any longer.",
        "Without a bar: none. Calls that no library cuts by itself are cut after 10 s; who waits for the server does so for 60 s.",
    ]
    .into_iter()
    .enumerate()
    {
        picture.text("name", (16.0, height - 22.0 + 15.0 * line as f64), words);
    }
}

fn milliseconds(cell: &Cell, time: Option<Duration>) -> f64 {
    time.unwrap_or(cell.limit).as_secs_f64() * 1_000.0
}

/// 1000 as 1k.
fn short(value: f64) -> String {
    match value {
        0.0..1e3 => value.to_string(),
        1e3..1e6 => format!("{}k", value / 1e3),
        _ => format!("{}M", value / 1e6),
    }
}
