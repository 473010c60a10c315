//! The system bus of a machine, and systemd-resolved on it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use zbus::connection::Builder;
use zbus::{MatchRule, MessageStream};

/// Where it listens.
pub(crate) const BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Everybody may do everything: what is tested is not the bus.
const CONFIGURATION: &str = r#"<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
"#;
/// How long what must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// What the service that was started last has said.
const LOG: &str = "/run/service.log";

/// A process, until it is dropped.
pub(crate) struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Starts the bus, and waits until it listens.
pub(crate) fn start_bus() -> Daemon {
    fs::create_dir_all("/run/dbus").unwrap();
    fs::write("/run/bus.conf", CONFIGURATION).unwrap();
    let mut child = Command::new("dbus-daemon")
        .args(["--config-file=/run/bus.conf", "--nofork", "--print-address"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("dbus-daemon is installed");
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    assert!(address.starts_with("unix:path="), "the bus did not start: {address:?}");
    Daemon(child)
}

/// Starts systemd-resolved, and waits until it has its name on the bus, which is the last thing it does.
pub(crate) async fn start_resolved() -> Daemon {
    add_user("systemd-resolve");
    fs::create_dir_all("/run/systemd").unwrap();
    start("/lib/systemd/systemd-resolved", &[], "org.freedesktop.resolve1").await
}

/// Starts a service and waits until it has its name on the bus.
pub(crate) async fn start(program: &str, arguments: &[&str], name: &str) -> Daemon {
    let bus = Builder::address(BUS).build().await.unwrap();
    let rule = MatchRule::builder().msg_type(zbus::message::Type::Signal).member("NameOwnerChanged");
    let mut changes =
        MessageStream::for_match_rule(rule.arg(0, name).build().unwrap(), &bus, None).await.unwrap();
    let log = File::create(LOG).unwrap();
    let child = Command::new(program).args(arguments).stdout(log.try_clone().unwrap()).stderr(log).spawn();
    let daemon = Daemon(child.unwrap());
    loop {
        let change = tokio::time::timeout(PATIENCE, changes.next()).await;
        let change = change
            .unwrap_or_else(|_| panic!("{program} did not start: {}", fs::read_to_string(LOG).unwrap()));
        let (_, _, owner): (String, String, String) = change.unwrap().unwrap().body().deserialize().unwrap();
        if !owner.is_empty() {
            return daemon;
        }
    }
}

/// As the package's installation does.
pub(crate) fn add_user(name: &str) {
    for (file, line) in [
        ("/etc/passwd", format!("{name}:x:64053:64053::/:/usr/sbin/nologin")),
        ("/etc/group", format!("{name}:x:64053:")),
    ] {
        if !fs::read_to_string(file).unwrap().contains(&format!("{name}:")) {
            let mut file = File::options().append(true).open(file).unwrap();
            writeln!(file, "{line}").unwrap();
        }
    }
}
