//! Two Debian machines that boot, install the package, and forget it: systemd, polkit and systemd-resolved are the real ones.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use netns_tests::{Booted, DEADLINE, Dice, Lab, debian, hopmesh, wait_until};

/// What a node may take to be back with its sessions, from the moment that the unit is started on a busy machine.
const BACK: Duration = Duration::from_secs(5);
/// How often a node is killed at a random moment of its life, unless `HOPMESH_KILLS` says otherwise: a kill takes two seconds.
const KILLS: usize = 8;
/// Longest pause before the next kill, in milliseconds: the unit waits one second before it starts a node again, so this one waits, starts or
/// is up.
const LIFE_MAX_MS: usize = 1600;
/// Everything that the package, or a node, could leave on a host: each line of shell prints one kind.
const HOST: [&str; 9] = [
    "ip -brief address",
    "ip route show table all; ip -6 route show table all; ip rule",
    "nft list ruleset",
    "cat /proc/sys/net/ipv4/ip_forward",
    "ls -l /etc/resolv.conf; cat /etc/resolv.conf; resolvectl domain; resolvectl dns",
    "cat /etc/passwd /etc/group",
    "find /etc /usr /var/lib /run -name '*hopmesh*' | sort",
    "ls /etc/systemd/system /etc/systemd/system/*.wants; systemctl list-units --all --plain --no-legend 'hopmesh*'",
    "ss --no-header --tcp --udp --listening --numeric | sort",
];

/// What the host is like, one text for each of [`HOST`].
fn snapshot(machine: &Booted) -> Vec<String> {
    HOST.iter().map(|line| machine.shell(line)).collect()
}

/// The package of the binary under test, and the same under a later version.
fn packages(folder: &Path) -> [PathBuf; 2] {
    let [first, later] = ["first.deb", "later.deb"].map(|name| folder.join(name));
    let built = build(&hopmesh());
    std::fs::copy(&built, &first).unwrap_or_else(|error| panic!("{}: {error}", built.display()));
    let script = r#"dpkg-deb --raw-extract "$1" "$3/tree" && sed -i 's/^Version: .*/&+later/' "$3/tree/DEBIAN/control" \
        && dpkg-deb --root-owner-group -Zgzip -z1 --build "$3/tree" "$2" && rm -r "$3/tree""#;
    let mut rename = Command::new("sh");
    let renamed = rename.args(["-c", script, "sh"]).args([&first, &later]).arg(folder).output();
    assert!(renamed.is_ok_and(|output| output.status.success()), "dpkg-deb changes a version");
    [first, later]
}

/// Builds the package; the path is the last line that is printed.
fn build(binary: &Path) -> PathBuf {
    let mut build = Command::new(std::env::var_os("CARGO").expect("cargo runs the tests"));
    build.args(["run", "--quiet", "--package", "xtask", "--", "deb", "--binary"]).arg(binary);
    let built = build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).output();
    let built = built.expect("cargo was there a moment ago");
    let said = String::from_utf8_lossy(&built.stdout).into_owned();
    assert!(built.status.success(), "{said}{}", String::from_utf8_lossy(&built.stderr));
    PathBuf::from(said.lines().last().expect("`xtask deb` prints the path"))
}

/// Installs a package, older than the one that is there or not.
fn install(machine: &Booted, package: &str) {
    machine
        .shell(&format!("apt-get install --yes --no-install-recommends --allow-downgrades /root/{package}"));
}

/// Waits until `machine` gets the page of the service by its name, asked of the host's own resolver; says how long that took.
fn reaches(machine: &Booted, after: &str, patience: Duration) -> Duration {
    let begun = Instant::now();
    let page = ["curl", "--silent", "--max-time", "1", "http://web.home.internal:8080/page"];
    wait_until(&format!("web is reached by name after {after}"), patience, || {
        (machine.run(&page).stdout == "here").then_some(())
    });
    begun.elapsed()
}

fn id(machine: &Booted) -> String {
    let status: serde_json::Value =
        serde_json::from_str(&machine.shell("hopmesh status --json")).expect("status is JSON");
    status["node"]["id"].as_str().map(str::to_owned).expect("a node has an id")
}

