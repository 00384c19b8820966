//! The table of the judgment.

use crate::judge::{Count, Judgment};

/// Prints it, one line for each kind of statement.
pub(crate) fn print(judgment: &Judgment) {
    let heads = ["stmts", "success", "NotExec.", "Failed", "Unknown", "wrong", "twice", "lost", "stuck"];
    println!("\n{}", row("", heads));
    println!("{}", "-".repeat(row("", heads).len()));
    for (kind, count) in &judgment.counts {
        println!("{}", row(kind.name(), cells(count)));
    }
    let all = Count {
        statements: judgment.sum(|count| count.statements),
        done: judgment.sum(|count| count.done),
        not_executed: judgment.sum(|count| count.not_executed),
        failed: judgment.sum(|count| count.failed),
        unknown: judgment.sum(|count| count.unknown),
        wrong: judgment.sum(|count| count.wrong),
        duplicates: judgment.sum(|count| count.duplicates),
        lost: judgment.sum(|count| count.lost),
        stuck: judgment.sum(|count| count.stuck),
    };
    println!("{}", row("all", cells(&all)));
    println!(
        "\nNotExec., Failed, Unknown: surfaced errors with that outcome. wrong: reported as not executed or failed, and \
         there,\nor as failed after a lost attempt. twice: plain writes executed more than once. lost: reported as done and not there, overwritten by an older write, \
         or misread.\nstuck: calls that outlived deadline, attempt time-out and 5 s. {} idempotent writes ran more \
         than once, as they may.",
        judgment.repeated
    );
}

fn cells(count: &Count) -> [u64; 9] {
    [
        count.statements,
        count.done,
        count.not_executed,
        count.failed,
        count.unknown,
        count.wrong,
        count.duplicates,
        count.lost,
        count.stuck,
    ]
}

fn row<T: std::fmt::Display>(name: &str, cells: [T; 9]) -> String {
    let cells = cells.map(|cell| format!("{cell:>9}"));
    format!("{name:<20}{}", cells.concat())
}
