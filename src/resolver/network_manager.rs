//! NetworkManager with `dns=dnsmasq`: a file of ours tells its dnsmasq which zones are asked of us.
//!
//! When we are gone and the file is not, names of the mesh fail and all others are as ever.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zbus::wire::OwnedVariant;

use super::bus::{Bus, Object};
use super::error::ResolverError;
use super::file::remove_if_there;
use super::host::Host;
use super::journal::{self, Undo};
use super::plan::Plan;
use crate::store::StateDirectory;

const MANAGER: Object = Object {
    service: "org.freedesktop.NetworkManager",
    path: "/org/freedesktop/NetworkManager",
    interface: "org.freedesktop.NetworkManager",
    unit: "NetworkManager",
};
const DNS_PROPERTIES: Object = Object {
    path: "/org/freedesktop/NetworkManager/DnsManager",
    interface: "org.freedesktop.DBus.Properties",
    ..MANAGER
};
const DNS_MANAGER: &str = "org.freedesktop.NetworkManager.DnsManager";
/// `NM_MANAGER_RELOAD_FLAG_DNS_FULL`: dnsmasq is started anew, and so reads its files.
const RELOAD_DNS_FULL: u32 = 4;

/// Whether it runs and has a dnsmasq to resolve names.
pub(super) async fn has_dnsmasq(bus: &Bus) -> bool {
    if !bus.has_owner(MANAGER.service).await {
        return false;
    }
    let Ok(answer) = bus.call(DNS_PROPERTIES, "Get", &(DNS_MANAGER, "Mode")).await else { return false };
    let mode = answer.body().deserialize::<OwnedVariant>();
    mode.is_ok_and(|mode| String::try_from(mode).is_ok_and(|mode| mode == "dnsmasq"))
}

pub(super) async fn apply(host: &Host, plan: &Plan, state: &StateDirectory) -> Result<(), ResolverError> {
    journal::write(state, &Undo::Dnsmasq { interface: plan.interface.clone() })?;
    let path = path(host, &plan.interface);
    write(&path, &settings(plan)).map_err(|source| ResolverError::File { path, source })?;
    reload(&Bus::connect(host).await?).await
}

pub(super) async fn undo(host: &Host, interface: &str) -> Result<(), ResolverError> {
    let path = path(host, interface);
    for path in [temporary(&path), path] {
        remove_if_there(&path).map_err(|source| ResolverError::File { path, source })?;
    }
    // Without a bus or NetworkManager on it there is no dnsmasq that has read the file.
    let Ok(bus) = Bus::connect(host).await else { return Ok(()) };
    if bus.has_owner(MANAGER.service).await { reload(&bus).await } else { Ok(()) }
}

async fn reload(bus: &Bus) -> Result<(), ResolverError> {
    bus.call(MANAGER, "Reload", &(RELOAD_DNS_FULL,)).await.map(drop)
}

fn settings(plan: &Plan) -> String {
    let mut text = format!("# Names of the mesh on {}, by hopmesh; removed when it ends.\n", plan.interface);
    for zone in &plan.zones {
        for server in &plan.servers {
            writeln!(text, "server=/{zone}/{server}").expect("writing to memory does not fail");
        }
        // Where private addresses in answers are refused, ours are not.
        writeln!(text, "rebind-domain-ok=/{zone}/").expect("writing to memory does not fail");
    }
    // Beside those of other links, which reach nobody while all traffic leaves by an exit: dnsmasq keeps to who answers.
    for server in plan.servers.iter().filter(|_| plan.is_everything) {
        writeln!(text, "server={server}").expect("writing to memory does not fail");
    }
    text
}

fn path(host: &Host, interface: &str) -> PathBuf {
    host.dnsmasq_directory().join(format!("hopmesh-{interface}.conf"))
}

/// A name that dnsmasq reads no file of.
fn temporary(path: &Path) -> PathBuf {
    path.with_extension("conf~")
}

/// By a rename, so that dnsmasq, which refuses to start over a line that is cut short, never reads half of it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().expect("the file is in dnsmasq's directory");
    fs::create_dir_all(directory)?;
    let temporary = temporary(path);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::plan::Zone;

    #[test]
    fn dnsmasq_is_told_the_zones_and_no_default() {
        let plan = Plan {
            interface: "hm0".into(),
            index: 7,
            servers: vec!["127.0.0.77".parse().unwrap(), "fd77::1".parse().unwrap()],
            zones: vec![Zone::new("home.internal").unwrap(), Zone::new("77.10.in-addr.arpa").unwrap()],
            is_everything: false,
        };
        let all = settings(&Plan { is_everything: true, ..plan.clone() });
        assert!(all.ends_with("/\nserver=127.0.0.77\nserver=fd77::1\n"), "{all}");
        let settings = settings(&plan);
        let lines: Vec<&str> = settings.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "server=/home.internal/127.0.0.77",
                "server=/home.internal/fd77::1",
                "rebind-domain-ok=/home.internal/",
                "server=/77.10.in-addr.arpa/127.0.0.77",
                "server=/77.10.in-addr.arpa/fd77::1",
                "rebind-domain-ok=/77.10.in-addr.arpa/",
            ]
        );
    }
}
