mod down;
mod full;
mod login;
mod proxies;
mod read_only;
mod read_only_refusals;
mod shared;
mod storm;

use std::time::Duration;

use mysql_async::OptsBuilder;
use mysql_retry_fixture::Server;

/// Makes the user `app`. `read_only` stops it, and on a full server no place is reserved for it.
async fn create_app(server: &Server) {
    server.create_user("app", "app-pass").await;
}

/// Options for the user `app`.
fn as_app(opts: OptsBuilder) -> OptsBuilder {
    opts.user(Some("app")).pass(Some("app-pass"))
}

async fn set_read_only(server: &Server, on: bool) {
    server.query_drop(format!("SET GLOBAL read_only = {}", u8::from(on))).await;
}

/// The most probes in an outage of this length: each delay is the interval less a fifth at least, but for the first ones (20 ms, doubled
/// each time), which are shorter; and one probe at each end.
fn most_probes(interval: Duration, length: Duration) -> u64 {
    let shortest = interval.mul_f64(0.8);
    let first = (0..).take_while(|doublings| Duration::from_millis(20 << doublings) <= shortest).count() as u64;
    (length.as_secs_f64() / shortest.as_secs_f64()) as u64 + first + 2
}
