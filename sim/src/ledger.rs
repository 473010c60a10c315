//! Inner packets: made with a mark that no other bytes have, and what became of each.

use std::net::IpAddr;
use std::time::Duration;

/// Length of the part of a mark that is the same in every packet of a world.
pub(crate) const CANARY_LENGTH: usize = 8;
/// IANA's protocol number for experiments.
const PROTOCOL: u8 = 253;

/// One inner packet.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The machine whose program sent it.
    pub from: usize,
    /// The machine that it is for.
    pub to: usize,
    /// Its source address.
    pub source: IpAddr,
    /// Its destination address.
    pub destination: IpAddr,
    /// When it was sent.
    pub at: Duration,
    /// The sender lied about the source.
    pub is_spoofed: bool,
    /// When it came out of the other TUN.
    pub arrived: Option<Duration>,
    /// The sender was told that it cannot be delivered, or it was dropped where it came from.
    pub refused: bool,
    pub(crate) bytes: Vec<u8>,
}

/// All inner packets of a world.
pub struct Ledger {
    canary: [u8; CANARY_LENGTH],
    sent: Vec<Sent>,
}

impl Ledger {
    pub(crate) fn new(canary: [u8; CANARY_LENGTH]) -> Self {
        Self { canary, sent: vec![] }
    }

    pub(crate) fn canary(&self) -> [u8; CANARY_LENGTH] {
        self.canary
    }

    /// What became of a packet.
    ///
    /// # Panics
    /// When no packet has this number.
    #[must_use]
    pub fn packet(&self, number: usize) -> &Sent {
        &self.sent[number]
    }

    /// All packets in order.
    #[must_use]
    pub fn packets(&self) -> &[Sent] {
        &self.sent
    }

    pub(crate) fn packet_mut(&mut self, number: usize) -> &mut Sent {
        &mut self.sent[number]
    }

    /// Makes a packet; its number.
    pub(crate) fn enter(&mut self, mut sent: Sent, filling: &[u8]) -> usize {
        let number = self.sent.len();
        let payload = [&self.canary[..], &(number as u64).to_be_bytes(), filling].concat();
        sent.bytes = packet(sent.source, sent.destination, &payload);
        self.sent.push(sent);
        number
    }

    /// The number in the mark of a packet.
    pub(crate) fn number(&self, packet: &[u8]) -> Option<usize> {
        let at = packet.windows(CANARY_LENGTH).position(|window| window == self.canary)? + CANARY_LENGTH;
        let number = u64::from_be_bytes(packet.get(at..at + 8)?.try_into().ok()?) as usize;
        (number < self.sent.len()).then_some(number)
    }
}

fn packet(source: IpAddr, destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = (20 + payload.len() as u16).to_be_bytes();
            let head = [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, PROTOCOL, 0, 0];
            [&head[..], &source.octets(), &destination.octets(), payload].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = (payload.len() as u16).to_be_bytes();
            let head = [0x60, 0, 0, 0, length[0], length[1], PROTOCOL, 64];
            [&head[..], &source.octets(), &destination.octets(), payload].concat()
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => vec![],
    }
}
