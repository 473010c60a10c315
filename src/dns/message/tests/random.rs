//! Any bytes: random ones, and questions that were damaged at random. The seed is fixed, so a failure comes again.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;

use super::{authority, question};
use crate::dns::message::{Transport, respond};

/// Messages that are tried.
const ROUNDS: u32 = 100_000;

/// Xorshift (Marsaglia 2003): good enough to damage bytes.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len().max(1));
            let byte = u8::try_from(self.below(256)).unwrap();
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), byte),
                _ if bytes.is_empty() => {}
                2 => bytes[at] = byte,
                _ => bytes[at] ^= 1 << self.below(8),
            }
        }
    }
}

#[test]
fn any_bytes_get_an_answer_that_can_be_read_or_none() {
    let authority = authority();
    let mut random = Random(0x5eed);
    let names = ["laptop", "web", "_http._tcp", "wordy", "v1-4.web", "_services._dns-sd._udp"];
    let kinds =
        [RecordType::A, RecordType::SRV, RecordType::PTR, RecordType::TXT, RecordType::ANY, RecordType::SOA];
    let mut answers = Vec::new();
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let name = format!("{}.home.internal", names[random.below(names.len())]);
        let payload_max = [None, Some(600), Some(4096)][random.below(3)];
        let mut bytes = question(&name, kinds[random.below(kinds.len())], payload_max).to_vec().unwrap();
        random.damage(&mut bytes);
        for (transport, limit) in [(Transport::Udp, 1232), (Transport::Tcp, 65_535)] {
            let Some(outcome) = respond(&bytes, transport, &authority, &mut answers) else { continue };
            assert!(answers.len() <= limit, "round {round}: {bytes:?}");
            assert_eq!(answers[..2], bytes[..2], "round {round}: {bytes:?}");
            let message = Message::from_vec(&answers)
                .unwrap_or_else(|error| panic!("round {round}: {error}: {bytes:?}"));
            if outcome.code == ResponseCode::NoError {
                accepted += 1;
                let asked = message.queries[0].name.to_lowercase().to_ascii();
                assert!(asked.ends_with("home.internal."), "round {round}: {asked}");
            } else {
                refused += 1;
                assert!(message.answers.is_empty(), "round {round}: {bytes:?}");
            }
        }
    }
    // Both sides are really tried.
    assert!(accepted > ROUNDS / 20 && refused > ROUNDS / 20, "{accepted} {refused}");
}
