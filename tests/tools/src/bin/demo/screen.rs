//! The page that a person sees: paragraphs, and two columns side by side. Plain text, at most 96 columns.

use std::io::{IsTerminal, Write, stdout};

const WIDTH: usize = 96;
const LABEL: usize = 10;
const COLUMN: usize = 40;

/// What it is about, before anything happens.
pub(crate) fn intro(server: &str) {
    title("mysql-retry: what happens to a program when its MySQL connections get lost", '=');
    paragraph(&format!(
        "On the left bare mysql_async, on the right the executor of mysql-retry. Both do the same work, on a private \
         {server} that was started for this and closes connections that idle for 2 s (wait_timeout). FAILED is an \
         error that the program gets. Whatever is reported is then compared with what is really in the database."
    ));
}

/// A heading, and what is going to happen.
pub(crate) fn scene(heading: &str, what_happens: &str) {
    title(heading, '-');
    paragraph(what_happens);
}

/// What happened, on both sides: a line of the two columns, with its label.
pub(crate) struct Row(pub(crate) &'static str, pub(crate) String, pub(crate) String);

/// Prints what happened on both sides.
pub(crate) fn side_by_side(headings: (&str, &str), rows: &[Row]) {
    let rule = "-".repeat(COLUMN);
    print_row("", headings.0, headings.1);
    print_row("", &rule, &rule);
    for Row(label, left, right) in rows {
        let (left, right) = (wrapped(left, COLUMN), wrapped(right, COLUMN));
        for line in 0..left.len().max(right.len()) {
            let part = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
            print_row(if line == 0 { label } else { "" }, &part(&left), &part(&right));
        }
    }
    println!();
}

/// A line as it is, with the alarming words in red.
pub(crate) fn line(text: &str) {
    println!("{}", painted(text.trim_end()));
}

/// A paragraph, wrapped.
pub(crate) fn paragraph(text: &str) {
    for text in wrapped(text, WIDTH) {
        line(&text);
    }
    println!();
    // to be read while the scene runs
    let _ = stdout().flush();
}

/// A heading with a rule under it.
pub(crate) fn title(text: &str, rule: char) {
    let underlined = format!("{text}\n{}", rule.to_string().repeat(text.len()));
    println!("{}", if colours() { format!("\x1b[1m{underlined}\x1b[0m") } else { underlined });
}

/// The driver's error without the words that its wrappers repeat.
pub(crate) fn brief(error: &mysql_async::Error) -> String {
    let text = error.to_string();
    text.rsplit("Input/output error: ").next().unwrap_or(&text).trim_matches('`').to_owned()
}

fn print_row(label: &str, left: &str, right: &str) {
    line(&format!("  {label:<LABEL$} {left:<COLUMN$}   {right}"));
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in text.split_whitespace() {
        if !current.is_empty() && current.len() + 1 + word.len() > width {
            lines.push(std::mem::take(&mut current));
        } else if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    lines.push(current);
    lines
}

fn painted(text: &str) -> String {
    if !colours() {
        return text.to_owned();
    }
    ["FAILED", "TWICE", "BROKEN"]
        .iter()
        .fold(text.to_owned(), |text, word| text.replace(word, &format!("\x1b[1;31m{word}\x1b[0m")))
}

fn colours() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
