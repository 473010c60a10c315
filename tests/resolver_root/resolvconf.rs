//! Debian's resolvconf and openresolv, as their packages have them.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use hopmesh::resolver::{Host, Kind, Resolver, ResolverError, restore};
use hopmesh::store::StateDirectory;

use crate::machine::{
    OURS, OURS_ON_LOOPBACK, THEIRS, alone, link_resolv_conf, look_up, plan, put_resolv_conf,
};
use crate::server::{OUR_ANSWER, Server, THEIR_ANSWER};

/// Debian's, as at boot.
pub(crate) fn start_debian() {
    fs::create_dir_all("/run/resolvconf/interface").unwrap();
    fs::write("/run/resolvconf/enable-updates", "").unwrap();
    link_resolv_conf("/run/resolvconf/resolv.conf");
    add("eth0.dhclient", &format!("nameserver {THEIRS}\nsearch lan\n"));
}

/// openresolv, after the DHCP client has run.
fn start_openresolv() {
    put_resolv_conf("");
    add("eth0.dhclient", &format!("nameserver {THEIRS}\nsearch lan\n"));
}

/// Tells resolvconf what a DHCP client or a resolver would.
fn add(record: &str, text: &str) {
    let mut child =
        Command::new("/sbin/resolvconf").args(["-a", record]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn resolv_conf() -> String {
    fs::read_to_string("/etc/resolv.conf").unwrap()
}

fn servers() -> Vec<String> {
    resolv_conf().lines().filter_map(|line| Some(line.strip_prefix("nameserver ")?.to_owned())).collect()
}

async fn ours_goes_first_and_goes() {
    let found = resolv_conf();
    assert_eq!(servers(), [THEIRS]);
    let host = Host::default();
    let state = StateDirectory::open("/run/state".as_ref()).unwrap();
    let mut resolver = Resolver::detect(host.clone()).await;
    assert_eq!(*resolver.kind(), Kind::Resolvconf);
    let both = plan(7, &[OURS_ON_LOOPBACK, OURS]);
    resolver.apply(&both, &state).await.unwrap();
    assert_eq!(servers(), [OURS, THEIRS]);
    assert!(resolv_conf().contains("search lan\n"), "{}", resolv_conf());
    assert!(resolver.is_in_effect());
    resolver.revert(&state).await.unwrap();
    assert_eq!(resolv_conf(), found);

    // A run that is killed here leaves its record to the next.
    resolver.apply(&both, &state).await.unwrap();
    drop(resolver);
    assert!(restore(&host, &state).await.unwrap());
    assert_eq!(resolv_conf(), found);
    assert!(!restore(&host, &state).await.unwrap());

    // With our loopback address alone the others would be taken out.
    let mut resolver = Resolver::detect(host).await;
    let error = resolver.apply(&plan(7, &[OURS_ON_LOOPBACK]), &state).await.unwrap_err();
    assert!(matches!(error, ResolverError::NoServer { .. }), "{error}");
    assert_eq!(resolv_conf(), found);
}

#[test]
fn debian_s_resolvconf_puts_ours_first() {
    alone(&["resolvconf"], |_| async {
        start_debian();
        ours_goes_first_and_goes().await;
    });
}

#[test]
fn openresolv_puts_ours_first() {
    alone(&["openresolv"], |_| async {
        start_openresolv();
        ours_goes_first_and_goes().await;
    });
}

#[test]
fn names_are_resolved_by_either_server() {
    alone(&["openresolv"], |netlink| async move {
        start_openresolv();
        let _tun = crate::machine::join_mesh(&netlink).await;
        let (ours, theirs) = (Server::ours(OURS), Server::theirs(THEIRS));
        let state = StateDirectory::open("/run/state".as_ref()).unwrap();
        let mut resolver = Resolver::detect(Host::default()).await;
        resolver.apply(&plan(7, &[OURS]), &state).await.unwrap();
        assert_eq!(look_up("a.home.internal").as_deref(), Some(OUR_ANSWER));
        assert_eq!(theirs.asked(), [""; 0], "names of the mesh got out");
        assert_eq!(look_up("www.example.org").as_deref(), Some(THEIR_ANSWER));
        assert!(ours.asked().contains(&"www.example.org".to_owned()), "ours was not asked first");
    });
}

#[test]
fn a_resolver_on_the_machine_keeps_its_place() {
    for (package, start) in [("resolvconf", start_debian as fn()), ("openresolv", start_openresolv)] {
        alone(&[package], |_| async move {
            start();
            add("lo.dnsmasq", "nameserver 127.0.0.1\n");
            let found = resolv_conf();
            let state = StateDirectory::open("/run/state".as_ref()).unwrap();
            let mut resolver = Resolver::detect(Host::default()).await;
            let error = resolver.apply(&plan(7, &[OURS]), &state).await.unwrap_err();
            assert!(matches!(error, ResolverError::NotFirst { .. }), "{package}: {error}");
            assert_eq!(resolv_conf(), found, "{package}");
            assert!(!restore(&Host::default(), &state).await.unwrap(), "{package}: it was taken back");
        });
    }
}
