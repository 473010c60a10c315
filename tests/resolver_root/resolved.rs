//! systemd-resolved: `resolvectl query`, and `getent` by its stub, are the judges of who is asked for what.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arc_swap::ArcSwap;
use hopmesh::dns::{Dns, Domain};
use hopmesh::io::netlink::Netlink;
use hopmesh::resolver::{Host, Kind, Obstacle, Plan, Resolver, restore};
use hopmesh::store::StateDirectory;

use crate::bus::{Daemon, start_bus, start_resolved};
use crate::machine::{
    INTERFACE, OURS, OURS_ON_LOOPBACK, THEIRS, alone, join_mesh, link_resolv_conf, look_up, plan, run,
};
use crate::server::{OUR_ANSWER, Server, THEIR_ANSWER};
use crate::world;

const STUB: &str = "../run/systemd/resolve/stub-resolv.conf";
/// What a process does that is to be killed, in the environment.
const TO_BE_KILLED: &str = "HOPMESH_TEST_TO_BE_KILLED";

/// systemd-resolved as on a machine whose network has a DNS server.
async fn start() -> (Daemon, Daemon, Server) {
    let daemons = (start_bus(), start_resolved().await);
    link_resolv_conf(STUB);
    run("resolvectl", &format!("dns eth0 {THEIRS}"));
    run("resolvectl", "default-route eth0 true");
    (daemons.0, daemons.1, Server::theirs(THEIRS))
}

async fn detect() -> Resolver {
    let resolver = Resolver::detect(Host::default()).await;
    assert_eq!(*resolver.kind(), Kind::Resolved);
    resolver
}

fn state() -> StateDirectory {
    StateDirectory::open("/run/state".as_ref()).unwrap()
}

/// What systemd-resolved finds, from nowhere but the network.
fn query(name: &str) -> String {
    run("resolvectl", &format!("query --cache=no --legend=no {name}"))
}

/// Nothing of ours is left, and all is asked of the network's own server.
fn assert_as_found(theirs: &Server) {
    theirs.asked();
    let all = run("resolvectl", "domain") + &run("resolvectl", "dns");
    assert!(!all.contains("internal") && !all.contains(OURS) && !all.contains("arpa"), "{all}");
    assert_eq!(look_up("b.home.internal").as_deref(), Some(THEIR_ANSWER));
    assert!(theirs.asked().contains(&"b.home.internal".to_owned()));
}

#[test]
fn names_of_the_mesh_are_asked_of_us_and_no_others() {
    alone(&["systemd-resolved"], |netlink| async move {
        let (_bus, _resolved, theirs) = start().await;
        let tun = join_mesh(&netlink).await;
        let (mut resolver, state) = (detect().await, state());
        for address in [OURS, OURS_ON_LOOPBACK] {
            let ours = Server::ours(address);
            resolver.apply(&plan(tun.index(), &[address]), &state).await.unwrap();
            assert!(resolver.describe().contains("home.internal are resolved by systemd-resolved"));
            let domains = run("resolvectl", &format!("domain {INTERFACE}"));
            assert!(domains.ends_with(": ~home.internal ~77.10.in-addr.arpa\n"), "only routed: {domains}");
            theirs.asked();

            assert!(query("a.home.internal").contains(OUR_ANSWER));
            assert_eq!(look_up("b.home.internal").as_deref(), Some(OUR_ANSWER));
            assert!(query(OUR_ANSWER).contains("a.home.internal"), "the reverse zone");
            assert_eq!(theirs.asked(), [""; 0], "names of the mesh got out");
            let asked = ours.asked();
            assert!(asked.contains(&"9.0.77.10.in-addr.arpa".to_owned()), "{asked:?}");

            assert!(query("www.example.org").contains(THEIR_ANSWER));
            assert_eq!(look_up("mail.example.org").as_deref(), Some(THEIR_ANSWER));
            assert!(query("10.78.0.1").contains("host.lan"), "the address of another network");
            assert_eq!(ours.asked(), [""; 0], "names of others were asked of us");

            resolver.revert(&state).await.unwrap();
            assert_as_found(&theirs);
        }
    });
}

#[test]
fn all_names_are_asked_of_us_while_there_is_an_exit() {
    alone(&["systemd-resolved"], |netlink| async move {
        let (_bus, _resolved, theirs) = start().await;
        let tun = join_mesh(&netlink).await;
        let (mut resolver, state) = (detect().await, state());
        let ours = Server::of_all_names(OURS);
        let usual = plan(tun.index(), &[OURS]);
        resolver.apply(&Plan { is_everything: true, ..usual.clone() }, &state).await.unwrap();
        assert!(
            resolver.describe().contains("all names are resolved by the exit"),
            "{}",
            resolver.describe()
        );
        theirs.asked();
        assert!(query("www.example.org").contains(OUR_ANSWER));
        assert_eq!(look_up("mail.example.org").as_deref(), Some(OUR_ANSWER));
        assert!(query("a.home.internal").contains(OUR_ANSWER));
        assert!(ours.asked().contains(&"mail.example.org".to_owned()));
        assert_eq!(theirs.asked(), [""; 0], "a name got out beside the exit");
        resolver.apply(&usual, &state).await.unwrap();
        assert!(query("www.example.org").contains(THEIR_ANSWER));
        resolver.revert(&state).await.unwrap();
        assert_as_found(&theirs);
    });
}

