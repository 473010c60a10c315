//! The queues towards the streams, and the handle by which any thread fills them.
//!
//! The table of queues is replaced as a whole when a stream begins or ends; whoever sends takes it as it is, without a
//! lock. A queue is limited in datagrams and in bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc};

use super::limits::{DATAGRAM_LENGTH_MAX, QUEUE_BYTES_MAX, QUEUE_LENGTH_MAX};

/// Why a datagram was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The stream is over, or never was.
    #[error("there is no such stream")]
    NoStream,
    /// The stream is slower than what is sent over it.
    #[error("the stream's queue is full")]
    Full,
    /// Longer than [`DATAGRAM_LENGTH_MAX`].
    #[error("too long for a datagram")]
    TooLong,
}

/// Sends datagrams over streams, from any thread.
#[derive(Clone)]
pub struct StreamSender {
    outbound: Arc<Outbound>,
}

impl StreamSender {
    pub(super) fn new(outbound: Arc<Outbound>) -> Self {
        Self { outbound }
    }

    /// Queues a datagram for the stream of this number. Never waits.
    ///
    /// # Errors
    /// [`SendError`]; the datagram is dropped and counted.
    pub fn try_send(&self, number: u32, bytes: Vec<u8>) -> Result<(), SendError> {
        let queued = match self.outbound.table.load().get(&number) {
            Some(queue) => queue.push(bytes),
            None => Err(SendError::NoStream),
        };
        if queued.is_err() {
            self.outbound.dropped.fetch_add(1, Relaxed);
        }
        queued
    }

    /// How many datagrams [`StreamSender::try_send`] has refused, of all streams since the beginning.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.outbound.dropped.load(Relaxed)
    }
}

/// The queues of all streams.
#[derive(Default)]
pub(super) struct Outbound {
    table: ArcSwap<BTreeMap<u32, Queue>>,
    last_number: AtomicU32,
    dropped: AtomicU64,
}

/// The sending end of one queue.
#[derive(Clone)]
struct Queue {
    datagrams: mpsc::Sender<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
    stop: Arc<Notify>,
}

impl Queue {
    fn push(&self, bytes: Vec<u8>) -> Result<(), SendError> {
        let length = bytes.len();
        if length > DATAGRAM_LENGTH_MAX {
            return Err(SendError::TooLong);
        }
        // Counted first: many threads at once cannot go beyond the limit together.
        let fits = self.bytes.fetch_add(length, Relaxed) + length <= QUEUE_BYTES_MAX;
        let pushed =
            if fits { self.datagrams.try_send(bytes).map_err(refusal) } else { Err(SendError::Full) };
        if pushed.is_err() {
            self.bytes.fetch_sub(length, Relaxed);
        }
        pushed
    }
}

fn refusal(error: mpsc::error::TrySendError<Vec<u8>>) -> SendError {
    match error {
        mpsc::error::TrySendError::Full(_) => SendError::Full,
        mpsc::error::TrySendError::Closed(_) => SendError::NoStream,
    }
}

impl Outbound {
    /// A new stream, with a number that none has.
    pub(super) fn register(self: &Arc<Self>) -> Registered {
        let (to_datagrams, datagrams) = mpsc::channel(QUEUE_LENGTH_MAX);
        let queue = Queue { datagrams: to_datagrams, bytes: Arc::default(), stop: Arc::default() };
        let number = loop {
            let number = self.last_number.fetch_add(1, Relaxed).wrapping_add(1);
            if number != 0 && !self.table.load().contains_key(&number) {
                break number;
            }
        };
        self.table.rcu(|table| {
            let mut table = BTreeMap::clone(table);
            table.insert(number, queue.clone());
            table
        });
        let Queue { bytes, stop, .. } = queue;
        Registered { number, datagrams, bytes, stop, outbound: Arc::clone(self) }
    }

