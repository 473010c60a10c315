//! Trains: datagrams of one length for one remote, sealed one behind the other, which the kernel takes in one call.
//!
//! Whoever fills them empties them before it sleeps, so a lone packet waits for nobody. What goes to one remote stays in
//! order: a datagram that does not fit its train has the train sent first.

use nat::Remote;
use wire::datagram::{LABEL_LENGTH, write_label};

/// Trains that are filled at the same time: to so many peers packets may alternate without a call for each.
const TRAINS_MAX: usize = 8;
/// Bytes of a train: what one UDP datagram may have over IPv6, which is the kernel's limit for all of them together.
const TRAIN_LENGTH_MAX: usize = 65_535 - 48;
/// Room for the longest packet that any TUN gives.
const ROOM: usize = 65_535 + LABEL_LENGTH + wire::datagram::OVERHEAD;
/// Datagrams of a train (`UDP_MAX_SEGMENTS` of Linux before 6.9).
const DATAGRAMS_MAX: usize = 64;

/// Where a datagram goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) remote: Remote,
    /// By which the remote, a hop, knows the circuit.
    pub(crate) label: Option<u64>,
    /// Whether it is to be fragmented on the way rather than lost.
    pub(crate) in_fragments: bool,
}

/// Datagrams for one remote, all of one length but the last, which may be shorter.
pub struct Train {
    to: Destination,
    bytes: Box<[u8]>,
    used: usize,
    /// Length of each but the last.
    segment: usize,
    count: usize,
    /// The last one is shorter, so that none may follow.
    is_closed: bool,
}

impl Train {
    fn new() -> Self {
        let to = Destination { remote: Remote::Circuit(0), label: None, in_fragments: false };
        let bytes = vec![0; ROOM].into_boxed_slice();
        Self { to, bytes, used: 0, segment: 0, count: 0, is_closed: false }
    }

    /// Where they go.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.to.remote
    }

    /// Whether they may be too long for the path, and are to be fragmented on the way, where routers do, rather than lost.
    #[must_use]
    pub fn in_fragments(&self) -> bool {
        self.to.in_fragments
    }

    /// All of them, and the length of each but the last.
    #[must_use]
    pub fn segments(&self) -> (&[u8], usize) {
        (&self.bytes[..self.used], self.segment)
    }

    /// Each of them.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes[..self.used].chunks(self.segment.max(1))
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn takes(&self, length: usize) -> bool {
        self.is_empty()
            || (!self.is_closed
                && self.count < DATAGRAMS_MAX
                && length <= self.segment
                && self.used + length <= TRAIN_LENGTH_MAX)
    }

    fn add(&mut self, length: usize) -> &mut [u8] {
        if self.is_empty() {
            self.segment = length;
        }
        self.is_closed = length < self.segment;
        self.count += 1;
        let begin = self.used;
        self.used += length;
        &mut self.bytes[begin..self.used]
    }

    fn clear(&mut self) {
        (self.used, self.count, self.is_closed) = (0, 0, false);
    }
}

/// The trains of a worker.
pub struct Trains {
    trains: Vec<Train>,
    /// Which one is sent first when another remote needs one.
    oldest: usize,
}

impl Default for Trains {
    fn default() -> Self {
        Self::new()
    }
}

impl Trains {
    /// Empty trains; the kernel gives them memory only when they are filled.
    #[must_use]
    pub fn new() -> Self {
        Self { trains: std::iter::repeat_with(Train::new).take(TRAINS_MAX).collect(), oldest: 0 }
    }

    /// Room for a datagram of `length` bytes, the label before it already written; none for what is longer than any.
    pub(crate) fn slot(
        &mut self,
        to: Destination,
        length: usize,
        send: &mut impl FnMut(&Train),
    ) -> Option<&mut [u8]> {
        let whole = length + to.label.map_or(0, |_| LABEL_LENGTH);
        if whole > ROOM {
            return None;
        }
        let position = self.position(to, send);
        let train = &mut self.trains[position];
        if !train.takes(whole) {
            send(train);
            train.clear();
        }
        train.to = to;
        let slot = train.add(whole);
        let Some(label) = to.label else { return Some(slot) };
        let (header, datagram) = slot.split_first_chunk_mut::<LABEL_LENGTH>()?;
        write_label(header, label);
        Some(datagram)
    }

