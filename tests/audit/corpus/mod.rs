//! The statement forms, and what they need to run.
//!
//! The data files have a form on each line. Lines before it belong to it: `+ sql` runs before it, `- sql` after it, `@fails` says
//! that the server refuses it, `@serial` that it must run alone because others would notice, `@session` that what runs before it
//! does so on the form's own session, `@unseen` that what it leaves is left by a trigger or a view, which no text shows: the
//! documentation names that limit. `{n}` is the case's number, `{db}` the database that it is run in.

use std::sync::LazyLock;

/// A statement form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub sql: &'static str,
    pub before: Vec<&'static str>,
    pub after: Vec<&'static str>,
    /// The server refuses it where it knows it.
    pub fails: bool,
    /// It disturbs other sessions.
    pub serial: bool,
    /// What comes before it does so on its own session.
    pub on_session: bool,
    /// A trigger or a view leaves something.
    pub unseen: bool,
}

impl Form {
    /// Its text in a case, with a mark by which the proxy recognises it.
    pub fn text(&self, number: u32, database: &str) -> String {
        format!("{} {}", fill(self.sql, number, database), mark(number))
    }
}

/// The mark of a case's form.
pub fn mark(number: u32) -> String {
    format!("/*f{number}*/")
}

/// Puts a case's number and database into a text.
pub fn fill(sql: &str, number: u32, database: &str) -> String {
    sql.replace("{n}", &number.to_string()).replace("{db}", database)
}

/// All forms, each with the area that it belongs to. Their order gives the cases their numbers.
pub fn forms() -> &'static [(&'static str, Form)] {
    static FORMS: LazyLock<Vec<(&'static str, Form)>> = LazyLock::new(|| {
        let areas = [
            ("SELECT and its kin", include_str!("select.sql")),
            ("functions", include_str!("functions.sql")),
            ("changing rows, texts", include_str!("writing.sql")),
            ("transactions, CALL", include_str!("transactions.sql")),
            ("SET, USE, roles", include_str!("variables.sql")),
            ("data definition", include_str!("definitions.sql")),
            ("administration, SHOW", include_str!("administration.sql")),
        ];
        areas.into_iter().flat_map(|(area, text)| read(text).into_iter().map(move |form| (area, form))).collect()
    });
    &FORMS
}

fn read(text: &'static str) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut next = Form::default();
    for line in text.lines() {
        match (line, line.split_at_checked(2)) {
            ("", _) => {}
            ("@fails", _) => next.fails = true,
            ("@serial", _) => next.serial = true,
            ("@unseen", _) => next.unseen = true,
            ("@session", _) => next.on_session = true,
            (_, Some(("# ", _))) => {}
            (_, Some(("+ ", sql))) => next.before.push(sql),
            (_, Some(("- ", sql))) => next.after.push(sql),
            _ => forms.push(Form { sql: line, ..std::mem::take(&mut next) }),
        }
    }
    forms
}

/// What each database of a worker has, and what the server has once. The flag says that a server need not know it.
pub fn of_database() -> Vec<(&'static str, bool)> {
    statements(include_str!("setup.sql"))
}

pub fn of_server() -> Vec<(&'static str, bool)> {
    statements(include_str!("server.sql"))
}

fn statements(text: &'static str) -> Vec<(&'static str, bool)> {
    let blocks = text.split("\n\n").map(str::trim).filter(|block| !block.starts_with('#') && !block.is_empty());
    blocks.map(|block| block.strip_prefix("? ").map_or((block, false), |block| (block, true))).collect()
}
