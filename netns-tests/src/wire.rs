//! A cable with properties: delay, jitter, loss, and whatever an evil hop does to datagrams.
//!
//! The kernel need not have netem for it: both ends are TAP devices, in whatever namespaces, and a thread of this
//! process carries the frames from one to the other. It belongs into WAN cables and the like; some ten thousand frames
//! a second are the most it carries, so it must never be part of a measurement of speed.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::Dice;
use crate::frame::{alter_udp, udp_payload};
use crate::ground::Namespace;

/// The longest frame of an Ethernet of MTU 1500, with room for a tag, in bytes.
const FRAME: usize = 1518;
/// Frames on the way at once, in both directions; more are lost, as in any queue: half a second at full rate.
const IN_FLIGHT: usize = 16_384;
/// Frames read from one end before the other has its turn.
const BATCH: usize = 64;

/// What a wire does to the frames on it, in each direction. Shares are of 0 to 1.
#[derive(Debug, Clone, Default)]
pub struct Conduct {
    /// Time that every frame is on the way.
    pub delay: Duration,
    /// At most so much more time, evenly distributed; the order of frames stays.
    pub jitter: Duration,
    /// Share of frames lost.
    pub loss: f64,
    /// What it does to datagrams besides.
    pub mischief: Option<Mischief>,
}

impl Conduct {
    /// A wire on which every frame is `ms` milliseconds on the way.
    #[must_use]
    pub fn delay_ms(ms: u64) -> Self {
        Self { delay: Duration::from_millis(ms), ..Self::default() }
    }
}

/// What is done to UDP datagrams on purpose. Shares are of 0 to 1.
#[derive(Debug, Clone, Default)]
pub struct Mischief {
    /// Only datagrams whose payload begins with one of these bytes; all when empty.
    pub kinds: Vec<u8>,
    /// Share swallowed.
    pub dropped: f64,
    /// Share of which some bits are flipped, the checksum made right again.
    pub altered: f64,
    /// Share sent twice.
    pub duplicated: f64,
    /// Share that is on the way for [`Mischief::late`] more, so that others overtake it.
    pub reordered: f64,
    /// See [`Mischief::reordered`].
    pub late: Duration,
}

impl Mischief {
    fn concerns(&self, frame: &[u8]) -> bool {
        let Some(payload) = udp_payload(frame) else { return false };
        self.kinds.is_empty() || payload.first().is_some_and(|first| self.kinds.contains(first))
    }
}

/// What a wire did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames that arrived, copies included.
    pub carried: u64,
    /// Frames lost, swallowed, or too many.
    pub lost: u64,
    /// Datagrams that [`Mischief`] concerned.
    pub concerned: u64,
    /// Datagrams altered.
    pub altered: u64,
    /// Datagrams sent twice.
    pub duplicated: u64,
    /// Datagrams made late.
    pub reordered: u64,
}

/// A running wire. Dropping it removes both of its ends.
pub struct Wire {
    shared: Arc<Shared>,
    stop: UnixStream,
    carrier: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    conduct: Mutex<Conduct>,
    tally: Mutex<Tally>,
}

impl Wire {
    /// Makes two links, named in their namespaces, and carries frames between them; both are still down.
    pub(crate) fn new(near: (&Namespace, &str), far: (&Namespace, &str), conduct: Conduct) -> Self {
        let ends = [near, far].map(|(namespace, link)| namespace.enter(|| tap(link)));
        let shared = Arc::new(Shared { conduct: Mutex::new(conduct), ..Shared::default() });
        let (stop, stopped) = UnixStream::pair().expect("two descriptors are free");
        let carrier = Carrier {
            ends,
            shared: Arc::clone(&shared),
            in_flight: BTreeMap::new(),
            numbered: 0,
            latest: [Instant::now(); 2],
            dice: Dice::new(1),
        };
        let carrier = std::thread::spawn(move || carrier.run(&stopped));
        Self { shared, stop, carrier: Some(carrier) }
    }

    /// Behaves otherwise from now on; frames already on the way arrive as they would have.
    pub fn behave(&self, conduct: Conduct) {
        *self.shared.conduct.lock().unwrap_or_else(PoisonError::into_inner) = conduct;
    }