    /// Adds a datagram that was sealed elsewhere; one that is longer than any is lost.
    pub fn carry(&mut self, remote: Remote, datagram: &[u8], send: &mut impl FnMut(&Train)) {
        let to = Destination { remote, label: None, in_fragments: false };
        if let Some(slot) = self.slot(to, datagram.len(), send) {
            slot.copy_from_slice(datagram);
        }
    }

    /// The train of a destination, or an empty one, or the oldest, which is sent.
    fn position(&mut self, to: Destination, send: &mut impl FnMut(&Train)) -> usize {
        let of_destination = |train: &Train| train.to == to && !train.is_empty();
        if let Some(position) = self
            .trains
            .iter()
            .position(of_destination)
            .or_else(|| self.trains.iter().position(Train::is_empty))
        {
            return position;
        }
        let position = self.oldest;
        self.oldest = (position + 1) % TRAINS_MAX;
        send(&self.trains[position]);
        self.trains[position].clear();
        position
    }

    /// All datagrams, for who carries each by hand.
    pub fn take(&mut self) -> Vec<(Remote, Vec<u8>)> {
        let mut taken = vec![];
        self.flush(&mut |train: &Train| {
            taken.extend(train.datagrams().map(|datagram| (train.remote(), datagram.to_vec())));
        });
        taken
    }

    /// Sends everything.
    pub fn flush(&mut self, send: &mut impl FnMut(&Train)) {
        for train in self.trains.iter_mut().filter(|train| !train.is_empty()) {
            send(train);
            train.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> Destination {
        Destination { remote: Remote::udp(([192, 0, 2, 1], port).into()), label: None, in_fragments: false }
    }

    /// Fills trains with these, and says what was sent, each as port and lengths.
    fn sent(datagrams: &[(u16, usize)]) -> Vec<(u16, Vec<usize>)> {
        let (mut trains, mut sent) = (Trains::new(), vec![]);
        let mut send = |train: &Train| {
            let port = train.remote().address().unwrap().port();
            sent.push((port, train.datagrams().map(<[u8]>::len).collect()));
        };
        for (port, length) in datagrams {
            trains.slot(to(*port), *length, &mut send).unwrap().fill(1);
        }
        trains.flush(&mut send);
        trains.flush(&mut send);
        sent
    }

    #[test]
    fn equal_lengths_go_together_and_a_shorter_one_ends_a_train() {
        assert_eq!(sent(&[(1, 90); 5]), [(1, vec![90; 5])]);
        assert_eq!(sent(&[(1, 90), (1, 90), (1, 40), (1, 40)]), [(1, vec![90, 90, 40]), (1, vec![40])]);
        assert_eq!(sent(&[(1, 40), (1, 90)]), [(1, vec![40]), (1, vec![90])]);
        assert_eq!(sent(&[]), []);
    }

    #[test]
    fn trains_are_as_long_as_the_kernel_takes() {
        let many = sent(&[(1, 90); 130]);
        assert_eq!(many.iter().map(|(_, lengths)| lengths.len()).collect::<Vec<_>>(), [64, 64, 2]);
        let long = sent(&[(1, 1452); 50]);
        assert_eq!(long.iter().map(|(_, lengths)| lengths.len()).collect::<Vec<_>>(), [45, 5]);
        assert!(Trains::new().slot(to(1), ROOM + 1, &mut |_| {}).is_none());
    }

    #[test]
    fn remotes_have_trains_of_their_own_until_there_are_too_many() {
        let alternating: Vec<(u16, usize)> = (0..40).map(|n| (n % 8, 90)).collect();
        assert_eq!(sent(&alternating), (0..8).map(|port| (port, vec![90; 5])).collect::<Vec<_>>());
        let many: Vec<(u16, usize)> = (0..18).map(|n| (n % 9, 90)).collect();
        let all = sent(&many);
        assert_eq!(all.iter().map(|(_, lengths)| lengths.len()).sum::<usize>(), 18);
        assert!(all.len() > 9 && all[0] == (0, vec![90]), "the oldest goes first");
    }

    #[test]
    fn a_label_stands_before_each() {
        let (mut trains, mut bytes) = (Trains::new(), vec![]);
        let to = Destination { label: Some(0x0102), ..to(1) };
        for _ in 0..2 {
            trains.slot(to, 40, &mut |_| {}).unwrap().fill(7);
        }
        trains.flush(&mut |train| bytes.push(train.segments().0.to_vec()));
        let mut one = [0; LABEL_LENGTH + 40];
        one[LABEL_LENGTH..].fill(7);
        write_label(one.first_chunk_mut().unwrap(), 0x0102);
        assert_eq!(bytes, [[one, one].concat()]);
    }
}
