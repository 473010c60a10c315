//! Answers: from what is at a name, and the type that is asked for, to records.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{HINFO, NS, PTR, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record};
use overlay::Instance;

use super::meaning::{Meaning, Place};
use super::text::text;
use super::wanted::Wanted;
use super::{Authority, Offer, below};
use crate::dns::limits::{
    BROWSED_MAX, DESCRIBED_MAX, INSTANCES_MAX, NEGATIVE_TTL_S, NODE_TTL_S, SOA_EXPIRE_S, SOA_REFRESH_S,
    SOA_RETRY_S, TTL_MAX_S,
};

/// What is answered to a question.
#[derive(Debug)]
pub(in crate::dns) struct Answer {
    /// Whether there is such a name, or why nothing is said of it.
    pub(in crate::dns) code: ResponseCode,
    /// The records asked for.
    pub(in crate::dns) answers: Vec<Record>,
    /// For a negative answer, the SOA record, which says how long it may be kept.
    pub(in crate::dns) authorities: Vec<Record>,
    /// What will be asked for next; may be left out.
    pub(in crate::dns) additionals: Vec<Record>,
}

impl Authority {
    /// Answers a question. The records have the name in the case in which it was asked for.
    pub(in crate::dns) fn answer(&self, question: &Query) -> Answer {
        let (owner, wanted) = (&question.name, Wanted::from(question.query_type));
        let is_answered = question.query_class == DNSClass::IN && wanted != Wanted::Transfer;
        let Some(Place { apex, meaning }) = self.place(owner).filter(|_| is_answered) else {
            return Answer::empty(ResponseCode::Refused);
        };
        let mut answer = match (meaning, wanted) {
            (Meaning::Nothing, _) => Answer::empty(ResponseCode::NXDomain),
            (_, Wanted::Any) => minimal(owner),
            (meaning, wanted) => self.records(&apex, &meaning, owner, wanted),
        };
        if answer.answers.is_empty() {
            answer.authorities.push(Record::from_rdata(apex, NEGATIVE_TTL_S, self.soa()));
        }
        answer
    }

    fn records(&self, apex: &Name, meaning: &Meaning<'_>, owner: &Name, wanted: Wanted) -> Answer {
        match (meaning, wanted) {
            (Meaning::Apex, Wanted::Soa) => {
                Answer::of([Record::from_rdata(owner.clone(), NEGATIVE_TTL_S, self.soa())])
            }
            (Meaning::Apex, Wanted::Ns) => self.servers(owner),
            (Meaning::Node(node), _) => Answer::of(address(owner, NODE_TTL_S, (node.v4, node.v6), wanted)),
            (Meaning::Guest(guest), Wanted::Aaaa) => {
                Answer::of([Record::from_rdata(owner.clone(), NODE_TTL_S, RData::AAAA(guest.v6.into()))])
            }
            (Meaning::Guest(guest), Wanted::A) => Answer::of(
                guest.v4.map(|v4| Record::from_rdata(owner.clone(), NODE_TTL_S, RData::A(v4.into()))),
            ),
            (Meaning::Instances(instances), _) => self.instances(instances, owner, wanted),
            (Meaning::Kind(offers), Wanted::Ptr) => self.browse(offers, owner),
            (Meaning::Kind(offers), Wanted::Srv) => self.instances(&self.behind(*offers), owner, wanted),
            (Meaning::Offers(offers), Wanted::Srv | Wanted::Txt) => {
                self.instances(&self.behind(offers.iter().copied()), owner, wanted)
            }
            (Meaning::Kinds, Wanted::Ptr) => pointers(owner, self.kind_names()),
            (Meaning::BrowsingDomain, Wanted::Ptr) => pointers(owner, [apex.clone()]),
            (Meaning::Address(node), Wanted::Ptr) => {
                pointers(owner, below(node.as_str(), self.domain.apex()))
            }
            _ => Answer::empty(ResponseCode::NoError),
        }
    }

    /// Who serves the zone: as far as anybody here is concerned, we do.
    fn servers(&self, owner: &Name) -> Answer {
        let mut answer =
            Answer::of([Record::from_rdata(owner.clone(), NODE_TTL_S, RData::NS(NS(self.server.clone())))]);
        if let Some(node) = self.zone.nodes.values().find(|node| node.node == self.zone.own) {
            answer.add_additionals(addresses(&self.server, NODE_TTL_S, (node.v4, node.v6)));
        }
        answer
    }

    /// Addresses, places or texts of instances.
    fn instances(&self, instances: &[&Instance], owner: &Name, wanted: Wanted) -> Answer {
        let instances = &instances[..instances.len().min(INSTANCES_MAX)];
        let ttl_s = ttl_s(instances);
        let mut answer = Answer::empty(ResponseCode::NoError);
        for instance in instances {
            if wanted == Wanted::Srv {
                self.add_service(&mut answer, owner, ttl_s, instance);
            } else if wanted == Wanted::Txt {
                answer.add([Record::from_rdata(owner.clone(), ttl_s, RData::TXT(text(instance)))]);
            } else {
                answer.add(address(owner, ttl_s, (instance.v4, instance.v6), wanted));
            }
        }
        answer
    }

