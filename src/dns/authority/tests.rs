//! Every name and type, as the records that are answered.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::PTR;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use overlay::{Instance, Zone};

use super::{Answer, Authority};
use crate::dns::domain::Domain;
use crate::dns::limits::{BROWSED_MAX, INSTANCES_MAX, TXT_LENGTH_MAX};
use crate::dns::world::{self, RANGES};

fn authority(zone: Zone) -> Authority {
    let (v4, v6) = (RANGES.0.parse().unwrap(), RANGES.1.parse().unwrap());
    let domain = Domain::new(&zone.network, "internal", v4, v6).unwrap();
    Authority::new(Arc::new(domain), Arc::new(zone))
}

/// A name of labels with dots between, or with slashes where labels have dots.
fn named(text: &str) -> Name {
    Name::from_labels(text.split(if text.contains('/') { '/' } else { '.' }).map(str::as_bytes)).unwrap()
}

fn ask_of(authority: &Authority, asked: &str, kind: RecordType) -> Answer {
    authority.answer(&Query::query(named(asked), kind))
}

/// Asks the world about `name` below its domain.
fn ask(name: &str, kind: RecordType) -> Answer {
    let domain = if name.contains('/') { "/home/internal" } else { ".home.internal" };
    ask_of(&authority(world::home()), &format!("{name}{domain}"), kind)
}

/// Records as `TTL DATA`.
fn shown(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| format!("{} {}", record.ttl, record.data)).collect()
}

fn found(name: &str, kind: RecordType) -> Vec<String> {
    let answer = ask(name, kind);
    assert_eq!(answer.code, ResponseCode::NoError, "{name} {kind}");
    shown(&answer.answers)
}

/// `NXDOMAIN`, `NODATA` or `REFUSED`; panics where something is found.
fn negative(answer: &Answer) -> &'static str {
    assert!(answer.answers.is_empty(), "{answer:?}");
    if answer.code == ResponseCode::Refused {
        assert!(answer.authorities.is_empty());
        return "REFUSED";
    }
    let [soa] = &answer.authorities[..] else { panic!("one SOA record, not {answer:?}") };
    assert!(matches!(&soa.data, RData::SOA(soa) if soa.minimum == 1) && soa.ttl == 1);
    if answer.code == ResponseCode::NXDomain { "NXDOMAIN" } else { "NODATA" }
}

#[test]
fn a_node_has_its_addresses() {
    assert_eq!(found("laptop", RecordType::A), ["30 10.77.0.1"]);
    assert_eq!(found("laptop", RecordType::AAAA), ["30 fd77::1"]);
    assert_eq!(negative(&ask("laptop", RecordType::SRV)), "NODATA");
    assert_eq!(negative(&ask("laptop", RecordType::HTTPS)), "NODATA");
    assert_eq!(negative(&ask("nobody", RecordType::A)), "NXDOMAIN");
    assert_eq!(negative(&ask("x.laptop", RecordType::A)), "NXDOMAIN");
}

#[test]
fn a_guest_has_its_addresses_and_hides_nothing() {
    assert_eq!(found("phone", RecordType::A), ["30 10.77.0.9"]);
    assert_eq!(found("phone", RecordType::AAAA), ["30 fd77::9"]);
    assert_eq!(found("phone.server", RecordType::A), ["30 10.77.0.10"], "the other one, by its host");
    assert_eq!(found("phone.nas", RecordType::A), ["30 10.77.0.9"]);
    assert_eq!(found("web", RecordType::A), ["11 10.77.0.1", "11 10.77.0.2"], "a service hides it");
    assert_eq!(negative(&ask("web.nas", RecordType::A)), "NODATA", "also there: the instance is not well");
    assert_eq!(found("new", RecordType::AAAA), ["30 fd77::63"]);
    assert_eq!(negative(&ask("new", RecordType::A)), "NODATA");
    assert_eq!(negative(&ask("phone", RecordType::SRV)), "NODATA");
    for nothing in ["phone.laptop", "x.phone", "phone.phone"] {
        assert_eq!(negative(&ask(nothing, RecordType::A)), "NXDOMAIN", "{nothing}");
    }
}

#[test]
fn a_service_has_the_addresses_of_its_healthy_instances_nearest_first() {
    assert_eq!(found("web", RecordType::A), ["11 10.77.0.1", "11 10.77.0.2"]);
    assert_eq!(found("web", RecordType::AAAA), ["11 fd77::1", "11 fd77::2"]);
}

#[test]
fn a_service_without_a_healthy_instance_is_there_without_data() {
    for service in ["idle", "sick", "sick.nas", "nas.sick", "any.idle", "_idle._tcp", "_sick._tcp"] {
        for kind in [RecordType::A, RecordType::AAAA, RecordType::SRV, RecordType::TXT] {
            assert_eq!(negative(&ask(service, kind)), "NODATA", "{service} {kind}");
        }
    }
}

