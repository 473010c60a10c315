//! What people do with services, and what machines see of them.

use super::World;
use overlay::state::{Leases, StateFile, decode_leases, decode_services, encode_leases, encode_services};
use overlay::{HeldView, Publication, PublishError, Standing, Zone};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::Name;
use wire::record::{Content, Lease, TTL_S_MAX};
use wire::service::Version;

impl World {
    /// Publishes a service on a machine that is up.
    pub fn publish(&mut self, machine: usize, publication: Publication) -> Option<Result<(), PublishError>> {
        let now = self.now();
        let result = self.machines[machine].up()?.node.publish(publication, now);
        self.trace.note(self.at, machine, &format!("publishes: {result:?}"), &[]);
        self.drive(machine);
        Some(result)
    }

    /// Withdraws a service from a machine that is up.
    pub fn unpublish(
        &mut self,
        machine: usize,
        name: &Name,
        version: Option<&Version>,
    ) -> Option<Result<(), PublishError>> {
        let now = self.now();
        let result = self.machines[machine].up()?.node.unpublish(name, version, now);
        self.trace.note(self.at, machine, &format!("withdraws: {result:?}"), &[]);
        self.drive(machine);
        Some(result)
    }

    /// Lets an evil machine publish under a name whoever holds it: on its disk it finds a claim of its own, and goes on from there as
    /// if it had had it for long.
    pub fn squat(&mut self, machine: usize, publication: Publication) {
        self.kill(machine);
        self.trace.note(self.at, machine, &format!("squats on {}", publication.name), &[]);
        let written_s = self.unix_s(machine);
        let evil = &mut self.machines[machine];
        let (node, files) = (evil.identity.node(), &mut evil.disk.files);
        let sharing = publication.sharing.clone();
        let claim = Content::Claim { node, name: publication.name.clone(), sharing };
        // Above all that it has signed since its start.
        let sequence = (evil.identity.starts << 32) + (1 << 31);
        let lease = Lease { sequence, not_before_s: written_s, ttl_s: TTL_S_MAX, labels: BTreeMap::new() };
        let claim = claim.sign_lease(lease, &evil.identity.signing).expect("a claim is short");
        let leases =
            files.get(&StateFile::Leases).map(|bytes| decode_leases(bytes).expect("a Node wrote it"));
        let mut leases = leases.unwrap_or_default();
        leases.claims.push((claim, Duration::ZERO));
        files.insert(StateFile::Leases, encode_leases(&Leases { written_s, ..leases }).to_vec());
        let written =
            files.get(&StateFile::Services).map(|bytes| decode_services(bytes).expect("a Node wrote it"));
        let mut publications = written.unwrap_or_default();
        publications
            .retain(|other| (&other.name, &other.version) != (&publication.name, &publication.version));
        publications.push(publication);
        files.insert(StateFile::Services, encode_services(&publications).to_vec());
        self.start(machine);
    }

    /// Tells a machine that is up whether an instance of its own is well.
    pub fn tell_health(&mut self, machine: usize, name: &Name, is_healthy: bool) {
        let now = self.now();
        if let Some(up) = self.machines[machine].up() {
            up.node.handle_health(name, None, is_healthy, now);
            self.drive(machine);
        }
    }

    /// What names mean to a machine, while it runs.
    #[must_use]
    pub fn zone(&self, machine: usize) -> Option<Arc<Zone>> {
        self.machines[machine].node().map(overlay::Node::zone)
    }

    /// Asks for a name on a machine that is up; whether it is asked for. What it is told is in [`crate::machine::Machine::found`].
    pub fn find(&mut self, machine: usize, name: &Name) -> bool {
        let now = self.now();
        self.machines[machine].found.remove(name);
        let Some(up) = self.machines[machine].up() else { return false };
        let is_asked = up.node.find(name, now);
        self.drive(machine);
        is_asked
    }

    /// What a machine holds of the records, while it runs.
    #[must_use]
    pub fn held(&self, machine: usize) -> Option<HeldView> {
        self.machines[machine].node().map(overlay::Node::held)
    }

    /// How a publication stands on a machine, while it runs.
    #[must_use]
    pub fn standing(&self, machine: usize, name: &Name) -> Option<Standing> {
        self.machines[machine].node().map(|node| node.standing(name))
    }
}