/// `resolvectl service` browses by no means of its own: it asks for PTR, SRV and TXT records as RFC 6763 says.
#[test]
fn services_are_found_by_the_host_s_own_client_of_dns_sd() {
    alone(&["systemd-resolved"], |netlink| async move {
        let (_bus, _resolved, theirs) = start().await;
        let tun = join_mesh(&netlink).await;
        let zone = world::home();
        let (v4, v6) = world::RANGES;
        let domain =
            Domain::new(&zone.network, "internal", v4.parse().unwrap(), v6.parse().unwrap()).unwrap();
        let zone = Arc::new(ArcSwap::from_pointee(zone));
        let dns = Dns::start(zone, domain, [format!("{OURS}:53").parse().unwrap()]).unwrap();
        assert!(dns.problems().is_empty());
        detect().await.apply(&plan(tun.index(), &[OURS]), &state()).await.unwrap();
        theirs.asked();

        let all = run("resolvectl", "service --legend=no _web._tcp home.internal");
        assert!(all.contains("laptop.home.internal:80") && all.contains("10.77.0.1"), "{all}");
        assert!(
            all.contains("server.home.internal:8080") && !all.contains("nas"),
            "healthy ones only: {all}"
        );
        let output = Command::new("resolvectl")
            .args(["service", "--legend=no", "web 2 on laptop", "_http._tcp", "home.internal"])
            .output()
            .unwrap();
        let one = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && one.contains("laptop.home.internal:80"), "{one}");
        assert!(one.contains("path=/") && one.contains("version=2"), "its labels: {one}");
        assert_eq!(theirs.asked(), [""; 0], "services of the mesh were asked of others");
    });
}

#[test]
fn the_host_s_wishes_for_other_servers_do_not_bind_ours() {
    alone(&["systemd-resolved"], |netlink| async move {
        let settings = "[Resolve]\nDNSSEC=yes\nDNSOverTLS=yes\n";
        std::fs::write("/etc/systemd/resolved.conf", settings).unwrap();
        let (_bus, _resolved, _theirs) = start().await;
        let tun = join_mesh(&netlink).await;
        let _ours = Server::ours(OURS);
        detect().await.apply(&plan(tun.index(), &[OURS]), &state()).await.unwrap();
        assert!(query("a.home.internal").contains(OUR_ANSWER));
        let status = run("resolvectl", &format!("status {INTERFACE}"));
        for off in ["-LLMNR", "-mDNS", "-DNSOverTLS", "DNSSEC=no", "-DefaultRoute"] {
            assert!(status.contains(off), "{off}: {status}");
        }
    });
}

#[test]
fn a_link_that_ends_takes_everything_along() {
    alone(&["systemd-resolved"], |netlink| async move {
        let (_bus, _resolved, theirs) = start().await;
        let tun = join_mesh(&netlink).await;
        let (mut resolver, state) = (detect().await, state());
        let _ours = Server::ours(OURS_ON_LOOPBACK);
        resolver.apply(&plan(tun.index(), &[OURS_ON_LOOPBACK]), &state).await.unwrap();
        assert_eq!(look_up("b.home.internal").as_deref(), Some(OUR_ANSWER));
        drop(tun);
        assert_as_found(&theirs);
        resolver.revert(&state).await.unwrap();
    });
}

#[test]
fn a_resolver_that_is_started_anew_remembers() {
    alone(&["systemd-resolved"], |netlink| async move {
        let (_bus, resolved, _theirs) = start().await;
        let tun = join_mesh(&netlink).await;
        let _ours = Server::ours(OURS);
        detect().await.apply(&plan(tun.index(), &[OURS]), &state()).await.unwrap();
        drop(resolved);
        let _resolved = start_resolved().await;
        assert!(query("a.home.internal").contains(OUR_ANSWER));
    });
}

#[test]
fn kill_9_leaves_nothing() {
    if std::env::var_os(TO_BE_KILLED).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(wait_to_be_killed());
    }
    alone(&["systemd-resolved"], |_| async {
        let (_bus, _resolved, theirs) = start().await;
        let _ours = Server::ours(OURS_ON_LOOPBACK);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resolved::kill_9_leaves_nothing", "--nocapture"])
            .env(TO_BE_KILLED, "yes")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("applied")), "it ended before it had begun");
        assert_eq!(look_up("b.home.internal").as_deref(), Some(OUR_ANSWER));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_as_found(&theirs);
        assert!(!restore(&Host::default(), &state()).await.unwrap(), "there was something to undo");
    });
}

async fn wait_to_be_killed() {
    let netlink = Netlink::open().unwrap();
    let tun = join_mesh(&netlink).await;
    detect().await.apply(&plan(tun.index(), &[OURS_ON_LOOPBACK]), &state()).await.unwrap();
    println!("applied");
    std::future::pending::<()>().await;
}

#[test]
fn a_resolver_that_programs_pass_by_is_named() {
    alone(&["systemd-resolved"], |_| async {
        let (_bus, resolved, _theirs) = start().await;
        link_resolv_conf("../run/systemd/resolve/resolv.conf");
        let resolver = Resolver::detect(Host::default()).await;
        assert_eq!(*resolver.kind(), Kind::Nothing(Obstacle::ResolvedBypassed));
        assert!(resolver.describe().contains("ln -sf"), "{}", resolver.describe());
        std::fs::write("/etc/nsswitch.conf", "hosts: files resolve [!UNAVAIL=return] dns\n").unwrap();
        let _ = detect().await;
        drop(resolved);
        let resolver = Resolver::detect(Host::default()).await;
        assert_eq!(*resolver.kind(), Kind::Nothing(Obstacle::ResolvedSilent));
    });
}
