//! The line that shows how the run is going.

use std::{
    io::{IsTerminal, Write, stdout},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use mysql_retry::Executor;

use crate::record::Record;

/// Prints one line, updated in place on a terminal, and a line every 5 s elsewhere, until the task is aborted.
pub(crate) async fn show(exec: Executor, record: Arc<Record>, seconds: u64) {
    let live = stdout().is_terminal();
    let pause = Duration::from_millis(if live { 250 } else { 5000 });
    let mut before = (record.now(), 0);
    loop {
        tokio::time::sleep(pause).await;
        let (now, statements) = (record.now(), record.statements.load(Relaxed));
        let rate = (statements - before.1) as f64 / (now - before.0).as_secs_f64();
        let counters = exec.counters();
        let line = format!(
            "{:5.1} of {seconds} s | {rate:5.0}/s | losses {:5} | replays {:5} | outstanding {:2} | fault: {}",
            now.as_secs_f64(),
            counters.losses,
            counters.replays,
            record.outstanding.load(Relaxed),
            // those of single commands end at once
            record.faults_between(now, now)
        );
        before = (now, statements);
        if live {
            // a line that wraps could not be cleared
            print!("\r\x1b[2K{}", line.chars().take(110).collect::<String>());
            let _ = stdout().flush();
        } else {
            println!("{line}");
        }
    }
}

/// Clears the line.
pub(crate) fn clear() {
    if stdout().is_terminal() {
        print!("\r\x1b[2K");
        let _ = stdout().flush();
    }
}
