//! What people do with services, and what machines see of them.

use super::World;
use overlay::{HeldView, Publication, PublishError, Standing, Zone};
use std::sync::Arc;
use wire::Name;
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