    /// What it did so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        *self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _carrier_is_gone = self.stop.shutdown(std::net::Shutdown::Both);
        let _panicked = self.carrier.take().map(JoinHandle::join);
    }
}

fn tap(name: &str) -> SyncDevice {
    let device = DeviceBuilder::new().name(name).layer(Layer::L2).inherit_enable_state().build_sync();
    let device = device.unwrap_or_else(|error| panic!("cannot make the TAP device {name}: {error}"));
    device.set_nonblocking(true).expect("an open descriptor");
    device
}

/// A frame on its way to an end.
struct Frame {
    to: usize,
    bytes: Vec<u8>,
}

struct Carrier {
    ends: [SyncDevice; 2],
    shared: Arc<Shared>,
    /// By the time of arrival, then by the order of departure.
    in_flight: BTreeMap<(Instant, u64), Frame>,
    numbered: u64,
    /// When the last frame to each end arrives that keeps the order.
    latest: [Instant; 2],
    dice: Dice,
}

impl Carrier {
    fn run(mut self, stopped: &UnixStream) {
        loop {
            let wait = self.in_flight.first_key_value().map(|((due, _), _)| {
                Timespec::try_from(due.saturating_duration_since(Instant::now())).expect("less than an age")
            });
            let mut polled = [
                PollFd::new(&self.ends[0], PollFlags::IN),
                PollFd::new(&self.ends[1], PollFlags::IN),
                PollFd::new(stopped, PollFlags::IN),
            ];
            let interrupted = poll(&mut polled, wait.as_ref()).is_err();
            let [near, far, stop] = polled.map(|fd| !interrupted && !fd.revents().is_empty());
            // A namespace that goes takes its link along: the wire has come to its end, too.
            if stop || near && !self.take_in(0) || far && !self.take_in(1) {
                return;
            }
            self.deliver(Instant::now());
        }
    }

    /// Takes frames in at one end; false when that end is gone.
    fn take_in(&mut self, from: usize) -> bool {
        let shared = Arc::clone(&self.shared);
        let conduct = shared.conduct.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tally = shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; FRAME];
        for _ in 0..BATCH {
            match self.ends[from].recv(&mut buffer) {
                Ok(size) => self.send(1 - from, buffer[..size].to_vec(), &conduct, &mut tally),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Decides what becomes of a frame.
    fn send(&mut self, to: usize, mut bytes: Vec<u8>, conduct: &Conduct, tally: &mut Tally) {
        let now = Instant::now();
        let jitter = conduct.jitter.mul_f64(self.fraction());
        // Whoever was sent earlier arrives earlier.
        let mut due = (now + conduct.delay + jitter).max(self.latest[to]);
        self.latest[to] = due;
        let mut lost = self.fraction() < conduct.loss;
        let mut copies = 1;
        if let Some(mischief) = conduct.mischief.as_ref().filter(|mischief| mischief.concerns(&bytes)) {
            tally.concerned += 1;
            lost |= self.fraction() < mischief.dropped;
            if self.fraction() < mischief.altered {
                tally.altered += 1;
                let position = self.dice.below(FRAME);
                alter_udp(&mut bytes, position, 1 << self.dice.below(8));
            }
            if self.fraction() < mischief.duplicated {
                tally.duplicated += 1;
                copies = 2;
            }
            if self.fraction() < mischief.reordered {
                tally.reordered += 1;
                due += mischief.late;
            }
        }
        if lost || self.in_flight.len() >= IN_FLIGHT {
            tally.lost += 1;
            return;
        }
        for _ in 0..copies {
            self.numbered += 1;
            self.in_flight.insert((due, self.numbered), Frame { to, bytes: bytes.clone() });
        }
    }

    /// Hands over what has arrived by `now`.
    fn deliver(&mut self, now: Instant) {
        let mut arrived = 0;
        while let Some(first) = self.in_flight.first_entry() {
            if first.key().0 > now {
                break;
            }
            let Frame { to, bytes } = first.remove();
            // An end that is down, or whose queue is full, loses it, as any link does.
            arrived += u64::from(self.ends[to].send(&bytes).is_ok());
        }
        if arrived > 0 {
            self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner).carried += arrived;
        }
    }

    /// A number from 0 up to but not including 1.
    fn fraction(&mut self) -> f64 {
        (self.dice.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
