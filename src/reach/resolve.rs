//! Names of servers to addresses, by the host's own resolver.

use std::net::SocketAddr;

use super::limits::LOOK_UP_WAIT;

/// The addresses of `name`, which is `host:port`; none when it has none or nobody answers in time.
///
/// The host's resolver runs in a thread of the runtime, and may go on there for a while after this has given up.
pub async fn resolve(name: &str) -> Vec<SocketAddr> {
    match tokio::time::timeout(LOOK_UP_WAIT, tokio::net::lookup_host(name)).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[tokio::test]
    async fn addresses_need_no_resolver_and_nonsense_has_none() {
        assert_eq!(resolve("192.0.2.1:3478").await, ["192.0.2.1:3478".parse().unwrap()]);
        assert_eq!(resolve("[2001:db8::1]:3478").await, ["[2001:db8::1]:3478".parse().unwrap()]);
        assert!(resolve("no port").await.is_empty());
    }
}
