//! A machine: a network namespace with an `eth0`, and what is run on it.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::lab::{Switch, ip, ip_batch, remove_namespace};
use crate::{Done, Process, Underlay};

/// No command of a test runs longer: a gigabyte through a debug build on a busy machine is the slowest.
const COMMAND: Duration = Duration::from_secs(180);

/// The switch's own addresses in the two subnets.
const ROUTERS4: [&str; 2] = ["192.0.2.254", "198.51.100.254"];
const ROUTERS6: [&str; 2] = ["2001:db8::fe", "2001:db8:1::fe"];

/// One machine of a lab. Dropping it ends its daemon and removes it.
pub struct Machine {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) config: RefCell<Option<PathBuf>>,
    pub(crate) daemon: RefCell<Option<Process>>,
    pub(crate) logs: RefCell<String>,
    namespace: String,
    number: u32,
    underlay: Underlay,
    subnet: Cell<u8>,
    // Last: the machine must be gone before the switch may go.
    switch: Arc<Switch>,
}

impl Machine {
    pub(crate) fn new(switch: Arc<Switch>, name: &str, number: u32, underlay: Underlay) -> Self {
        let machine = Self {
            name: name.to_owned(),
            folder: switch.folder.join(name),
            config: RefCell::new(None),
            daemon: RefCell::new(None),
            logs: RefCell::new(String::new()),
            namespace: format!("{}{name}", switch.prefix),
            number,
            underlay,
            subnet: Cell::new(0),
            switch,
        };
        fs::create_dir(&machine.folder).expect("the lab's folder is new and ours");
        ip(&format!("netns add {}", machine.namespace));
        ip_batch(&machine.namespace, "link set lo up");
        machine
    }

    /// Puts a cable between `eth0` and the switch.
    pub(crate) fn connect(&self) {
        let (number, switch) = (self.number, &self.switch.namespace);
        self.ip(&format!("link add eth0 type veth peer name p{number} netns {switch}\nlink set eth0 up"));
        ip_batch(switch, &format!("link set p{number} master br0\nlink set p{number} up"));
        self.address();
    }

    /// Puts a cable between the `eth0` of two machines.
    pub(crate) fn connect_to(&self, other: &Self) {
        self.ip(&format!("link add eth0 type veth peer name eth0 netns {}", other.namespace));
        for machine in [self, other] {
            machine.ip("link set eth0 up");
            machine.address();
        }
    }

    /// The name given in the lab, which is also the node name that [`Machine::up`] and [`Machine::join`] ask for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A folder of this machine alone, removed with the lab.
    #[must_use]
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// The present IPv4 address of `eth0`, if the machine has one.
    #[must_use]
    pub fn underlay4(&self) -> Option<Ipv4Addr> {
        let host = u8::try_from(self.number).expect("a lab has few machines");
        let net = if self.subnet.get() == 0 { [192, 0, 2] } else { [198, 51, 100] };
        (self.underlay != Underlay::V6).then(|| Ipv4Addr::new(net[0], net[1], net[2], host))
    }

    /// The present IPv6 address of `eth0`, if the machine has one.
    #[must_use]
    pub fn underlay6(&self) -> Option<Ipv6Addr> {
        let host = u16::try_from(self.number).expect("a lab has few machines");
        let subnet = u16::from(self.subnet.get());
        (self.underlay != Underlay::V4).then(|| Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0, 0, 0, host))
    }

    /// The present addresses of `eth0`, IPv4 first.
    #[must_use]
    pub fn underlay(&self) -> Vec<IpAddr> {
        let (v4, v6) = (self.underlay4().map(IpAddr::from), self.underlay6().map(IpAddr::from));
        v4.into_iter().chain(v6).collect()
    }

    /// Moves the machine to the other subnet: its addresses and default routes are replaced.
    pub fn roam(&self) {
        ip_batch(&self.namespace, "addr flush dev eth0 scope global");
        self.subnet.set(1 - self.subnet.get());
        self.address();
    }

    /// Pulls the cable, so that neither end notices: the carrier stays.
    pub fn unplug(&self) {
        ip_batch(&self.switch.namespace, &format!("link set p{} nomaster", self.number));
    }

    /// Puts the cable back.
    pub fn plug(&self) {
        ip_batch(&self.switch.namespace, &format!("link set p{} master br0", self.number));
    }

    /// The router of the present subnet.
    pub(crate) fn router(&self) -> IpAddr {
        let routers = if self.underlay == Underlay::V6 { ROUTERS6 } else { ROUTERS4 };
        routers[usize::from(self.subnet.get())].parse().expect("an address")
    }

    fn address(&self) {
        let mut lines = String::new();
        let subnet = self.subnet.get();
        if let Some(address) = self.underlay4() {
            let router = ROUTERS4[usize::from(subnet)];
            lines +=
                &format!("addr add {address}/24 dev eth0\nroute replace default via {router} dev eth0\n");
        }
        if let Some(address) = self.underlay6() {
            let router = ROUTERS6[usize::from(subnet)];
            lines += &format!("addr add {address}/64 dev eth0 nodad\n");
            lines += &format!("route replace default via {router} dev eth0\n");
        }
        ip_batch(&self.namespace, &lines);
    }

    /// Runs lines of `ip` commands here.
    pub fn ip(&self, lines: &str) {
        ip_batch(&self.namespace, lines);
    }

    /// Starts a command here.
    #[must_use]
    pub fn start(&self, words: &[&str]) -> Process {
        self.start_words(&words.iter().map(Into::into).collect::<Vec<_>>(), None)
    }

    /// Runs a command here to its end.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Done {
        self.start(words).done(COMMAND)
    }

    pub(crate) fn start_words(&self, words: &[OsString], input: Option<&[u8]>) -> Process {
        let enter = ["ip", "netns", "exec", &self.namespace].map(OsString::from);
        Process::start(&[&enter, words].concat(), input)
    }

    /// Runs `work` in a thread of this process that is in the machine's namespace; a socket made there stays there.
    ///
    /// # Panics
    /// When the namespace cannot be entered, or `work` panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.namespace)).expect("made by new");
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                use std::os::fd::AsFd;
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter a namespace of its own");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.bury();
        if std::thread::panicking() {
            eprintln!("==== {} ====\n{}", self.name, self.logs.borrow());
        }
        remove_namespace(&self.namespace);
    }
}
