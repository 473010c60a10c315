//! Hosts on which a node cannot run, and what it says about it.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use netns_tests::{DEADLINE, Dice, Done, Lab, Machine, as_nobody, refused, with_mount};

/// `hopmesh` as a user without privilege, on the given state directory.
fn nobody_runs(machine: &Machine, state: &Path, args: &[&str]) -> Done {
    let binary = machine.public_binary().display().to_string();
    let state = state.display().to_string();
    let command = [binary.as_str(), "--state-dir", &state, "--json"];
    machine.start(&[&as_nobody()[..], &command, args].concat()).done(DEADLINE)
}

fn under(machine: &Machine, mount: &str, words: &[&str]) -> Done {
    let wrap = with_mount(mount);
    machine.refused_under(&wrap.each_ref().map(String::as_str), &["up"], words)
}

#[test]
fn a_host_without_tun_is_told_so() {
    let lab = Lab::new();
    let a = lab.machine("a");
    under(&a, "mount -t tmpfs none /dev/net", &["/dev/net/tun", "modprobe|load|exist|create"]);
    a.up();
}

#[test]
fn who_is_not_root_is_told_so() {
    let lab = Lab::new();
    let a = lab.machine("a");
    let state = a.folder().join("theirs");
    fs::create_dir(&state).unwrap();
    chown(&state, Some(65534), Some(65534)).unwrap();
    refused(nobody_runs(&a, &state, &["up"]), &["root|CAP_NET_ADMIN"]);
}

#[test]
fn an_interface_of_that_name_is_not_touched() {
    let lab = Lab::new();
    let a = lab.machine("a");
    a.ip("link add hm-home type bridge\naddr add 203.0.113.5/24 dev hm-home\nlink set hm-home up");
    let before = a.run(&["ip", "addr", "show", "dev", "hm-home"]).ok();
    a.refused(&["up"], &["hm-home", "use|exists|already"]);
    assert_eq!(a.run(&["ip", "addr", "show", "dev", "hm-home"]).ok(), before);
    a.ip("link del hm-home");
    let up = a.up();
    // A second node on the same host, with its own state but the same interface name.
    let second = a.folder().join("second");
    refused(a.launch_at(&second, &["up"]).done(DEADLINE), &["hm-home|port"]);
    assert_eq!(a.status()["node"]["id"], up.id);
}

#[test]
fn a_port_in_use_is_named() {
    let lab = Lab::new();
    let a = lab.machine("a");
    for taken in ["0.0.0.0:51999", "[::]:51999"] {
        a.configure("[listen]\nport = 51999\n");
        let holder = a.enter(|| UdpSocket::bind(taken).unwrap());
        a.refused(&["up"], &["51999", "use"]);
        let links = a.run(&["ip", "-o", "link"]).ok();
        assert!(!links.contains("hm-home"), "{links}");
        drop(holder);
        assert_eq!(a.up().port, 51999);
        a.stop();
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    let lab = Lab::new();
    let a = lab.machine("a");
    let state = a.state_dir().display().to_string();
    let mount = |options: &str| format!("mkdir -p {state} && mount -t tmpfs {options} none {state}");
    under(&a, &mount("-o ro"), &[&state, "read-only|write"]);
    under(&a, &mount("-o size=4k,nr_inodes=2"), &[&state, "space|full|write"]);
    a.wipe();
    fs::write(a.state_dir(), "a file, no directory").unwrap();
    a.refused(&["up"], &[&state, "director"]);
    fs::remove_file(a.state_dir()).unwrap();
    a.up();
    // Nobody else may read the keys.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&a.state_dir()), 0o700);
    for path in files(&a.state_dir()) {
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

/// The regular files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a state directory").map(|entry| entry.expect("readable")) {
        let kind = entry.file_type().expect("known");
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Bad versions of a file: cut at several places, each kind of damage a disk does.
fn damaged(whole: &[u8]) -> Vec<Vec<u8>> {
    let flipped = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x20;
        bytes
    };
    let mut zeros = whole.to_vec();
    zeros.fill(0);
    let mut garbage = vec![0; 1000];
    Dice::new(1).fill(&mut garbage);
    let size = whole.len();
    let mut all = vec![garbage, [whole, b"and more"].concat()];
    if size > 0 {
        all.extend([
            vec![],
            whole[..1].to_vec(),
            whole[..size / 2].to_vec(),
            whole[..size - 1].to_vec(),
            zeros,
        ]);
        all.extend([0, size / 3, size / 2, size - 1].map(flipped));
    }
    all
}

/// Writes a file as it was, with the mode it had: the node may have put a damaged one aside.
fn restore(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("root may");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("just written");
}

/// Damages each state file in turn: the node either says which file is bad, or comes up as who it was.
fn survives_damage(node: &Machine, id: &str) {
    for path in files(&node.state_dir()) {
        let whole = fs::read(&path).expect("listed just now");
        let name = path.file_name().and_then(|name| name.to_str()).expect("plain names");
        for (kind, bad) in damaged(&whole).into_iter().enumerate() {
            let all: Vec<_> = files(&node.state_dir())
                .into_iter()
                .map(|p| (fs::read(&p).expect("listed just now"), p))
                .collect();
            fs::write(&path, &bad).expect("root may");
            let run = node.launch(&[], &["up"], None);
            let up =
                run.wait_stdout(DEADLINE, |text| text.contains("\"addresses\"").then(|| text.to_owned()));
            match up {
                Some(text) => {
                    assert!(text.contains(id), "{name}, damage {kind}: it came up as another: {text}")
                }
                None => drop(refused(run.done(DEADLINE), &[name])),
            }
            all.into_iter().for_each(|(bytes, path)| restore(&path, &bytes));
        }
    }
}

#[test]
fn damaged_state_of_a_founder_is_named_and_identity_never_lost() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let founder = a.up();
    let joiner = b.join(&a.invite(&[]));
    let _open = a.invite(&[]);
    a.must_ping(joiner.v4.into());
    a.stop();
    survives_damage(&a, &founder.id);
    assert_eq!(a.up().id, founder.id);
    a.must_ping(joiner.v4.into());
}

#[test]
fn damaged_state_of_a_member_is_named_and_identity_never_lost() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let founder = a.up();
    let joiner = b.join(&a.invite(&[]));
    b.must_ping(founder.v4.into());
    b.kill();
    survives_damage(&b, &joiner.id);
    assert_eq!(b.up().id, joiner.id);
    b.must_ping(founder.v4.into());
}

