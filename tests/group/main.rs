//! Group Replication: three MySQL nodes, of which one takes writes, or all.
//!
//! Where MySQL's plugin is missing these tests are skipped, unless `MYSQL_RETRY_GROUP=required`. They run one after the
//! other, and leave the group whole. Most take long, and are skipped but with `GROUP=all`, as `make group` sets it.
//!
//! | file | what happens |
//! |---|---|
//! | `majority` | the nodes that make the majority do not answer |
//! | `conflicts` | two primaries change the same rows |
//! | `switching` | the primary is switched or expelled |
//! | `thawing` | a node that took writes was frozen, and believes in itself when it thaws |
//! | `reading` | an executor that accepts secondaries, while one of them starts |
//! | `killed` | the primary is killed |
//! | `unfenced` | what waits for a majority cannot be ended, and runs elsewhere too |
//! | `backlog` | the new primary has not applied everything |

mod backlog;
mod conflicts;
mod cut;
mod killed;
mod majority;
mod reading;
mod support;
mod switching;
mod thawing;
mod unfenced;
mod user;
