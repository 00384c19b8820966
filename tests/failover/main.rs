//! Failover on real servers: callers go on while primaries die, are demoted and come back, and the books are closed over what
//! each of them was told.
//!
//! What needs haproxy says so and passes where it is missing, unless `MYSQL_RETRY_HAPROXY=required`.

mod all_down;
mod behind_haproxy;
mod fencing;
mod killed;
mod lag;
mod load;
mod offline;
mod one_address;
mod reading;
mod support;
mod switchover;
