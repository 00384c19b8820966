mod down;
mod fleet;
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

/// The most probes in an outage of this length. No wait is shorter than half of the `first` one; and one probe at each end.
fn most_probes(first: Duration, length: Duration) -> u64 {
    (length.as_secs_f64() / first.mul_f64(0.5).as_secs_f64()) as u64 + 2
}
