//! A thread in network and mount namespaces of its own.

use std::process::Command;
use std::thread;

use hopmesh::io::netlink::Netlink;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, set_capabilities};

/// Runs `body` with nothing but a loopback interface that is down, and with mounts that nobody else sees.
pub(crate) fn alone<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        let flags = UnshareFlags::NEWNET | UnshareFlags::NEWNS;
        #[expect(deprecated, reason = "it became unsafe for UnshareFlags::FILES, which is not used here")]
        rustix::thread::unshare(flags).expect("these tests need root: run them with sudo");
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        body()
    };
    thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// As [`alone`], for what is asynchronous; loopback is up.
pub(crate) fn alone_with_netlink<F: Future>(body: impl FnOnce(Netlink) -> F + Send) {
    alone(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let netlink = Netlink::open().unwrap();
            let _ = netlink.configure("lo", &[], &[], 65_536, true).await.unwrap();
            body(netlink).await;
        });
    });
}

/// Takes `capability` from the calling thread.
pub(crate) fn give_up(capability: CapabilitySet) {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(capability);
    set_capabilities(None, sets).unwrap();
}

/// Runs iproute2's `ip` and gives what it printed.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Adds an interface that is down, at the end of a cable whose other end is up; no addresses come by themselves.
pub(crate) fn add_interface(name: &str) {
    ip(&format!("link add {name} type veth peer name {name}-peer"));
    for end in [name, &format!("{name}-peer")] {
        ip(&format!("link set {end} addrgenmode none"));
    }
    ip(&format!("link set {name}-peer up"));
}
