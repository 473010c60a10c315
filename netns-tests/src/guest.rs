//! A device that runs WireGuard and not Hopmesh: wireguard-go, configured by what `hopmesh guest add` has printed.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{DEADLINE, Machine, Process, wait_until};

/// Interfaces of wireguard-go have sockets in a folder that all namespaces share, so their names must differ.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A tunnel of wireguard-go on a machine.
pub struct Guest<'a> {
    machine: &'a Machine,
    interface: String,
    /// Mesh addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Where its configuration lets it ask for names.
    pub dns: Vec<IpAddr>,
    _process: Process,
}

impl<'a> Guest<'a> {
    /// Brings the tunnel up as wg-quick does.
    ///
    /// # Panics
    /// When the configuration is none that `wg` and `wg-quick` read.
    #[must_use]
    pub fn up(machine: &'a Machine, configuration: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let interface = format!("wg{}x{number}", std::process::id());
        let path = machine.folder().join(format!("{interface}.conf"));
        write_secret(&path, configuration);
        let process = machine.start(&["wireguard-go", "-f", &interface]);
        wait_until("wireguard-go has its interface", DEADLINE, || {
            (machine.run(&["wg", "show", &interface]).code == Some(0)).then_some(())
        });
        let script = format!("wg-quick strip {} | wg setconf {interface} /dev/stdin", path.display());
        let _ = machine.run(&["bash", "-o", "pipefail", "-c", &script]).ok();
        let list = |key: &str| values(configuration, key);
        for address in list("Address") {
            machine.ip(&format!("address add {address} dev {interface}"));
        }
        machine.ip(&format!("link set {interface} mtu {} up", list("MTU").join("")));
        for prefix in list("AllowedIPs") {
            match prefix.as_str() {
                "0.0.0.0/0" => lead_all(machine, &interface, "-4"),
                "::/0" => lead_all(machine, &interface, "-6"),
                prefix => machine.ip(&format!("route add {prefix} dev {interface}")),
            }
        }
        let ip = |text: &String| text.split('/').next().and_then(|ip| ip.parse().ok());
        let addresses = list("Address").iter().filter_map(ip).collect();
        let dns = list("DNS").iter().filter_map(ip).collect();
        Self { machine, interface, addresses, dns, _process: process }
    }

    /// The machine that it is on.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        self.machine
    }

    /// Age of its latest handshake; nothing while there was none.
    #[must_use]
    pub fn last_handshake(&self) -> Option<Duration> {
        let shown = self.machine.run(&["wg", "show", &self.interface, "latest-handshakes"]).ok();
        let at: u64 = shown.split_whitespace().last()?.parse().ok()?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
        (at > 0).then(|| now.saturating_sub(Duration::from_secs(at)))
    }
}

/// Sends all of a family into the tunnel but the tunnel's own messages, as wg-quick(8) does.
fn lead_all(machine: &Machine, interface: &str, family: &str) {
    let (mark, table) = ("51820", "51820");
    let commands = format!(
        "wg set {interface} fwmark {mark} && ip {family} route add default dev {interface} table {table} \
        && ip {family} rule add not fwmark {mark} table {table} && ip {family} rule add table main suppress_prefixlength 0"
    );
    let _ = machine.run(&["sh", "-c", &commands]).ok();
}

/// What a key of the configuration lists.
fn values(configuration: &str, key: &str) -> Vec<String> {
    let pairs = configuration.lines().filter_map(|line| line.split_once(" = "));
    let lists = pairs.filter(|(known, _)| *known == key).map(|(_, list)| list);
    lists.flat_map(|list| list.split(", ")).map(str::to_owned).collect()
}

/// wg-quick warns of files that others may read.
fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).expect("the folder is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
}
