//! The whole matrix on several servers.

use mysql_retry_fixture::each;

use crate::table::{self, Findings};

/// Plays everything on each server, one after the other, and adds up.
pub fn on_each() -> Findings {
    table::print_head();
    let mut sum = Findings::default();
    for server in each::chosen() {
        sum.add(each::on(server.as_deref(), Findings::from_line));
    }
    sum
}
