//! Failover on real servers: callers go on while primaries die, are demoted and come back, and what each of them was told is
//! compared with what the servers hold.
//!
//! | file | what happens |
//! |---|---|
//! | `killed`, `all_down` | the primary dies, or all servers do |
//! | `switchover`, `one_address`, `offline` | the primary is demoted as planned, behind one address or two, or goes offline |
//! | `fencing` | a write that was lost at the old primary still runs there |
//! | `lag` | the promoted replica has not heard of all commits |
//! | `reading` | an executor that accepts read-only servers |
//! | `behind_haproxy` | haproxy stands between; without it these tests are skipped, unless `MYSQL_RETRY_HAPROXY=required` |

mod all_down;
mod behind_haproxy;
mod fencing;
mod killed;
mod lag;
mod offline;
mod one_address;
mod reading;
mod support;
mod switchover;
