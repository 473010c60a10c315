//! What happens to the network and its machines while it is disturbed.

use super::{MACHINES_MAX, Scenario};
use crate::machine::State;
use crate::world::{Family, any_member};
use overlay::InviteRequest;
use overlay::state::StateFile;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use wire::invite::InviteRole;

impl Scenario {
    /// Does one thing.
    pub(super) fn act(&mut self) {
        match self.random.below(100) {
            0..=27 => self.talk(),
            28..=35 => self.world.network.conditions = self.conditions(400),
            36..=42 => self.divide(),
            43..=46 => self.world.network.heal(),
            47..=53 => self.roam(),
            54..=61 => self.restart(),
            62..=64 => self.trouble_disk(),
            65..=69 => self.lie(),
            70..=77 => self.be_a_stranger(),
            78..=84 => self.newcomer(),
            85..=89 => self.assign(),
            90..=93 => self.revoke(),
            94 => self.leave(),
            _ => self.ping(),
        }
    }

    fn any_machine(&mut self) -> usize {
        self.random.below(self.world.machines().len())
    }

    /// An admin that runs; the founder when there is no other.
    pub(super) fn any_admin(&mut self) -> usize {
        let is_admin = |number: &usize| {
            self.world.view(*number).is_some_and(|view| view.own.roles.admin && !view.is_revoked)
        };
        let admins: Vec<usize> = (0..self.world.machines().len()).filter(is_admin).collect();
        if admins.is_empty() { 0 } else { *self.random.one_of(&admins) }
    }

    fn talk(&mut self) {
        for _ in 0..self.random.below(20) + 1 {
            let (from, to) = (self.any_machine(), self.any_machine());
            let family = *self.random.one_of(&[Family::V4, Family::V6]);
            if from != to {
                self.world.send(from, to, family);
            }
        }
    }

    fn divide(&mut self) {
        let machines = self.world.machines().len();
        if self.random.per_mille(500) {
            self.world.network.groups = (0..machines).map(|_| self.random.below(2)).collect();
        } else {
            let pair = (self.any_machine(), self.any_machine());
            self.world.network.blocked.insert(pair);
        }
    }

    /// All but machine 0 roam, so that whoever has lost sight of somebody finds him by way of 0. Only machine 1 has a NAT
    /// that forgets: of two that do not know their own addresses neither could tell the other.
    fn roam(&mut self) {
        let machine = self.any_machine();
        let founder = self.world.machines()[0].id();
        let knows_founder = |view: overlay::View| view.peers.iter().any(|peer| peer.node == founder);
        if machine == 0 || !self.world.view(machine).is_some_and(knows_founder) {
            return;
        }
        if machine != 1 || self.random.per_mille(400) {
            let addresses = self.new_addresses();
            self.world.roam(machine, addresses, true);
        } else {
            let mut addresses = self.world.machines()[machine].addresses.clone();
            let port = 1024 + self.random.below(60_000) as u16;
            addresses.iter_mut().for_each(|address| address.set_port(port));
            self.world.roam(machine, addresses, false);
        }
    }

    fn restart(&mut self) {
        let machine = self.any_machine();
        if self.world.machines()[machine].disk.has_failed(StateFile::Records) {
            // A revocation that nobody else has heard of would be lost with it.
            return;
        }
        match self.world.machines()[machine].state {
            State::Up(_) if self.random.per_mille(500) => self.world.kill(machine),
            State::Up(_) => self.world.stop(machine),
            State::Off if !self.left.contains(&machine) => return self.world.start(machine),
            State::Off | State::Joining(_) => return,
        }
        if self.random.per_mille(500) {
            self.world.start(machine);
        }
    }

    fn trouble_disk(&mut self) {
        let machine = self.any_machine();
        let failure = self.random.below(2) as u32 * 500;
        let slowness = self.random.duration(Duration::from_millis(1), Duration::from_millis(300));
        let is_slow = self.random.per_mille(500);
        let disk = &mut self.world.machine_mut(machine).disk;
        disk.failure = failure;
        disk.slowness = is_slow.then_some(slowness);
    }

    fn lie(&mut self) {
        let (liar, victim, third) = (self.any_machine(), self.any_machine(), self.any_machine());
        let family = *self.random.one_of(&[Family::V4, Family::V6]);
        let nobodys = [Ipv4Addr::new(10, 77, 0, 250), Ipv4Addr::new(192, 168, 1, 1)].map(IpAddr::V4);
        let address = match self.world.mesh_address(third, family) {
            Some(address) if third != liar && self.random.per_mille(800) => address,
            _ => *self.random.one_of(&nobodys),
        };
        if liar != victim && self.random.per_mille(500) {
            self.world.spoof(liar, victim, address);
        } else if liar != victim && third != victim {
            self.world.misdirect(liar, victim, address);
        }
    }

    /// Strangers send noise, and what they have overheard, from elsewhere.
    fn be_a_stranger(&mut self) {
        let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), 4000);
        for _ in 0..self.random.below(8) + 1 {
            if self.random.per_mille(400) {
                let machine = self.any_machine();
                let length = self.random.below(1300);
                let mut bytes = self.random.vector(length);
                if let Some(first) = bytes.first_mut() {
                    *first = 0xa0 + *first % 8;
                }
                self.world.inject(machine, from, bytes);
            } else if let Some((true_from, to, bytes)) = self.world.overheard() {
                let receiver = self.world.machines().iter().position(|m| m.addresses.contains(&to));
                let from = if self.random.per_mille(500) { from } else { true_from };
                if let Some(machine) = receiver {
                    self.world.inject(machine, from, bytes);
                }
            }
        }
    }

    /// One machine more is invited; sometimes two with one invite.
    fn newcomer(&mut self) {
        if self.world.machines().len() >= MACHINES_MAX + 2 {
            return;
        }
        let issuer = self.any_admin();
        let role = if self.random.per_mille(200) { InviteRole::Admin } else { InviteRole::Member };
        let wish = Ipv4Addr::new(10, 77, 0, 1 + self.random.below(12) as u8);
        let address = self.random.per_mille(300).then_some(IpAddr::V4(wish));
        let request = InviteRequest { role, address, ..any_member() };
        let Some(invite) = self.world.invite(issuer, &request) else { return };
        for _ in 0..self.random.below(2) + 1 {
            let joiner = self.add_machine();
            self.world.join(joiner, &invite);
        }
    }

    fn assign(&mut self) {
        let (admin, machine) = (self.any_admin(), self.any_machine());
        let selector = self.world.machines()[machine].id().to_string();
        let wish = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1 + self.random.below(12) as u8));
        self.world.command(admin, |node, now| node.assign(&selector, wish, now));
    }

    fn revoke(&mut self) {
        let (admin, machine) = (self.any_admin(), self.any_machine());
        if machine != 0 {
            let selector = self.world.machines()[machine].id().to_string();
            self.world.command(admin, |node, now| node.revoke(&selector, now));
        }
    }

    /// A member leaves; an admin does not: what it has signed needs it.
    fn leave(&mut self) {
        let machine = self.any_machine();
        if self.world.view(machine).is_some_and(|view| !view.own.roles.admin) {
            self.world.command(machine, |node, now| node.leave(false, now));
            self.world.stop(machine);
            self.left.push(machine);
        }
    }

    fn ping(&mut self) {
        let (from, to) = (self.any_machine(), self.any_machine());
        let selector = self.world.machines()[to].id().to_string();
        self.world.command(from, |node, now| node.ping(&selector, Duration::from_secs(2), now));
    }
}