#[test]
fn a_service_says_where_it_listens_with_the_addresses_that_go_with_it() {
    let srv = ["11 0 0 80 laptop.home.internal.", "11 1 0 8080 server.home.internal."];
    for name in ["web", "_web._tcp"] {
        assert_eq!(found(name, RecordType::SRV), srv);
        let answer = ask(name, RecordType::SRV);
        assert_eq!(shown(&answer.additionals), ["30 10.77.0.1", "30 fd77::1", "30 10.77.0.2", "30 fd77::2"]);
        assert!(answer.additionals[0].name == named("laptop.home.internal"));
    }
    assert_eq!(negative(&ask("_web._tcp", RecordType::A)), "NODATA");
    assert_eq!(negative(&ask("_web._udp", RecordType::SRV)), "NXDOMAIN");
    assert_eq!(found("_syslog._udp", RecordType::SRV), ["12 0 0 514 server.home.internal."]);
    assert_eq!(negative(&ask("_syslog._tcp", RecordType::SRV)), "NODATA");
}

#[test]
fn a_service_says_its_version_and_labels() {
    assert_eq!(found("web", RecordType::TXT).len(), 2);
    let RData::TXT(text) = &ask("web", RecordType::TXT).answers[0].data else { panic!("no TXT") };
    let strings: Vec<&[u8]> = text.txt_data.iter().map(|string| &**string).collect();
    assert_eq!(strings, [&b"version=2"[..], b"path=/", b"type=http"]);
    let RData::TXT(text) = &ask("syslog", RecordType::TXT).answers[0].data else { panic!("no TXT") };
    assert_eq!(text.txt_data.len(), 1);
    assert!(text.txt_data[0].is_empty());
}

#[test]
fn an_instance_is_found_by_its_node_in_either_order() {
    for name in ["web.server", "server.web"] {
        assert_eq!(found(name, RecordType::A), ["12 10.77.0.2"], "{name}");
        assert_eq!(found(name, RecordType::SRV), ["12 0 0 8080 server.home.internal."], "{name}");
    }
    assert_eq!(negative(&ask("web.nas", RecordType::A)), "NODATA");
    assert_eq!(negative(&ask("wiki.laptop", RecordType::A)), "NXDOMAIN");
}

#[test]
fn versions_are_labels_with_hyphens_for_dots() {
    assert_eq!(found("v2.web", RecordType::A), ["11 10.77.0.1"]);
    assert_eq!(found("v1-4.web", RecordType::SRV), ["12 0 0 8080 server.home.internal."]);
    assert_eq!(negative(&ask("v1-5-rc1.web", RecordType::A)), "NODATA");
    // Nobody who asks for a version gets another one.
    assert_eq!(negative(&ask("v3.web", RecordType::A)), "NXDOMAIN");
    assert_eq!(found("www.v2.web", RecordType::A), ["11 10.77.0.1"]);
}

#[test]
fn host_names_below_a_service_are_the_service() {
    for name in ["www.web", "shop.example.web", "vault.web", "laptop.wiki", "xn--bcher-kva.web"] {
        assert!(!found(name, RecordType::A).is_empty(), "{name}");
    }
    for name in ["_http.web", "*.web", "a_b.web", "-a.web", "a b.web", "\0.web", "_x.www.web", "wpad.web"] {
        assert_eq!(negative(&ask(name, RecordType::A)), "NXDOMAIN", "{name}");
    }
}

#[test]
fn a_node_hides_a_service_of_the_same_name() {
    assert_eq!(found("printer", RecordType::A), ["30 10.77.0.4"]);
    assert_eq!(negative(&ask("any.printer", RecordType::A)), "NXDOMAIN");
    assert_eq!(found("_printer._tcp", RecordType::SRV), ["13 0 0 631 nas.home.internal."]);
    assert_eq!(found("printer.nas", RecordType::A), ["13 10.77.0.3"]);
}

