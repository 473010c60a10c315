//! `hopmesh` on a machine: the command line as a person or a script uses it.

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::{Done, Internet, Lab, Machine, Process, hopmesh};

/// No answer of the program may take longer than this: it is the patience of the tests, not a promise.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What `up` or `join` said when the node was up.
#[derive(Debug, Clone)]
pub struct Up {
    /// The first IPv4 mesh address.
    pub v4: Ipv4Addr,
    /// The first IPv6 mesh address.
    pub v6: Ipv6Addr,
    /// Node id.
    pub id: String,
    /// Node name.
    pub name: String,
    /// Network id.
    pub network: String,
    /// Name of the mesh interface.
    pub interface: String,
    /// UDP port.
    pub port: u16,
    /// The invite of a new network.
    pub invite: Option<String>,
    /// The whole line.
    pub json: Value,
}

impl Up {
    /// Reads the line that `up` and `join` print when the node is up; `None` when it is another line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        Self::read(serde_json::from_str(line).ok()?)
    }

    fn read(json: Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let addresses = json["node"]["addresses"].as_array()?.clone();
        let mut addresses = addresses.iter().filter_map(|address| address.as_str()?.parse::<IpAddr>().ok());
        let (IpAddr::V4(v4), IpAddr::V6(v6)) = (addresses.next()?, addresses.next()?) else { return None };
        Some(Self {
            v4,
            v6,
            id: text(&json["node"]["id"])?,
            name: text(&json["node"]["name"])?,
            network: text(&json["network"]["id"])?,
            interface: text(&json["interface"]["name"])?,
            port: json["listen"][0].as_str()?.rsplit(':').next()?.parse().ok()?,
            invite: text(&json["invite"]),
            json,
        })
    }

    /// Both mesh addresses.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

impl Lab {
    /// Machines a and b, one network by one invite, which reach each other in both families.
    #[must_use]
    pub fn pair(&self) -> (Machine, Up, Machine, Up) {
        let (a, b) = (self.machine("a"), self.machine("b"));
        let up = a.up();
        let joined = b.join(&a.invite(&[]));
        a.must_ping(joined.v4.into());
        b.must_ping(up.v6.into());
        (a, up, b, joined)
    }
}

impl Internet {
    /// Public machines that are nodes of one network: the first is its founder and can invite.
    #[must_use]
    pub fn anchors<const N: usize>(&self, names: [&str; N]) -> [Machine; N] {
        let machines = names.map(|name| self.public(name));
        for (i, machine) in machines.iter().enumerate() {
            if i == 0 {
                machine.up()
            } else {
                machine.join(&machines[0].invite(&[]))
            };
        }
        machines
    }
}

