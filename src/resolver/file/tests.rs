//! A resolv.conf in a directory of its own, through the public API.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::resolver::{Kind, Resolver, Zone, restore};

const FOUND: &str = "# mine\nsearch lan\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions edns0\n";

struct Machine {
    directory: TempDir,
    host: Host,
    state: StateDirectory,
    resolver: Resolver,
}

impl Machine {
    async fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("etc")).unwrap();
        fs::write(directory.path().join("etc/resolv.conf"), text).unwrap();
        let host = Host { root: directory.path().to_owned(), bus: "unix:path=/nonexistent".into() };
        let state = StateDirectory::open(&directory.path().join("state")).unwrap();
        let resolver = Resolver::detect(host.clone()).await;
        assert_eq!(*resolver.kind(), Kind::File);
        Self { directory, host, state, resolver }
    }

    async fn apply(&mut self) -> Result<(), ResolverError> {
        self.resolver.apply(&plan("hm0"), &self.state).await
    }

    async fn revert(&mut self) {
        self.resolver.revert(&self.state).await.unwrap();
    }

    fn path(&self) -> PathBuf {
        self.host.resolv_conf()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn put(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }
}

fn plan(interface: &str) -> Plan {
    Plan {
        interface: interface.into(),
        index: 7,
        servers: vec!["10.77.0.1".parse().unwrap(), "127.0.0.77".parse().unwrap()],
        zones: vec![Zone::new("home.internal").unwrap()],
        is_everything: false,
    }
}

#[tokio::test]
async fn ours_goes_first_and_goes_without_a_trace() {
    let mut machine = Machine::new(FOUND).await;
    fs::set_permissions(machine.path(), Permissions::from_mode(0o640)).unwrap();
    machine.apply().await.unwrap();
    let servers: Vec<_> = machine.host.servers().iter().map(IpAddr::to_string).collect();
    assert_eq!(servers, ["127.0.0.77", "192.0.2.1", "192.0.2.2"], "loopback is preferred");
    assert!(machine.text().ends_with(FOUND));
    assert_eq!(fs::metadata(machine.path()).unwrap().mode() & 0o7777, 0o640);
    assert!(machine.resolver.is_in_effect());
    assert!(machine.resolver.describe().contains("home.internal"), "{}", machine.resolver.describe());
    machine.revert().await;
    assert_eq!(machine.text(), FOUND);
    assert_eq!(fs::metadata(machine.path()).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(machine.directory.path().join("etc")).unwrap().count(), 1, "something was left");
}

#[tokio::test]
async fn applying_twice_is_applying_once() {
    let mut machine = Machine::new(FOUND).await;
    machine.apply().await.unwrap();
    let once = machine.text();
    machine.apply().await.unwrap();
    assert_eq!(machine.text(), once);
    machine.revert().await;
    machine.revert().await;
    assert_eq!(machine.text(), FOUND);
}

#[tokio::test]
async fn a_file_that_somebody_wrote_anew_is_kept() {
    let mut machine = Machine::new(FOUND).await;
    machine.apply().await.unwrap();
    let new = "nameserver 198.51.100.1\n";
    machine.put(new);
    assert!(!machine.resolver.is_in_effect());
    assert!(machine.resolver.describe().contains("written anew"), "{}", machine.resolver.describe());
    machine.revert().await;
    assert_eq!(machine.text(), new);

    machine.apply().await.unwrap();
    machine.put(&format!("{}nameserver 198.51.100.2\n", machine.text()));
    machine.revert().await;
    assert_eq!(machine.text(), format!("{new}nameserver 198.51.100.2\n"));

    // A program that keeps servers and drops comments.
    machine.apply().await.unwrap();
    machine.put("nameserver 127.0.0.77\nnameserver 198.51.100.3\n");
    machine.revert().await;
    assert_eq!(machine.text(), "nameserver 198.51.100.3\n");
}

#[tokio::test]
async fn a_link_in_its_place_is_left_alone() {
    let mut machine = Machine::new(FOUND).await;
    machine.apply().await.unwrap();
    let text = machine.text();
    let elsewhere = machine.directory.path().join("elsewhere");
    fs::rename(machine.path(), &elsewhere).unwrap();
    symlink(&elsewhere, machine.path()).unwrap();
    machine.revert().await;
    assert_eq!(machine.text(), text);
    assert!(machine.path().is_symlink());
    fs::remove_file(machine.path()).unwrap();
    assert!(!restore(&machine.host, &machine.state).await.unwrap(), "the journal was not cleared");
}

#[tokio::test]
async fn where_ours_would_be_alone_nothing_changes() {
    let mut machine = Machine::new("search lan\n").await;
    let error = machine.apply().await.unwrap_err();
    assert!(matches!(error, ResolverError::NoOtherServer { .. }), "{error}");
    assert_eq!(machine.text(), "search lan\n");
    assert!(!machine.resolver.is_in_effect());
}

#[tokio::test]
async fn two_networks_share_the_file_and_a_third_does_not() {
    let mut machine = Machine::new(FOUND).await;
    machine.apply().await.unwrap();
    let mut others = Vec::new();
    for (interface, expected) in [("hm1", true), ("hm2", false)] {
        let state = StateDirectory::open(&machine.directory.path().join(interface)).unwrap();
        let mut resolver = Resolver::detect(machine.host.clone()).await;
        assert_eq!(resolver.apply(&plan(interface), &state).await.is_ok(), expected, "{interface}");
        others.push((resolver, state));
    }
    machine.revert().await;
    for (resolver, state) in &mut others {
        resolver.revert(state).await.unwrap();
    }
    assert_eq!(machine.text(), FOUND);
}

#[tokio::test]
async fn a_file_beyond_reason_is_left_alone() {
    let text = format!("{FOUND}{}", "# padding\n".repeat(FILE_SIZE_MAX / 10));
    let mut machine = Machine::new(&text).await;
    let error = machine.apply().await.unwrap_err();
    assert!(matches!(error, ResolverError::Unfit { .. }), "{error}");
    assert_eq!(machine.text(), text);
}
