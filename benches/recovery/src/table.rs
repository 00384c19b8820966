//! What is printed: the table, what is wanted beside it, and the last line.

use std::time::Duration;

use crate::{
    bounds,
    cell::Cell,
    columns::{Column, POOL_SIZE},
    load::TASKS,
};

/// All cells, with a line for each.
pub(crate) fn print(cells: &[Cell]) {
    println!();
    println!(
        "{:<24}{:<14}{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>7}",
        "outage", "", "lasted", "attempts", "first_ms", "p50_ms", "p99_ms", "reads", "writes", "peak"
    );
    let mut above = String::new();
    for cell in cells {
        let title = bounds::title(cell);
        let shown = if title == above { String::new() } else { title.clone() };
        above = title;
        println!(
            "{shown:<24}{:<14}{:>7.1} s{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>7}",
            cell.column.name(),
            cell.outage.as_secs_f64(),
            format!("{}{}", if cell.is_disturbed { "~" } else { "" }, cell.attempts),
            time(cell, cell.first()),
            time(cell, cell.share(50)),
            time(cell, cell.share(99)),
            cell.seen.read_errors,
            cell.seen.write_errors,
            cell.peak,
        );
    }
    println!();
    println!(
        "attempts: connections tried until the server was ready (~: other programs of this machine may have added to them)"
    );
    println!(
        "first, p50, p99: from then to the first success of one, 50 % and 99 % of the {TASKS} tasks; >: not waited for any longer"
    );
    println!(
        "reads, writes: errors that surfaced to them. peak: sessions in the second after the server was ready; each pool has {POOL_SIZE}"
    );
    println!(
        "A black hole is noticed by a time-out of 10 s around the call; by mysql-retry's watch of silent attempts, with its defaults."
    );
}

/// The first error of each column, for those that had any.
pub(crate) fn print_errors(cells: &[Cell]) {
    for column in Column::ALL {
        let mut of_column = cells.iter().filter(|cell| cell.column == *column && cell.errors() > 0);
        if let Some((cell, error)) = of_column.find_map(|cell| Some((cell, cell.seen.first_error.as_deref()?))) {
            println!("an error of {} ({}): {error}", column.name(), bounds::title(cell));
        }
    }
}

/// What is wanted of this library, outage by outage.
pub(crate) fn print_bounds(cells: &[Cell]) {
    println!();
    println!("mysql-retry: measured, wanted at most");
    for cell in cells.iter().filter(|cell| cell.column == Column::Ours) {
        print!("{:<24}", bounds::title(cell));
        for bound in bounds::of(cell) {
            let verdict = if bound.is_met { "met" } else { "missed" };
            print!("  {:<24}", format!("{}={}, {}: {verdict}", bound.name, bound.measured, bound.wanted));
        }
        println!();
        for other in bounds::behind(cell, cells) {
            println!("{:<24}  behind {other}", "");
        }
    }
}

/// The worst of each figure of this library, over all outages; of the errors the sum.
pub(crate) struct Worst {
    pub(crate) errors: u64,
    pub(crate) attempts: u64,
    first: Duration,
    half: Duration,
    /// 99 % of the tasks.
    pub(crate) most: Duration,
}

impl Worst {
    /// `None` if this library did not take part.
    pub(crate) fn of(cells: &[Cell]) -> Option<Self> {
        let ours = || cells.iter().filter(|cell| cell.column == Column::Ours);
        let worst = |of: fn(&Cell) -> Option<Duration>| ours().map(|cell| of(cell).unwrap_or(cell.limit)).max();
        Some(Worst {
            errors: ours().map(Cell::errors).sum(),
            attempts: ours().map(|cell| cell.attempts).max()?,
            first: worst(Cell::first)?,
            half: worst(|cell| cell.share(50))?,
            most: worst(|cell| cell.share(99))?,
        })
    }

    /// The line for machines.
    pub(crate) fn line(&self) -> String {
        let Worst { errors, attempts, .. } = self;
        let [first, half, most] = [self.first, self.half, self.most].map(|time| time.as_millis());
        format!("recovery: errors={errors} attempts={attempts} first_ms={first} p50_ms={half} p99_ms={most}")
    }
}

fn time(cell: &Cell, time: Option<Duration>) -> String {
    time.map_or_else(|| format!(">{}", cell.limit.as_millis()), |time| time.as_millis().to_string())
}