#[test]
fn what_there_is_can_be_browsed() {
    let kinds = found("_services._dns-sd._udp", RecordType::PTR);
    let names = ["_http._tcp", "_printer._tcp", "_web._tcp", "_wiki._tcp", "_syslog._udp"];
    assert_eq!(kinds, names.map(|name| format!("30 {name}.home.internal.")));
    assert_eq!(found("b._dns-sd._udp", RecordType::PTR), ["30 home.internal."]);
    assert_eq!(found("lb._dns-sd._udp", RecordType::PTR), ["30 home.internal."]);
    let web = ask("_http._tcp", RecordType::PTR);
    let names = ["web 2 on laptop", "web 1.4 on server", "wiki on server"];
    let names = names.map(|label| RData::PTR(PTR(named(&format!("{label}/_http/_tcp/home/internal")))));
    assert!(web.answers.iter().map(|record| &record.data).eq(&names), "{web:?}");
    assert_eq!(web.additionals.iter().filter(|record| record.record_type() == RecordType::SRV).count(), 3);
    assert_eq!(web.additionals.iter().filter(|record| record.record_type() == RecordType::TXT).count(), 3);
    assert_eq!(negative(&ask("_http._tcp", RecordType::A)), "NODATA");
    assert_eq!(negative(&ask("_ftp._tcp", RecordType::PTR)), "NXDOMAIN");
}

#[test]
fn what_was_browsed_is_found() {
    let name = "WEB 1.4 ON server/_HTTP/_tcp";
    assert_eq!(found(name, RecordType::SRV), ["12 0 0 8080 server.home.internal."]);
    assert_eq!(found(name, RecordType::TXT).len(), 1);
    assert_eq!(negative(&ask(name, RecordType::A)), "NODATA");
    assert_eq!(negative(&ask("web 9 on server/_http/_tcp", RecordType::SRV)), "NXDOMAIN");
    assert_eq!(negative(&ask("web 1.5-rc1 on nas/_http/_tcp", RecordType::SRV)), "NXDOMAIN");
}

#[test]
fn names_between_are_there_without_data() {
    for name in ["_tcp", "_udp", "_dns-sd._udp"] {
        assert_eq!(negative(&ask(name, RecordType::PTR)), "NODATA", "{name}");
    }
    let world = authority(world::home());
    assert_eq!(negative(&ask_of(&world, "home.internal", RecordType::A)), "NODATA");
    assert_eq!(negative(&ask_of(&world, "home.internal", RecordType::TXT)), "NODATA");
    assert_eq!(negative(&ask("_icmp", RecordType::A)), "NXDOMAIN");
}

#[test]
fn the_domain_says_whose_it_is() {
    let world = authority(world::home());
    for zone in ["home.internal", "77.10.in-addr.arpa"] {
        let soa = ask_of(&world, zone, RecordType::SOA);
        let values = "laptop.home.internal. hostmaster.home.internal. 7 86400 7200 3600000 1";
        assert_eq!(shown(&soa.answers), [format!("1 {values}")]);
        let ns = ask_of(&world, zone, RecordType::NS);
        assert_eq!(shown(&ns.answers), ["30 laptop.home.internal."]);
        assert_eq!(shown(&ns.additionals), ["30 10.77.0.1", "30 fd77::1"]);
    }
    let nobody = authority(Zone::empty("home".parse().unwrap(), wire::NodeId([1; 32])));
    assert_eq!(shown(&ask_of(&nobody, "home.internal", RecordType::NS).answers), ["30 home.internal."]);
}

#[test]
fn mesh_addresses_have_names() {
    let world = authority(world::home());
    let names = |address: &str| shown(&ask_of(&world, address, RecordType::PTR).answers);
    assert_eq!(names("2.0.77.10.in-addr.arpa"), ["30 server.home.internal."]);
    let v6 = format!("3.{}7.7.d.f.ip6.arpa", "0.".repeat(27));
    assert_eq!(names(&v6), ["30 nas.home.internal."]);
    assert_eq!(names(&v6.to_uppercase()), ["30 nas.home.internal."]);
    let of = |address: &str| negative(&ask_of(&world, address, RecordType::PTR));
    assert_eq!(of("9.0.77.10.in-addr.arpa"), "NXDOMAIN");
    assert_eq!(of("0.77.10.in-addr.arpa"), "NODATA");
    assert_eq!(of("1.77.10.in-addr.arpa"), "NXDOMAIN");
    assert_eq!(of("x.2.0.77.10.in-addr.arpa"), "NXDOMAIN");
    assert_eq!(of("256.0.77.10.in-addr.arpa"), "NXDOMAIN");
    assert_eq!(of("77.10.in-addr.arpa"), "NODATA");
    assert_eq!(negative(&ask_of(&world, "2.0.77.10.in-addr.arpa", RecordType::A)), "NODATA");
    for other in
        ["1.0.0.127.in-addr.arpa", "10.in-addr.arpa", "in-addr.arpa", "ip6.arpa", "1.0.78.10.in-addr.arpa"]
    {
        assert_eq!(of(other), "REFUSED", "{other}");
    }
    let zone = &ask_of(&world, "9.0.77.10.in-addr.arpa", RecordType::PTR).authorities[0].name;
    assert_eq!(zone.to_ascii(), "77.10.in-addr.arpa.");
}

