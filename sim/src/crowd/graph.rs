//! What a crowd looks like from above, where no node stands.

use super::Crowd;
use wire::NodeId;

impl Crowd {
    /// How many are up.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.members.iter().flatten().count()
    }

    /// The largest set of members that reach each other over links that both ends hold.
    #[must_use]
    pub fn largest_component(&self) -> usize {
        let mut seen = vec![false; self.members.len()];
        let mut largest = 0;
        for start in 0..self.members.len() {
            let mut stack = vec![start];
            let mut size = 0;
            while let Some(at) = stack.pop() {
                if self.members[at].is_none() || std::mem::replace(&mut seen[at], true) {
                    continue;
                }
                size += 1;
                stack.extend(self.links(at));
            }
            largest = largest.max(size);
        }
        largest
    }

    /// How many links one end holds and the other does not, the dead ones among them.
    #[must_use]
    pub fn one_sided(&self) -> usize {
        let held: usize = self.members.iter().flatten().map(|member| member.views.active().count()).sum();
        held - (0..self.members.len()).map(|at| self.links(at).count()).sum::<usize>()
    }

    /// How many members have so many neighbours, from none on.
    #[must_use]
    pub fn degrees(&self) -> Vec<usize> {
        let mut degrees = vec![0; registry::limits::ACTIVE_MAX + 1];
        for member in self.members.iter().flatten() {
            degrees[member.views.active().count()] += 1;
        }
        degrees
    }

    /// The most entries that any member holds in its views.
    #[must_use]
    pub fn largest_views(&self) -> usize {
        let sizes =
            self.members.iter().flatten().map(|m| m.views.active().count() + m.views.passive().count());
        sizes.max().unwrap_or(0)
    }

    /// In how many passive views each living member is.
    #[must_use]
    pub fn known_by(&self) -> Vec<usize> {
        let mut counts = vec![0; self.members.len()];
        for node in self.members.iter().flatten().flat_map(|member| member.views.passive()) {
            counts[super::number(&node) as usize] += 1;
        }
        let alive = counts.into_iter().zip(&self.members).filter(|(_, member)| member.is_some());
        alive.map(|(count, _)| count).collect()
    }

    /// The other ends of links that both hold.
    fn links(&self, at: usize) -> impl Iterator<Item = usize> {
        let id = super::id(at as u32);
        let holds = move |other: &NodeId| {
            self.members[super::number(other) as usize].as_ref().is_some_and(|m| m.views.is_active(&id))
        };
        let active = self.members[at].iter().flat_map(|member| member.views.active());
        active.filter(holds).map(|other| super::number(&other) as usize)
    }
}