    /// Tells the task of a stream to end.
    pub(super) fn close(&self, number: u32) {
        if let Some(queue) = self.table.load().get(&number) {
            queue.stop.notify_one();
        }
    }
}

/// A stream's own side of its queue, and its place in the table, which it leaves when this is dropped.
pub(super) struct Registered {
    pub(super) number: u32,
    datagrams: mpsc::Receiver<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
    stop: Arc<Notify>,
    outbound: Arc<Outbound>,
}

impl Registered {
    /// Waits for the next datagram. May be given up and called again.
    pub(super) async fn next(&mut self) -> Vec<u8> {
        let bytes = self.datagrams.recv().await.expect("the table holds a sender until this is dropped");
        self.taken(bytes)
    }

    /// The next datagram, if there is one.
    pub(super) fn try_next(&mut self) -> Option<Vec<u8>> {
        self.datagrams.try_recv().ok().map(|bytes| self.taken(bytes))
    }

    fn taken(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.bytes.fetch_sub(bytes.len(), Relaxed);
        bytes
    }

    /// Something to await the order to end on.
    pub(super) fn stop(&self) -> Arc<Notify> {
        Arc::clone(&self.stop)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.outbound.table.rcu(|table| {
            let mut table = BTreeMap::clone(table);
            table.remove(&self.number);
            table
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> (StreamSender, Registered) {
        let outbound = Arc::new(Outbound::default());
        (StreamSender::new(Arc::clone(&outbound)), outbound.register())
    }

    #[test]
    fn a_queue_is_limited_in_bytes() {
        let (sender, mut stream) = stream();
        let sent = (0..QUEUE_BYTES_MAX / 1024).map(|_| sender.try_send(stream.number, vec![0; 1024]));
        assert!(sent.collect::<Result<(), _>>().is_ok());
        assert_eq!(sender.try_send(stream.number, vec![0; 1]), Err(SendError::Full));
        assert_eq!(sender.dropped(), 1);
        assert_eq!(stream.try_next().map(|bytes| bytes.len()), Some(1024));
        assert_eq!(sender.try_send(stream.number, vec![0; 1025]), Err(SendError::Full));
        assert_eq!(sender.try_send(stream.number, vec![0; 1024]), Ok(()));
        assert_eq!(sender.dropped(), 2);
    }

    #[test]
    fn a_queue_is_limited_in_datagrams() {
        let (sender, mut stream) = stream();
        let sent = (0..QUEUE_LENGTH_MAX).map(|_| sender.try_send(stream.number, vec![]));
        assert!(sent.collect::<Result<(), _>>().is_ok());
        assert_eq!(sender.try_send(stream.number, vec![1; 9]), Err(SendError::Full));
        assert_eq!(stream.try_next(), Some(vec![]));
        assert_eq!(sender.try_send(stream.number, vec![1; 9]), Ok(()));
    }

    #[test]
    fn what_is_too_long_or_has_no_stream_is_refused_and_counted() {
        let (sender, stream) = stream();
        assert_eq!(sender.try_send(stream.number, vec![0; 65_536]), Err(SendError::TooLong));
        assert_eq!(sender.try_send(stream.number, vec![0; 65_535]), Ok(()));
        assert_eq!(sender.try_send(stream.number + 1, vec![]), Err(SendError::NoStream));
        let number = stream.number;
        drop(stream);
        assert_eq!(sender.try_send(number, vec![]), Err(SendError::NoStream));
        assert_eq!(sender.dropped(), 3);
    }

    #[test]
    fn numbers_in_use_are_not_given_again_when_they_wrap() {
        let outbound = Arc::new(Outbound::default());
        let (first, second) = (outbound.register(), outbound.register());
        assert_eq!((first.number, second.number), (1, 2));
        outbound.last_number.store(u32::MAX - 1, Relaxed);
        assert_eq!(outbound.register().number, u32::MAX);
        drop(second);
        assert_eq!(outbound.register().number, 2);
    }
}
