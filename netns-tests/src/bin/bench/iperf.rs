//! iperf3 between the two machines, and what its JSON says.

use std::net::IpAddr;
use std::time::Duration;

use netns_tests::{Machine, Process, iperf_server};
use serde_json::Value;

/// How much longer than asked a client may take: under a flood its closing words are slow to arrive.
const LATE: Duration = Duration::from_secs(60);

/// A run that goes on, and the server it talks to.
pub(crate) struct Iperf {
    client: Process,
    _server: Process,
    seconds: u32,
}

impl Iperf {
    /// Starts one run of so many seconds from one machine to the other.
    pub(crate) fn start(from: &Machine, to: &Machine, address: IpAddr, seconds: u32, args: &[&str]) -> Self {
        let server = iperf_server(to, address);
        let address = address.to_string();
        let length = seconds.to_string();
        let words = ["iperf3", "-J", "-c", &address, "-t", &length, "--connect-timeout", "5000"];
        Self { client: from.start(&[&words[..], args].concat()), _server: server, seconds }
    }

    /// Waits for its end; the part of its JSON about the whole run.
    pub(crate) fn end(self) -> Value {
        let done = self.client.done(Duration::from_secs(self.seconds.into()) + LATE);
        let told: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
        assert!(told["error"].is_null(), "iperf3: {}", told["error"]);
        assert_eq!(done.code, Some(0), "{} failed\n{}{}", done.what, done.stdout, done.stderr);
        told["end"].clone()
    }
}

/// What arrived of a TCP run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stream {
    pub(crate) gbit_s: f64,
    pub(crate) bytes: f64,
}

impl Stream {
    /// None when it is not said.
    pub(crate) fn read(end: &Value) -> Option<Self> {
        let received = &end["sum_received"];
        Some(Self { gbit_s: received["bits_per_second"].as_f64()? / 1e9, bytes: received["bytes"].as_f64()? })
    }
}

/// What became of a run of datagrams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Datagrams {
    /// Sent, in packets a second.
    pub(crate) offered_pps: f64,
    /// Arrived, in packets a second.
    pub(crate) delivered_pps: f64,
    /// From 0 to 1.
    pub(crate) loss: f64,
}

impl Datagrams {
    /// None when it is not said.
    pub(crate) fn read(end: &Value) -> Option<Self> {
        let sum = &end["sum"];
        let (packets, lost) = (sum["packets"].as_f64()?, sum["lost_packets"].as_f64()?);
        let seconds = sum["seconds"].as_f64().filter(|seconds| *seconds > 0.0)?;
        // Those that come twice or late count as less than nothing lost.
        let arrived = (packets - lost).clamp(0.0, packets);
        let loss = if packets > 0.0 { 1.0 - arrived / packets } else { 1.0 };
        Some(Self { offered_pps: packets / seconds, delivered_pps: arrived / seconds, loss })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_iperf3_tells() {
        let end = json!({"sum_received": {"bits_per_second": 2.5e9, "bytes": 1e9}});
        assert_eq!(Stream::read(&end), Some(Stream { gbit_s: 2.5, bytes: 1e9 }));
        let end = json!({"sum": {"packets": 1000, "lost_packets": 250, "seconds": 2.0}});
        let expected = Datagrams { offered_pps: 500.0, delivered_pps: 375.0, loss: 0.25 };
        assert_eq!(Datagrams::read(&end), Some(expected));
        let twice = json!({"sum": {"packets": 10, "lost_packets": -2, "seconds": 1.0}});
        assert_eq!(Datagrams::read(&twice).map(|d| (d.delivered_pps, d.loss)), Some((10.0, 0.0)));
        assert!(Stream::read(&json!({})).is_none() && Datagrams::read(&json!({"sum": {}})).is_none());
    }
}
