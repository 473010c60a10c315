//! A router that maps ports when a machine behind it asks: miniupnpd over nftables.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use crate::{Process, Router};

/// For whatever a busy machine takes until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// The chains that miniupnpd fills; the rules of all kinds let in what they have redirected.
const CHAINS: &str = "
table inet mini {
  chain forward { type filter hook forward priority filter; policy accept; }
  chain prerouting { type nat hook prerouting priority dstnat; policy accept; }
  chain postrouting { type nat hook postrouting priority srcnat; policy accept; }
}
";
const CONFIGURATION: &str = "\
ext_ifname=wan
listening_ip=lan
uuid=78a7ab2c-8d63-4d8c-8bde-3a5b7d2f7b7b
upnp_table_name=mini
upnp_nat_table_name=mini
upnp_forward_chain=forward
upnp_nat_chain=prerouting
upnp_nat_postrouting_chain=postrouting
allow 1024-65535 192.168.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
";

/// By which protocols a router lets itself be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// PCP and NAT-PMP, which go to one port.
    ByPcp,
    /// UPnP alone.
    ByUpnp,
}

impl Router {
    /// Maps ports from now on, until what is returned is dropped or the router reboots.
    ///
    /// # Panics
    /// When miniupnpd (Debian: miniupnpd-nftables) does not start.
    #[must_use]
    pub fn map_ports(&self, asked: Asked) -> Process {
        let (keys, listens) = match asked {
            Asked::ByPcp => ("enable_upnp=no\nenable_natpmp=yes\n", "Listening for NAT-PMP/PCP traffic"),
            Asked::ByUpnp => ("enable_upnp=yes\nenable_natpmp=no\n", "HTTP listening on port"),
        };
        let namespace = self.namespace();
        namespace.nft(CHAINS);
        let path = |name: &str| namespace.ground().folder.join(format!("{}.{name}", namespace.name()));
        let (configuration, pid) = (path("conf"), path("pid"));
        fs::write(&configuration, [CONFIGURATION, keys].concat()).expect("the folder is ours");
        let words = ["ip", "netns", "exec", namespace.name(), "miniupnpd", "-d", "-f"].map(OsString::from);
        let words = [&words[..], &[configuration.into(), "-P".into(), pid.into()]].concat();
        let daemon = Process::start(&words, None);
        let said = daemon.wait_stderr(PATIENCE, |text| text.contains(listens).then_some(()));
        assert!(said.is_some(), "miniupnpd does not listen: {}", daemon.stderr());
        daemon
    }
}
