//! A thread on a machine of its own: this one's files, changed in memory, and a network of two interfaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use hopmesh::io::netlink::Netlink;
use hopmesh::io::tun::{Queues, Tun};
use hopmesh::resolver::{Plan, Zone};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount,
};
use rustix::process::chroot;
use rustix::thread::UnshareFlags;

/// Where `cargo xtask test netns` puts packages that are not installed.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/debian");
/// The mesh's interface.
pub(crate) const INTERFACE: &str = "hm0";
/// Where the host's own network has its DNS server.
pub(crate) const THEIRS: &str = "192.0.2.1";
/// Where our DNS server listens.
pub(crate) const OURS: &str = "10.77.0.1";
/// And where only this machine reaches it.
pub(crate) const OURS_ON_LOOPBACK: &str = "127.0.0.77";

/// Runs `body` on such a machine, on which `packages` are unpacked. Interfaces are loopback and `eth0`.
pub(crate) fn alone<F: Future>(packages: &[&str], body: impl FnOnce(Netlink) -> F + Send) {
    // Made and removed outside: inside, its path means another directory.
    let directory = tempfile::tempdir().unwrap();
    let enter = || {
        let flags = UnshareFlags::NEWNET | UnshareFlags::NEWNS;
        #[expect(deprecated, reason = "it became unsafe for UnshareFlags::FILES, which is not used here")]
        rustix::thread::unshare(flags).expect("these tests need root: run them with sudo");
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        enter_root(directory.path(), packages);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let netlink = Netlink::open().unwrap();
            let _ = netlink.configure("lo", &[], &[], 65_536, true).await.unwrap();
            run("ip", "link add eth0 type veth peer name eth0-peer");
            run("ip", "link set eth0-peer up");
            let address = format!("{THEIRS}/24").parse().unwrap();
            let _ = netlink.configure("eth0", &[address], &[], 1500, true).await.unwrap();
            body(netlink).await;
        });
    };
    thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn enter_root(directory: &Path, packages: &[&str]) {
    mount("tmpfs", directory, "tmpfs", MountFlags::empty(), Some(c"mode=755")).unwrap();
    let at = |name: &str| directory.join(name);
    for name in ["changes", "work", "root"] {
        fs::create_dir(at(name)).unwrap();
    }
    let layers = format!("lowerdir=/,upperdir={},workdir={}", at("changes").display(), at("work").display());
    let layers = std::ffi::CString::new(layers).unwrap();
    mount("overlay", at("root"), "overlay", MountFlags::empty(), Some(layers.as_c_str())).unwrap();
    for name in ["proc", "sys", "dev"] {
        mount_bind_recursive(format!("/{name}"), at("root").join(name)).unwrap();
    }
    // As in a container: where it can be written to, NetworkManager waits for udev.
    mount_remount(at("root/sys"), MountFlags::BIND | MountFlags::RDONLY, c"").unwrap();
    mount("tmpfs", at("root/run"), "tmpfs", MountFlags::empty(), Some(c"mode=755")).unwrap();
    for package in packages {
        unpack(&package_file(package), &at("root"));
    }
    chroot(at("root")).unwrap();
    std::env::set_current_dir("/").unwrap();
    fs::write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n").unwrap();
    put_resolv_conf("");
}

fn package_file(package: &str) -> PathBuf {
    let names = fs::read_dir(PACKAGES).into_iter().flatten().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{package}_")))
    };
    names.into_iter().find(is_it).unwrap_or_else(|| {
        panic!("no {package} in {PACKAGES}: `cargo xtask test netns` downloads it, or `apt-get download {package}` there")
    })
}

/// Where directories of the package are links on this machine, as /lib is, its files go to where they lead.
fn unpack(package: &Path, root: &Path) {
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .expect("dpkg is installed");
    let tar = Command::new("tar")
        .args(["--extract", "--keep-directory-symlink", "--directory"])
        .arg(root)
        .stdin(archive.stdout.take().unwrap())
        .status()
        .unwrap();
    assert!(tar.success() && archive.wait().unwrap().success(), "{} was not unpacked", package.display());
}

/// Runs a program that must succeed, and gives what it printed.
pub(crate) fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split(' ')).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The first address that the C library finds for `name`.
pub(crate) fn look_up(name: &str) -> Option<String> {
    let output = Command::new("getent").args(["ahostsv4", name]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_ascii_whitespace().next().map(str::to_owned)
}

/// Replaces /etc/resolv.conf, whatever it was.
pub(crate) fn put_resolv_conf(text: &str) {
    let _ = fs::remove_file("/etc/resolv.conf");
    fs::write("/etc/resolv.conf", text).unwrap();
}

/// Makes /etc/resolv.conf a link.
pub(crate) fn link_resolv_conf(target: &str) {
    fs::remove_file("/etc/resolv.conf").unwrap();
    std::os::unix::fs::symlink(target, "/etc/resolv.conf").unwrap();
}

/// The mesh's interface, with our address.
pub(crate) async fn join_mesh(netlink: &Netlink) -> Tun {
    let tun = Tun::create(INTERFACE, Queues::One).unwrap();
    let address = format!("{OURS}/16").parse().unwrap();
    let _ = netlink.configure(INTERFACE, &[address], &[], 1420, true).await.unwrap();
    tun
}

/// What the host is to ask us.
pub(crate) fn plan(index: u32, servers: &[&str]) -> Plan {
    let mut zones = vec![Zone::new("home.internal").unwrap()];
    zones.extend(Zone::reverse("10.77.0.0/16".parse().unwrap()));
    let servers = servers.iter().map(|server| server.parse().unwrap()).collect();
    Plan { interface: INTERFACE.into(), index, servers, zones, is_everything: false }
}