#[test]
fn two_machines_install_it_and_forget_it() {
    let debian = match debian() {
        Ok(tree) => tree,
        // Printed past the harness, which keeps quiet about what succeeds.
        Err(why) => return eprintln!("\nNOT RUN, machines that boot: {why}"),
    };
    let lab = Lab::new();
    let (net_a, net_b) = (lab.machine("ada"), lab.machine("bob"));
    let files = packages(net_a.folder());
    let mut machines = [&net_a, &net_b].map(|machine| Booted::start(machine, &debian));
    let before = machines.each_ref().map(snapshot);
    for machine in &machines {
        machine.put(&files[0], "root/first.deb");
        machine.put(&files[1], "root/later.deb");
        install(machine, "first.deb");
    }
    let [ada, bob] = &mut machines;
    installing_starts_nothing(ada, &before[0]);

    let _ = ada.shell("hopmesh up --node-name ada");
    let invite: serde_json::Value =
        serde_json::from_str(&ada.shell("hopmesh invite --json")).expect("an invite is JSON");
    let invite = invite["invite"].as_str().expect("an invite is text").to_owned();
    let _ = bob.run(&["hopmesh", "join", &invite, "--node-name", "bob"]).ok();
    std::fs::write(net_b.folder().join("page"), "here").expect("the lab's folder is ours");
    let folder = net_b.folder().to_str().expect("a lab's folder is plain text").to_owned();
    let server = net_b.start(&["python3", "-m", "http.server", "8080", "--directory", &folder]);
    let _ = bob.shell("hopmesh publish web --port 8080");
    reaches(ada, "publishing", DEADLINE);
    others_may_do_nothing(ada);
    it_comes_back(ada, bob);
    it_survives_being_killed(ada, bob);
    drop(server);
    a_router_is_one_again_after_a_crash(ada);
    a_guard_stays_until_people_or_the_package_open_it(ada, bob);

    for machine in &machines {
        let _ = machine.shell("apt-get purge --yes hopmesh");
    }
    for (machine, before) in machines.iter().zip(&before) {
        let after = snapshot(machine);
        for ((line, before), after) in HOST.iter().zip(before).zip(&after) {
            let left: Vec<&str> = after.lines().filter(|line| !before.lines().any(|l| l == *line)).collect();
            let lost: Vec<&str> = before.lines().filter(|line| !after.lines().any(|l| l == *line)).collect();
            assert!(lost.is_empty(), "`{line}` has lost {lost:?}");
            // The user and the group, so that nobody else gets their number (docs/service.md).
            assert!(left.iter().all(|line| line.starts_with("hopmesh:x:")), "`{line}` has kept {left:?}");
        }
    }
}

/// As a service, too, a node may switch forwarding on. That the package takes it back is told by the host's snapshot.
fn a_router_is_one_again_after_a_crash(machine: &Booted) {
    // systemd-nspawn lets nobody change what belongs to a network that it was given.
    let _ = machine.shell("mount -o remount,bind,rw /proc/sys");
    let forwards = || {
        let told = machine.shell("cat /proc/sys/net/ipv4/ip_forward; nft list tables; hopmesh status --json");
        (told.starts_with("1\n") && told.contains("inet hopmesh-home")).then_some(())
    };
    let _ = machine.shell("systemctl restart hopmesh@home");
    let _ = machine.shell("hopmesh route advertise 192.168.9.0/24");
    let _ = machine.shell("hopmesh route approve ada 192.168.9.0/24");
    wait_until("the service forwards", DEADLINE, forwards);
    let _ = machine.shell("systemctl kill --signal=KILL hopmesh@home");
    wait_until("the node is back", BACK, || {
        (machine.run(&["hopmesh", "status", "--json"]).code == Some(0)).then_some(())
    });
    wait_until("the service forwards again", DEADLINE, forwards);
}

/// By the service's own user it is closed, by root it is opened while there is no service; and it is closed when the package goes.
fn a_guard_stays_until_people_or_the_package_open_it(ada: &Booted, bob: &mut Booted) {
    let use_exit = |bob: &Booted| bob.shell("hopmesh exit use ada");
    let is_closed = |bob: &Booted| bob.shell("nft list tables").contains("inet hopmesh-home-exit");
    let runs = |bob: &Booted| {
        wait_until("the node is back", DEADLINE, || {
            (bob.run(&["hopmesh", "status", "--json"]).code == Some(0)).then_some(())
        });
    };
    let _ = ada.shell("hopmesh exit offer");
    wait_until("the offer is known", DEADLINE, || {
        bob.run(&["hopmesh", "exit", "list"]).stdout.contains("ada").then_some(())
    });
    let _ = use_exit(bob);
    assert!(
        is_closed(bob) && bob.shell("resolvectl domain hm-home").contains(" ~.\n"),
        "all names by the exit"
    );
    let _ = bob.shell("systemctl stop hopmesh@home");
    assert!(is_closed(bob), "the service is stopped");
    let _ = bob.shell("hopmesh exit use none");
    assert!(!is_closed(bob));
    let _ = bob.shell("systemctl start hopmesh@home");
    runs(bob);
    let _ = use_exit(bob);
    assert!(is_closed(bob));
    it_is_closed_before_there_is_a_network(bob);
    runs(bob);
    assert!(is_closed(bob));
}