    /// Where an instance is, behind those that are nearer, and the addresses that go with it.
    fn add_service(&self, answer: &mut Answer, owner: &Name, ttl_s: u32, instance: &Instance) {
        let Some(target) = below(instance.node_name.as_str(), self.domain.apex()) else { return };
        let is_known = answer.answers.iter().any(|record| {
            matches!(&record.data, RData::SRV(known) if known.port == instance.port && known.target == target)
        });
        if is_known {
            return;
        }
        let priority = u16::try_from(answer.answers.len()).expect("at most INSTANCES_MAX");
        answer.add_additionals(addresses(&target, NODE_TTL_S, (instance.v4, instance.v6)));
        let service = RData::SRV(SRV::new(priority, 0, instance.port, target));
        answer.answers.push(Record::from_rdata(owner.clone(), ttl_s, service));
    }

    /// Names of instances, and what they are where they are few (RFC 6763 section 12.1).
    fn browse(&self, offers: &[Offer], owner: &Name) -> Answer {
        let mut answer = Answer::empty(ResponseCode::NoError);
        let listed = &offers[..offers.len().min(BROWSED_MAX)];
        let instances = self.behind(listed);
        let ttl_s = ttl_s(&instances);
        for (offer, instance) in listed.iter().zip(instances) {
            let Some(name) = below(&offer.label, owner) else { continue };
            if listed.len() <= DESCRIBED_MAX {
                let mut described = Answer::empty(ResponseCode::NoError);
                self.add_service(&mut described, &name, ttl_s, instance);
                answer.additionals.append(&mut described.answers);
                answer.additionals.push(Record::from_rdata(name.clone(), ttl_s, RData::TXT(text(instance))));
                answer.add_additionals(described.additionals);
            }
            answer.answers.push(Record::from_rdata(owner.clone(), ttl_s, RData::PTR(PTR(name))));
        }
        answer
    }

    fn behind<'a>(&'a self, offers: impl IntoIterator<Item = &'a Offer>) -> Vec<&'a Instance> {
        offers.into_iter().map(|offer| self.instance(offer)).collect()
    }

    fn kind_names(&self) -> impl Iterator<Item = Name> {
        let kinds = self.kinds.iter().filter(|(_, offers)| !offers.is_empty()).map(|(kind, _)| kind);
        let names = kinds.filter_map(|kind| {
            let protocol = below(&format!("_{}", kind.protocol.as_str()), self.domain.apex())?;
            below(&format!("_{}", kind.name), &protocol)
        });
        names.take(BROWSED_MAX)
    }

    fn soa(&self) -> RData {
        let apex = self.domain.apex();
        let person = below("hostmaster", apex).unwrap_or_else(|| apex.clone());
        let (refresh, retry, expire) = (SOA_REFRESH_S, SOA_RETRY_S, SOA_EXPIRE_S);
        let serial = self.zone.serial;
        RData::SOA(SOA::new(self.server.clone(), person, serial, refresh, retry, expire, NEGATIVE_TTL_S))
    }
}

impl Answer {
    /// Without records.
    pub(in crate::dns) fn empty(code: ResponseCode) -> Self {
        Self { code, answers: vec![], authorities: vec![], additionals: vec![] }
    }

    fn of(records: impl IntoIterator<Item = Record>) -> Self {
        Self { answers: records.into_iter().collect(), ..Self::empty(ResponseCode::NoError) }
    }

    /// Adds records that are not there yet: two instances may have one address (RFC 2181 section 5).
    fn add(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            if !self.answers.contains(&record) {
                self.answers.push(record);
            }
        }
    }

    fn add_additionals(&mut self, records: impl IntoIterator<Item = Record>) {
        for record in records {
            if !self.additionals.contains(&record) {
                self.additionals.push(record);
            }
        }
    }
}

/// To whom asks for anything, one record that says nothing (RFC 8482 section 4.2).
fn minimal(owner: &Name) -> Answer {
    let nothing = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
    Answer::of([Record::from_rdata(owner.clone(), NODE_TTL_S, nothing)])
}

fn pointers(owner: &Name, names: impl IntoIterator<Item = Name>) -> Answer {
    Answer::of(
        names.into_iter().map(|name| Record::from_rdata(owner.clone(), NODE_TTL_S, RData::PTR(PTR(name)))),
    )
}

/// Records of one name and type have one TTL (RFC 2181 section 5.2): the shortest.
fn ttl_s(instances: &[&Instance]) -> u32 {
    instances.iter().map(|instance| instance.ttl_s).min().unwrap_or(NODE_TTL_S).min(TTL_MAX_S)
}

fn address(owner: &Name, ttl_s: u32, (v4, v6): (Ipv4Addr, Ipv6Addr), wanted: Wanted) -> Option<Record> {
    let v4 = (wanted == Wanted::A).then(|| RData::A(v4.into()));
    let address = v4.or_else(|| (wanted == Wanted::Aaaa).then(|| RData::AAAA(v6.into())))?;
    Some(Record::from_rdata(owner.clone(), ttl_s, address))
}

fn addresses(owner: &Name, ttl_s: u32, both: (Ipv4Addr, Ipv6Addr)) -> impl Iterator<Item = Record> {
    [Wanted::A, Wanted::Aaaa].into_iter().filter_map(move |wanted| address(owner, ttl_s, both, wanted))
}
