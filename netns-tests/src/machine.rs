//! A machine: a network namespace with an `eth0`, and what is run on it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::ground::Namespace;
use crate::segment::{Plug, Segment};
use crate::{Conduct, Done, Process, Router, Underlay, Wire};

/// No command of a test runs longer: a gigabyte through a debug build on a busy machine is the slowest.
const COMMAND: Duration = Duration::from_secs(180);

/// One machine of a lab. Dropping it ends its daemon and removes it.
pub struct Machine {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) config: RefCell<Option<PathBuf>>,
    pub(crate) daemon: RefCell<Option<Process>>,
    pub(crate) logs: RefCell<String>,
    plug: RefCell<Plug>,
    /// Where [`Machine::roam`] leads.
    elsewhere: RefCell<Option<Arc<Segment>>>,
    wire: RefCell<Option<Wire>>,
    // Last: the machine must be gone before its namespace, and that before the lab's folder.
    namespace: Namespace,
}

impl Machine {
    /// A machine that is host `number` of a segment.
    pub(crate) fn new(name: &str, at: (&Arc<Segment>, u32, Underlay), conduct: Option<&Conduct>) -> Self {
        let ground = at.0.namespace.ground();
        let folder = ground.folder.join(name);
        fs::create_dir(&folder).expect("the lab's folder is ours, and machines have different names");
        let namespace = Namespace::new(ground, name);
        let (plug, wire) = Plug::connect(&namespace, "eth0", at, conduct);
        Self {
            name: name.to_owned(),
            folder,
            config: RefCell::new(None),
            daemon: RefCell::new(None),
            logs: RefCell::new(String::new()),
            plug: RefCell::new(plug),
            elsewhere: RefCell::new(None),
            wire: RefCell::new(wire),
            namespace,
        }
    }

    pub(crate) fn roaming_to(self, segment: Arc<Segment>) -> Self {
        self.elsewhere.replace(Some(segment));
        self
    }

    /// Two machines with IPv4 addresses of a segment, but a cable from `eth0` to `eth0`.
    pub(crate) fn crossover(names: [&str; 2], segment: &Arc<Segment>, number: impl Fn() -> u32) -> [Self; 2] {
        let pair = names.map(|name| Self::new(name, (segment, number(), Underlay::V4), None));
        pair[1].ip("link del eth0");
        let far = pair[1].namespace();
        pair[0].ip(&format!("link del eth0\nlink add eth0 type veth peer name eth0 netns {far}"));
        for machine in &pair {
            machine.plug.borrow().address(&machine.namespace, "eth0");
        }
        pair
    }

    /// The name given in the lab, which is also the node name that [`Machine::up`] and [`Machine::join`] ask for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// A folder of this machine alone, removed with the lab.
    #[must_use]
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// The present IPv4 address of `eth0`, if the machine has one.
    #[must_use]
    pub fn underlay4(&self) -> Option<Ipv4Addr> {
        self.plug.borrow().v4()
    }

    /// The present IPv6 address of `eth0`, if the machine has one.
    #[must_use]
    pub fn underlay6(&self) -> Option<Ipv6Addr> {
        self.plug.borrow().v6()
    }

    /// The present addresses of `eth0`, IPv4 first.
    #[must_use]
    pub fn underlay(&self) -> Vec<IpAddr> {
        let (v4, v6) = (self.underlay4().map(IpAddr::from), self.underlay6().map(IpAddr::from));
        v4.into_iter().chain(v6).collect()
    }

    /// The wire of its cable, if that has any properties.
    ///
    /// # Panics
    /// When the cable is a plain one.
    pub fn on_wire<T>(&self, ask: impl FnOnce(&Wire) -> T) -> T {
        ask(self.wire.borrow().as_ref().expect("this machine was plugged in by a wire"))
    }

    /// Moves the machine of a plain lab to the other subnet: its addresses and default routes are replaced.
    ///
    /// # Panics
    /// When the lab has no other subnet.
    pub fn roam(&self) {
        let mut plug = self.plug.borrow_mut();
        let mut there = self.elsewhere.borrow_mut();
        let there = there.as_mut().expect("only machines of a plain lab roam: carry the others to a router");
        std::mem::swap(&mut plug.segment, there);
        plug.address(&self.namespace, "eth0");
    }

    /// Carries the machine behind another router: another `eth0`, other addresses, by a plain cable.
    pub fn carry_to(&self, router: &Router) {
        self.ip("link del eth0");
        self.wire.replace(None);
        let lan = router.lan();
        let at = (lan, lan.new_host(), router.underlay());
        self.plug.replace(Plug::connect(&self.namespace, "eth0", at, None).0);
    }

    /// Pulls the cable, so that neither end notices: the carrier stays.
    pub fn unplug(&self) {
        self.plug.borrow().pull();
    }

    /// Puts the cable back.
    pub fn plug(&self) {
        self.plug.borrow().put();
    }

    /// Takes the interface down for so long, and brings it up as it was.
    pub fn flap(&self, down: Duration) {
        self.ip("link set eth0 down");
        std::thread::sleep(down);
        // The kernel has forgotten the routes.
        self.plug.borrow().address(&self.namespace, "eth0");
    }

    /// Gives the machine other addresses on its segment: the old ones are gone.
    pub fn readdress(&self) {
        let mut plug = self.plug.borrow_mut();
        plug.number = plug.segment.new_host();
        plug.address(&self.namespace, "eth0");
    }

    /// The router of the present subnet.
    #[must_use]
    pub fn router(&self) -> IpAddr {
        self.plug.borrow().router()
    }

    /// Runs lines of `ip` commands here.
    pub fn ip(&self, lines: &str) {
        self.namespace.ip(lines);
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
        let enter = ["ip", "netns", "exec", self.namespace.name()].map(OsString::from);
        Process::start(&[&enter, words].concat(), input)
    }

    /// Runs `work` in a thread of this process that is in the machine's namespace; a socket made there stays there.
    ///
    /// # Panics
    /// When the namespace cannot be entered, or `work` panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.enter(work)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.bury();
        if std::thread::panicking() {
            eprintln!("==== {} ====\n{}", self.name, self.logs.borrow());
        }
    }
}