/// A unit that writes down which rules there are when the network begins.
const WITNESS: &str = "[Unit]\nDefaultDependencies=no\nAfter=network-pre.target\nBefore=network.target\n\
    [Service]\nType=oneshot\nExecStart=/usr/sbin/nft list ruleset\nStandardOutput=file:/run/witness\n\
    [Install]\nWantedBy=sysinit.target\n";

/// The lab, in which the rules lie, is not booted with the machine: they are thrown away first.
fn it_is_closed_before_there_is_a_network(bob: &mut Booted) {
    let _ = bob.shell(&format!("printf '{WITNESS}' > /etc/systemd/system/witness.service"));
    let _ = bob.shell("systemctl enable --quiet witness && systemctl stop hopmesh@home && nft flush ruleset");
    bob.reboot();
    let seen = bob.shell("cat /run/witness");
    assert!(seen.contains("chain output") && seen.contains("drop"), "before the network: {seen}");
    assert!(!seen.contains("hm-home\""), "that was before the node: {seen}");
    let _ = bob.shell("systemctl disable --quiet witness && rm /etc/systemd/system/witness.service");
}

/// After the installation there is a user, files of the package, and nothing else.
fn installing_starts_nothing(machine: &Booted, before: &[String]) {
    let after = snapshot(machine);
    for ((line, before), after) in HOST.iter().zip(before).zip(&after) {
        if !line.contains("passwd") && !line.starts_with("find") {
            assert_eq!(before, after, "`{line}` has changed by installing");
        }
    }
}

/// Who is neither root nor in the group gets no word out of the daemon.
fn others_may_do_nothing(machine: &Booted) {
    for command in ["status --json", "down --json", "invite --json", "peers --json"] {
        let refused =
            machine.run(&["runuser", "-u", "nobody", "--", "sh", "-c", &format!("hopmesh {command}")]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("join the group hopmesh"), "{refused:?}");
    }
    assert_eq!(machine.shell("systemctl is-active hopmesh@home").trim(), "active");
    let _ = machine.shell("useradd --system --gid hopmesh eve");
    assert!(machine.run(&["runuser", "-u", "eve", "--", "hopmesh", "status"]).code == Some(0));
    let _ = machine.shell("userdel eve");
}

/// Whatever happens to the node that publishes, the other one reaches it again by its name.
fn it_comes_back(ada: &Booted, bob: &mut Booted) {
    let before = id(bob);
    for (event, line) in [
        ("a restart", "systemctl restart hopmesh@home"),
        ("kill -9", "kill -KILL $(systemctl show --property=MainPID --value hopmesh@home)"),
        ("an upgrade", "apt-get install --yes /root/later.deb"),
        ("a downgrade", "apt-get install --yes --allow-downgrades /root/first.deb"),
    ] {
        let _ = bob.shell(line);
        // Names of the host's own resolver work whatever happens to the node.
        assert!(bob.run(&["getent", "hosts", "localhost"]).code == Some(0), "after {event}");
        println!("reached again {:.2?} after {event}", reaches(ada, event, BACK));
        assert_eq!(id(bob), before, "the same node after {event}");
    }
    bob.reboot();
    reaches(ada, "a boot", DEADLINE);
}

/// Killed at any moment, starting or up, the node is back soon, as who it was, and names of the host's own never break.
fn it_survives_being_killed(ada: &Booted, bob: &Booted) {
    let kills = std::env::var("HOPMESH_KILLS").ok().map_or(KILLS, |kills| kills.parse().expect("a number"));
    let (before, mut dice, mut slowest) = (id(bob), Dice::new(7), Duration::ZERO);
    for kill in 1..=kills {
        std::thread::sleep(Duration::from_millis(dice.below(LIFE_MAX_MS) as u64));
        // A unit that waits for its next start has nobody to kill.
        let _nobody = bob.run(&["systemctl", "kill", "--signal=KILL", "hopmesh@home"]);
        assert_eq!(bob.run(&["getent", "hosts", "localhost"]).code, Some(0), "kill {kill}");
        let killed = Instant::now();
        wait_until(&format!("the node is back after kill {kill}"), BACK, || {
            (bob.run(&["hopmesh", "status", "--json"]).code == Some(0)).then_some(())
        });
        slowest = slowest.max(killed.elapsed());
    }
    assert_eq!(id(bob), before, "the same node");
    reaches(ada, "so many kills", BACK);
    println!("{kills} kills, back after {slowest:.1?} at most");
}
