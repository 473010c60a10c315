//! Where a peer is now: candidates, probes, the primary path.
//!
//! [`Paths`] is the state of one peer. It never sends: it says whom to probe and when, and is told
//! what arrived. It knows nothing of sessions or addresses inside the mesh; what it is told has been authenticated.
//! NAT traversal and hops will live here as further kinds of candidates and paths.

mod candidates;
mod ladder;
mod lifetime;
mod limits;
mod observe;
mod path_mtu;
mod paths;
mod punch;
mod remote;
mod topology;

pub use candidates::{Candidates, Source};
pub use ladder::{Attempt, Ladder, Step};
pub use lifetime::{Lifetime, LifetimeOutput};
pub use limits::{
    CHALLENGE_TIME, HOPS_MAX, LOOK_EARLY, PROBE_ACTIVE_INTERVAL, PROBE_IDLE_INTERVAL, PROBE_TIMEOUT,
    PROBE_TIMEOUT_MIN, PROBE_TRIES,
};
pub use observe::{DialBack, Observations, Witness};
pub use path_mtu::{Look, MTU_ASSUMED, MTU_MAX, MTU_MIN, Measured, Mtu, PathMtu, SizeProbe};
pub use paths::{Output, Paths, Pong, Traffic, WaitReason};
pub use punch::{
    Punch, PunchOutput, PunchParams, PunchResult, Reason, Role, Rung, Side, Strategy, same_nat, strategy,
    strategy_on,
};
pub use remote::{Remote, SocketId};
pub use topology::{Route, Topology, prefix_of};