impl Machine {
    /// The state directory of its node.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Gives its daemons a configuration file from now on. They leave the resolver of the real machine alone, which all
    /// namespaces share.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, toml: &str) {
        let dns = if toml.contains("[dns]") { "" } else { "\n[dns]\n" };
        self.configure_resolver(&format!("{toml}{dns}").replace("[dns]\n", "[dns]\nhost = 'off'\n"));
    }

    /// As [`Machine::configure`] for daemons that are started where `/etc` and `/run` are their own.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure_resolver(&self, toml: &str) {
        let path = self.folder.join("hopmesh.toml");
        fs::write(&path, toml).expect("the folder is ours");
        *self.config.borrow_mut() = Some(path);
    }

    /// Forgets everything a node kept here.
    pub fn wipe(&self) {
        let _never_existed = fs::remove_dir_all(self.state_dir());
    }

    /// Starts `hopmesh` with `args` under `wrap`, a command that runs its arguments, or nothing.
    #[must_use]
    pub fn launch(&self, wrap: &[&str], args: &[&str], input: Option<&[u8]>) -> Process {
        let mut words: Vec<OsString> = wrap.iter().map(Into::into).collect();
        words.extend(self.words(self.state_dir().into(), args));
        self.start_words(&words, input)
    }

    /// Starts `hopmesh` with `args` on another state directory than the machine's own.
    #[must_use]
    pub fn launch_at(&self, state_dir: &Path, args: &[&str]) -> Process {
        self.start_words(&self.words(state_dir.into(), args), None)
    }

    fn words(&self, state_dir: OsString, args: &[&str]) -> Vec<OsString> {
        if self.config.borrow().is_none() {
            self.configure("");
        }
        let mut words = vec![hopmesh().into(), "--state-dir".into(), state_dir];
        if let Some(path) = &*self.config.borrow() {
            words.extend(["--config".into(), path.into()]);
        }
        words.push("--json".into());
        words.extend(args.iter().map(Into::into));
        words
    }

    /// Runs a command of `hopmesh` to its end, with `--json`.
    #[must_use]
    pub fn hopmesh(&self, args: &[&str]) -> Done {
        self.launch(&[], args, None).done(DEADLINE)
    }

    /// Runs a command that must succeed and reads its JSON.
    ///
    /// # Panics
    /// When it fails or does not print JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.hopmesh(args).ok();
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{args:?} printed no JSON: {error}\n{text}"))
    }

    /// `status --json`.
    #[must_use]
    pub fn status(&self) -> Value {
        self.json(&["status"])
    }

    /// `up`, as the name of the machine; waits until the node is up.
    pub fn up(&self) -> Up {
        self.run_node(&["up", "--node-name", &self.name])
    }

    /// Makes an invite for any machine.
    ///
    /// # Panics
    /// When there is none in the answer.
    #[must_use]
    pub fn invite(&self, args: &[&str]) -> String {
        let answer = self.json(&[&["invite"], args].concat());
        answer["invite"].as_str().expect("`invite --json` has `invite`").to_owned()
    }

    /// `join`, as the name of the machine; waits until the node is up.
    pub fn join(&self, invite: &str) -> Up {
        self.run_node(&["join", invite, "--node-name", &self.name])
    }

    /// Starts a daemon and waits for the line that says it is up.
    ///
    /// # Panics
    /// When it ends or stays silent.
    pub fn run_node(&self, args: &[&str]) -> Up {
        self.adopt(self.launch(&[], args, None))
    }

    /// Waits until a daemon that was just started is up, and keeps it as this machine's.
    ///
    /// # Panics
    /// When it ends or stays silent.
    pub fn adopt(&self, process: Process) -> Up {
        self.bury();
        let ready = process.wait_stdout(DEADLINE, |text| text.lines().find_map(Up::parse));
        let what = process.what().to_owned();
        *self.daemon.borrow_mut() = Some(process);
        ready.unwrap_or_else(|| {
            self.bury();
            panic!("{what} did not come up\n{}", self.logs.borrow())
        })
    }

    /// The daemon's process id.
    ///
    /// # Panics
    /// When none was started.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.borrow().as_ref().expect("a daemon was started here").pid()
    }

    /// Does the daemon run?
    #[must_use]
    pub fn runs(&self) -> bool {
        self.daemon.borrow_mut().as_mut().is_some_and(Process::runs)
    }

    /// Ends the daemon politely and expects that it goes with code 0.
    ///
    /// # Panics
    /// When it does not.
    pub fn stop(&self) -> Done {
        let mut daemon = self.daemon.borrow_mut().take().expect("a daemon was started here");
        daemon.signal(Signal::TERM);
        let done = self.record(daemon.done(DEADLINE));
        assert_eq!(done.code, Some(0), "{} does not go politely: {done:?}", self.name);
        done
    }

    /// Waits for the daemon to end by itself.
    ///
    /// # Panics
    /// When it does not.
    pub fn ended(&self, patience: Duration) -> Done {
        let daemon = self.daemon.borrow_mut().take().expect("a daemon was started here");
        self.record(daemon.done(patience))
    }

    /// Stops the daemon for so long, as a machine that sleeps does; its clocks go on.
    ///
    /// # Panics
    /// When none was started.
    pub fn sleep(&self, duration: Duration) {
        let mut daemon = self.daemon.borrow_mut();
        let daemon = daemon.as_mut().expect("a daemon was started here");
        daemon.signal(Signal::STOP);
        std::thread::sleep(duration);
        daemon.signal(Signal::CONT);
    }

    /// Sends the daemon a signal that does not end it.
    ///
    /// # Panics
    /// When none was started.
    pub fn signal(&self, signal: Signal) {
        self.daemon.borrow_mut().as_mut().expect("a daemon was started here").signal(signal);
    }

    /// Kills the daemon with SIGKILL.
    pub fn kill(&self) {
        self.bury();
    }

    pub(crate) fn bury(&self) {
        if let Some(mut daemon) = self.daemon.borrow_mut().take() {
            daemon.signal(Signal::KILL);
            self.record(daemon.done(DEADLINE));
        }
    }

    fn record(&self, done: Done) -> Done {
        let Done { what, code, stdout, stderr } = &done;
        *self.logs.borrow_mut() += &format!("-- {what}: {code:?}\n{stdout}{stderr}");
        done
    }
}

/// The peer called `name` in a status.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn peer<'a>(status: &'a Value, name: &str) -> &'a Value {
    let peers = status["peers"].as_array().expect("a status has peers");
    let found = peers.iter().find(|peer| peer["name"] == name);
    found.unwrap_or_else(|| panic!("no peer {name} in {status}"))
}

/// All packets that a node says it dropped, for whatever reason.
///
/// # Panics
/// When the status has no `drops`.
#[must_use]
pub fn drops(status: &Value) -> u64 {
    status["drops"].as_object().expect("a status has drops").values().filter_map(Value::as_u64).sum()
}