#[test]
fn a_configuration_that_is_wrong_is_named() {
    let lab = Lab::new();
    let a = lab.machine("a");
    for (toml, word) in [
        ("nonsense = 1\n", "nonsense"),
        ("[session]\nrekey_after_hours = 1\n", "rekey_after_hours"),
        ("[session]\nrekey_after_s = \"soon\"\n", "rekey_after_s"),
        ("[session]\nrekey_after_s = -1\n", "rekey_after_s"),
        ("[listen]\nport = 70000\n", "port"),
        ("[session\n", "hopmesh.toml"),
    ] {
        a.configure(toml);
        a.refused(&["up"], &[word, "hopmesh.toml"]);
    }
    a.configure("");
    fs::remove_file(a.folder().join("hopmesh.toml")).unwrap();
    a.refused(&["up"], &["hopmesh.toml"]);
}

#[test]
fn only_one_daemon_runs() {
    let lab = Lab::new();
    let a = lab.machine("a");
    let up = a.up();
    a.refused(&["up"], &["already|running"]);
    a.refused(&["join", &a.invite(&[])], &["already|running"]);
    assert_eq!(a.status()["node"]["id"], up.id);
}

#[test]
fn without_a_daemon_commands_say_so() {
    let lab = Lab::new();
    let a = lab.machine("a");
    let commands: [&[&str]; 7] = [
        &["status"],
        &["peers"],
        &["invite"],
        &["down"],
        &["ping", "b"],
        &["assign", "b", "10.0.0.1"],
        &["revoke", "b"],
    ];
    let all_say_so = || {
        for command in commands {
            a.refused(command, &["run", "hopmesh up|hopmesh --network|`up`| up"]);
        }
    };
    all_say_so();
    a.up();
    a.kill();
    // Now the socket of the dead one is there.
    all_say_so();
}

#[test]
fn other_users_have_no_say() {
    let lab = Lab::new();
    let a = lab.machine("a");
    let up = a.up();
    let commands: [&[&str]; 4] = [&["status"], &["invite"], &["down"], &["leave", "--force"]];
    for command in commands {
        refused(nobody_runs(&a, &a.state_dir(), command), &["permission|root|group|user"]);
    }
    // Also where somebody has opened the doors of the file system.
    let open = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(a.state_dir(), 0o755);
    open(a.state_dir().join("control.sock"), 0o666);
    for command in commands {
        refused(nobody_runs(&a, &a.state_dir(), command), &["permission|root|group|user"]);
    }
    assert_eq!(a.status()["node"]["id"], up.id);
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let lab = Lab::new();
    let a = lab.machine("a");
    let misuses: [&[&str]; 5] = [&[], &["fly"], &["join"], &["assign", "b"], &["status", "--loud"]];
    for misuse in misuses {
        assert_eq!(a.hopmesh(misuse).code, Some(2), "{misuse:?}");
    }
    let help = a.hopmesh(&["--help"]);
    assert_eq!(help.code, Some(0));
    for command in "up invite join down leave status peers ping assign revoke version completions".split(' ')
    {
        assert!(help.stdout.contains(command), "no {command} in {}", help.stdout);
        let said = a.hopmesh(&[command, "--help"]).ok();
        assert!(said.to_lowercase().contains("example"), "`{command} --help` has no example:\n{said}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(a.hopmesh(&["completions", shell]).ok().contains("hopmesh"));
    }
    // `ping` to nobody, and to a node that is away, end by themselves.
    a.up();
    a.refused(&["ping", "nobody"], &["nobody|no node"]);
    let b = lab.machine("b");
    b.join(&a.invite(&[]));
    b.kill();
    let start = std::time::Instant::now();
    let gone = a.hopmesh(&["ping", "b", "-c", "1"]);
    assert_eq!(gone.code, Some(1), "{gone:?}");
    assert!(start.elapsed() < Duration::from_secs(15));
}
