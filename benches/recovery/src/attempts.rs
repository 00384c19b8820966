//! Connection attempts, counted outside of those that make them.
//!
//! Where a proxy listens it counts what it accepts. Where nobody listens, the kernel counts: `AttemptFails` of
//! /proc/net/snmp is the number of connects that were refused (`ActiveOpens` has those that succeed too, and with them
//! whatever else goes on). The harness itself talks to servers over unix sockets, and its proxies have servers that
//! listen wherever this number is used.
//!
//! The number is that of the network namespace. Other programs that fail to connect at the same time spoil it, so it is
//! read before the outage too: then it has to stand still.

use std::fs;

/// TCP connects that were refused, in this network namespace, since the machine was started.
///
/// # Panics
/// Where /proc does not tell, that is, not on Linux.
pub(crate) fn refused() -> u64 {
    let text = fs::read_to_string("/proc/self/net/snmp").expect("the numbers of the kernel");
    find(&text, "AttemptFails").expect("a number of refused connects")
}

/// Two lines begin with `Tcp:`, one with the names, one with the numbers.
fn find(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:")).map(str::split_whitespace);
    let place = lines.next()?.position(|one| one == name)?;
    lines.next()?.nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_number_stands_under_its_name() {
        let text = "Ip: Forwarding\nIp: 1\nTcp: MaxConn ActiveOpens AttemptFails\nTcp: -1 614 24\n";
        assert_eq!(find(text, "AttemptFails"), Some(24));
        assert_eq!(find(text, "Nothing"), None);
    }
}
