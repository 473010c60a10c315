//! The zone: made anew when what names mean has changed, and the order of instances when round trips have.

use super::{Node, Output};
use crate::limits::{ROUND_TRIP_INTERVAL, ZONE_PAUSE, ZONE_PAUSE_PER_SERVICE};
use crate::peer::PeerState;
use registry::{Surroundings, Zone};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::NodeId;
use wire::credential::Claims;

/// The zone that everybody sees, and when there is another.
pub(super) struct ZoneState {
    pub(super) current: Arc<Zone>,
    /// Whether it may be another by now.
    pub(super) is_old: bool,
    /// When it was made; the next one waits a while after that.
    pub(super) made: Option<Instant>,
    /// As they were shown last: what changes little does not change what is shown.
    round_trips: BTreeMap<NodeId, Duration>,
    next_round_trips: Instant,
}

impl ZoneState {
    pub(super) fn new(current: Zone, now: Instant) -> Self {
        Self {
            current: Arc::new(current),
            is_old: true,
            made: None,
            round_trips: BTreeMap::new(),
            next_round_trips: now,
        }
    }
}

impl ZoneState {
    /// Round trips to other nodes, as they are shown.
    pub(super) fn round_trips(&self) -> &BTreeMap<NodeId, Duration> {
        &self.round_trips
    }
}

impl Node {
    pub(super) fn run_zone_timer(&mut self, now: Instant) {
        if self.zone_deadline().is_none_or(|at| now < at) {
            return;
        }
        if now >= self.zone.next_round_trips {
            self.zone.next_round_trips = now + ROUND_TRIP_INTERVAL;
            let before = self.zone.round_trips.clone();
            self.measure_round_trips(now);
            self.zone.is_old |= self.zone.round_trips != before;
        }
        if self.zone.is_old && self.zone_pause_ends().is_none_or(|at| now >= at) {
            self.make_zone(now);
        }
    }

    pub(super) fn zone_deadline(&self) -> Option<Instant> {
        let look = (!self.services.is_empty()).then_some(self.zone.next_round_trips);
        let made = self.zone.is_old.then(|| self.zone_pause_ends().unwrap_or(self.started));
        look.into_iter().chain(made).min()
    }

    fn zone_pause_ends(&self) -> Option<Instant> {
        let services = u32::try_from(self.services.len()).unwrap_or(u32::MAX);
        Some(self.zone.made? + ZONE_PAUSE + ZONE_PAUSE_PER_SERVICE * services)
    }

    /// Makes the zone, and shows it if it is another.
    pub(super) fn make_zone(&mut self, now: Instant) {
        self.zone.is_old = false;
        self.zone.made = Some(now);
        let members: BTreeMap<NodeId, &Claims> = if self.is_revoked {
            BTreeMap::new()
        } else {
            self.members.members().map(|claims| (claims.node, claims)).collect()
        };
        let mut zone = self.services.zone(Surroundings {
            network: &self.members.network.name,
            own: self.identity.node(),
            members: &members,
            guests: &self.guests,
            round_trips: &self.zone.round_trips,
        });
        zone.known = self.known_part();
        zone.serial = self.zone.current.serial;
        if zone != *self.zone.current {
            zone.serial = zone.serial.wrapping_add(1);
            self.zone.current = Arc::new(zone);
            self.outputs.push_back(Output::Zone(self.zone.current.clone()));
        }
    }

    /// Round trips to peers. That of a session which rests is remembered; of a peer that does not answer it counts for
    /// nothing.
    fn measure_round_trips(&mut self, now: Instant) {
        let peers = &self.peers;
        let answers =
            |node: &NodeId| peers.get(node).is_some_and(|peer| peer.state(now) != PeerState::Offline);
        self.zone.round_trips.retain(|node, _| answers(node));
        for peer in peers.values().filter(|peer| peer.is_connected()) {
            let Some(measured) = peer.paths.round_trip() else { continue };
            let shown = self.zone.round_trips.get(&peer.node);
            if shown.is_none_or(|shown| differs(*shown, measured)) {
                self.zone.round_trips.insert(peer.node, measured);
            }
        }
    }
}

/// Whether a round trip is another, more than it wavers by itself.
fn differs(shown: Duration, measured: Duration) -> bool {
    shown.abs_diff(measured) > Duration::from_millis(2) + shown / 4
}
