//! The whole matrix on several servers. The fixture finds its server in the environment, so each has a process of its own.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::table::{self, Findings};

/// Marks a process that was started here.
const CHILD: &str = "FAULTS_CHILD";

pub fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

/// Plays everything on each server, one after the other, and adds up.
pub fn on_each() -> Findings {
    table::print_head();
    let mut sum = Findings::default();
    for server in chosen() {
        sum.add(on(server.as_deref()));
    }
    sum
}

/// The server of the run (`None`), and those that `MYSQL_RETRY_MARIADB` and `MYSQL_RETRY_MYSQL` name; without the latter
/// the one that `.ci/get-server mysql target/servers/mysql` has unpacked.
fn chosen() -> Vec<Option<PathBuf>> {
    let named = |name| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let unpacked = || Some(PathBuf::from("target/servers/mysql/mysqld")).filter(|program| program.exists());
    let mysql = named("MYSQL_RETRY_MYSQL").or_else(unpacked);
    let others = [named("MYSQL_RETRY_MARIADB"), mysql];
    [None].into_iter().chain(others.into_iter().flatten().map(Some)).collect()
}

/// Plays everything in a process of its own and passes on what it prints.
fn on(server: Option<&Path>) -> Findings {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.env(CHILD, "1").stdout(Stdio::piped());
    if let Some(program) = server {
        command.env("MYSQL_RETRY_SERVER", program);
    }
    let mut child = command.spawn().expect("this program can be started");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut findings = None;
    for line in output.lines().map_while(Result::ok) {
        match Findings::from_line(&line) {
            Some(read) => findings = Some(read),
            None => println!("{line}"),
        }
    }
    child.wait().expect("its end");
    findings.unwrap_or_else(|| panic!("no counts of the server {server:?}: the process ended before"))
}
