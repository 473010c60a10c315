//! What crosses a machine's `eth0`, by tcpdump, and the datagrams in it.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::frame::udp_payload;
use crate::{Machine, Process, wait_until};

/// Content and port of the datagram that is captured last: what came before it is in the file then.
const END: &[u8] = b"end of the capture";
const END_PORT: u16 = 4;

/// A running tcpdump.
pub struct Capture<'a> {
    machine: &'a Machine,
    process: Process,
    path: PathBuf,
}

impl Machine {
    /// Captures what `filter` (pcap-filter(7)) lets through on `eth0`, from now on.
    ///
    /// # Panics
    /// When tcpdump does not start.
    #[must_use]
    pub fn capture(&self, filter: &str) -> Capture<'_> {
        let path = self.folder().join("capture.pcap");
        let filter = format!("({filter}) or udp port {END_PORT}");
        let text = path.to_str().expect("a lab's folder is plain text");
        let words = ["tcpdump", "-i", "eth0", "-Z", "root", "-U", "--immediate-mode", "-w", text, &filter];
        let process = self.start(&words);
        let listening = |said: &str| said.contains("listening on").then_some(());
        let ready = process.wait_stderr(Duration::from_secs(20), listening);
        assert!(ready.is_some(), "tcpdump did not start: {}", process.stderr());
        Capture { machine: self, process, path }
    }
}

impl Capture<'_> {
    /// Stops and gives the capture file's bytes.
    ///
    /// # Panics
    /// When tcpdump failed.
    #[must_use]
    pub fn stop(mut self) -> Vec<u8> {
        let router: IpAddr = self.machine.router();
        let any = if router.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let sent = self.machine.enter(|| UdpSocket::bind(any)?.send_to(END, (router, END_PORT)));
        assert!(sent.is_ok(), "the end of the capture cannot be marked: {sent:?}");
        wait_until("the capture has ended", Duration::from_secs(10), || {
            let seen = fs::read(&self.path).ok()?;
            seen.windows(END.len()).any(|window| window == END).then_some(())
        });
        self.process.signal(Signal::INT);
        let _said = self.process.done(Duration::from_secs(20)).ok();
        fs::read(&self.path).expect("tcpdump wrote it")
    }
}

/// The payloads of all UDP datagrams in a capture of an Ethernet (libpcap format, native byte order), whole ones only.
#[must_use]
pub fn captured_udp(pcap: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = pcap.get(24..).unwrap_or_default();
    while let Some((header, after)) = rest.split_at_checked(16) {
        let size = u32::from_ne_bytes(header[8..12].try_into().expect("four bytes")) as usize;
        let Some((frame, after)) = after.split_at_checked(size) else { break };
        found.extend(udp_payload(frame).filter(|payload| *payload != END).map(<[u8]>::to_vec));
        rest = after;
    }
    found
}
