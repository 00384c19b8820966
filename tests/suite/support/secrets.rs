//! What no message may show.

use std::error::Error as _;

use mysql_retry::{Error, Executor};

pub const PASSWORD: &str = "hunter2-Passw0rd";
pub const PARAMETER: &str = "s3cret-parameter";

/// Asserts that neither secret is in any text of the error or of its sources.
pub fn assert_keeps_secrets(error: &Error) {
    let mut shown = format!("{error}\n{error:?}\n{error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        shown = format!("{shown}\n{cause}");
        source = cause.source();
    }
    for secret in [PASSWORD, PARAMETER] {
        assert!(!shown.contains(secret), "{secret} in\n{shown}");
        // nor as the Debug form of its bytes
        let bytes = format!("{:?}", secret.as_bytes());
        let bytes = bytes.trim_matches(['[', ']']);
        assert!(!shown.replace(['\n', ' '], "").contains(&bytes.replace(' ', "")), "the bytes of {secret} in\n{shown}");
    }
}

/// Asserts that the password is not in the Debug form of an executor.
pub fn assert_keeps_nothing_in_debug(exec: &Executor) {
    let shown = format!("{exec:?} {exec:#?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}