#[test]
fn names_of_others_are_refused() {
    let world = authority(world::home());
    for name in
        ["example.com", "internal", "laptop.work.internal", "laptophome.internal", "home.internal.example"]
    {
        assert_eq!(negative(&ask_of(&world, name, RecordType::A)), "REFUSED", "{name}");
    }
    let root = world.answer(&Query::query(Name::root(), RecordType::NS));
    assert_eq!(negative(&root), "REFUSED");
}

#[test]
fn other_classes_and_transfers_are_refused() {
    let world = authority(world::home());
    let mut chaos = Query::query(named("laptop.home.internal"), RecordType::A);
    chaos.set_query_class(DNSClass::CH);
    assert_eq!(negative(&world.answer(&chaos)), "REFUSED");
    for kind in [RecordType::AXFR, RecordType::IXFR] {
        assert_eq!(negative(&ask_of(&world, "home.internal", kind)), "REFUSED");
    }
}

#[test]
fn whoever_asks_for_anything_gets_one_record() {
    assert_eq!(found("web", RecordType::ANY), ["30 RFC8482 "]);
    assert_eq!(negative(&ask("nobody", RecordType::ANY)), "NXDOMAIN");
}

#[test]
fn the_case_of_the_question_is_kept() {
    for (name, kind) in [("LapTop", RecordType::A), ("wEb", RecordType::SRV), ("_HtTp._tCp", RecordType::PTR)]
    {
        let answer = ask(name, kind);
        let asked = format!("{name}.home.internal.");
        assert!(answer.answers.iter().all(|record| record.name.to_ascii() == asked), "{answer:?}");
        assert!(!answer.answers.is_empty());
    }
}

#[test]
fn instances_with_one_address_are_one_record() {
    let mut zone = world::home();
    let other = Instance { port: 81, ..world::instance("laptop", 80) };
    world::add_service(&mut zone, "two", [world::instance("laptop", 80), other.clone(), other]);
    let world = authority(zone);
    assert_eq!(ask_of(&world, "two.home.internal", RecordType::A).answers.len(), 1);
    let services = ask_of(&world, "two.home.internal", RecordType::SRV);
    assert_eq!(
        shown(&services.answers),
        ["11 0 0 80 laptop.home.internal.", "11 1 0 81 laptop.home.internal."]
    );
    assert_eq!(services.additionals.len(), 2);
}

#[test]
fn answers_are_bounded() {
    let mut zone = world::home();
    let many = (0..BROWSED_MAX + 9).map(|at| {
        let labels = (0..20).map(|label| (format!("key{label}"), "x".repeat(200))).collect();
        Instance {
            v4: Ipv4Addr::from_bits(u32::try_from(at).unwrap()),
            v6: Ipv6Addr::from_bits(at as u128),
            node_name: format!("node-{at}").parse().unwrap(),
            labels,
            ..world::instance("laptop", 80)
        }
    });
    world::add_service(&mut zone, "many", many);
    let world = authority(zone);
    let count = |name: &str, kind| ask_of(&world, &format!("{name}.home.internal"), kind).answers.len();
    assert_eq!(count("many", RecordType::A), INSTANCES_MAX);
    assert_eq!(count("many", RecordType::SRV), INSTANCES_MAX);
    assert_eq!(count("_many._tcp", RecordType::PTR), BROWSED_MAX);
    let RData::TXT(text) = &ask_of(&world, "many.home.internal", RecordType::TXT).answers[0].data else {
        panic!("no TXT")
    };
    let length: usize = text.txt_data.iter().map(|string| 1 + string.len()).sum();
    assert!(length > TXT_LENGTH_MAX - 210 && length <= TXT_LENGTH_MAX, "{length}");
}

#[test]
fn long_names_are_left_out_where_they_do_not_fit() {
    let mut zone = world::home();
    let (long, node) = ("s".repeat(63), "n".repeat(63));
    let far = Instance { node_name: node.parse().unwrap(), ..world::instance("nas", 1) };
    world::add_service(&mut zone, &long, [far.clone()]);
    world::add_service(&mut zone, &"t".repeat(60), [far]);
    let world = authority(zone);
    assert_eq!(ask_of(&world, &format!("{long}.home.internal"), RecordType::SRV).answers.len(), 1);
    let kind = format!("_{}._tcp.home.internal", "t".repeat(60));
    let browsed = ask_of(&world, &kind, RecordType::PTR);
    assert_eq!(browsed.answers[0].data.to_string(), format!("{node}.{kind}."));
    assert_eq!(ask_of(&world, &format!("{node}.{kind}"), RecordType::SRV).answers.len(), 1);
}
