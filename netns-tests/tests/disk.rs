//! Disks that take nothing: what must be kept is refused with a word on what to do, packets go on, and nothing is lost.

use std::fs;

use netns_tests::{DEADLINE, Done, Lab, Machine, OwnDisk, Up, refused, stop_ping, wait_until};
use serde_json::{Value, json};

/// `hopmesh` where the disk is.
fn hopmesh(machine: &Machine, disk: &OwnDisk, args: &[&str]) -> Done {
    machine.launch(&disk.wrap().each_ref().map(String::as_str), args, None).done(DEADLINE)
}

fn said(machine: &Machine, disk: &OwnDisk, args: &[&str]) -> Value {
    serde_json::from_str(&hopmesh(machine, disk, args).ok()).expect("`--json` prints JSON")
}

fn starts(machine: &Machine, disk: &OwnDisk, args: &[&str]) -> Up {
    let args = [args, &["--node-name", machine.name()]].concat();
    machine.adopt(machine.launch(&disk.wrap().each_ref().map(String::as_str), &args, None))
}

/// Every file of the state, as hashes.
fn files(machine: &Machine, disk: &OwnDisk) -> String {
    let line = format!("cd {} && sha256sum *.state", machine.state_dir().display());
    disk.run(machine, &["sh", "-c", &line]).ok()
}

fn invite(machine: &Machine, disk: &OwnDisk) -> String {
    said(machine, disk, &["invite"])["invite"].as_str().expect("text").to_owned()
}

/// A way in which nothing can be written, and what is said about it.
struct Fault {
    make: fn(&OwnDisk, &Machine),
    mend: fn(&OwnDisk, &Machine),
    /// Words for the cause and for the cure.
    words: [&'static str; 2],
}

const FULL: Fault =
    Fault { make: OwnDisk::fill, mend: OwnDisk::make_room, words: ["no space is left", "free some"] };
const LOCKED: Fault =
    Fault { make: OwnDisk::lock, mend: OwnDisk::unlock, words: ["read-only", "remount,rw"] };

/// A founder whose disk fails while it runs and at its next start, and what it does all the same.
fn carries_on(fault: &Fault) {
    let lab = Lab::new();
    let (a, b, c) = (lab.machine("a"), lab.machine("b"), lab.machine("c"));
    let disk = OwnDisk::new(&a);
    let up = starts(&a, &disk, &["up"]);
    let joined = b.join(&invite(&a, &disk));
    a.must_ping(joined.v4.into());
    let earlier = invite(&a, &disk);
    let running = a.ping_on(joined.v4.into(), 20);
    let before = files(&a, &disk);
    (fault.make)(&disk, &a);

    for args in [&["invite"][..], &["publish", "web", "--port", "80"], &["delegate", "b", "mail"]] {
        refused(hopmesh(&a, &disk, args), &fault.words);
    }
    // The machine that made the invite cannot note that it is used.
    c.refused(&["join", &earlier, "--node-name", "c"], &["cannot enrol anyone now", "hopmesh status"]);
    let problems = said(&a, &disk, &["status"])["problems"].to_string().to_lowercase();
    assert!(
        problems.contains("state cannot be written")
            && fault.words.iter().all(|word| problems.contains(word)),
        "{problems}"
    );
    assert_eq!(files(&a, &disk), before, "what is there is as it was");
    (fault.mend)(&disk, &a);
    wait_until("all is written", DEADLINE, || {
        (said(&a, &disk, &["status"])["problems"] == json!([])).then_some(())
    });
    let ping = stop_ping(running);
    assert!(ping.sent > 100 && ping.lost().is_empty(), "{:?} of {}", ping.lost(), ping.sent);
    let third = c.join(&earlier);
    a.must_ping(third.v4.into());

    a.stop();
    (fault.make)(&disk, &a);
    let before = files(&a, &disk);
    refused(hopmesh(&a, &disk, &["up"]), &fault.words);
    assert_eq!(files(&a, &disk), before, "what is there is as it was");
    (fault.mend)(&disk, &a);
    let again = starts(&a, &disk, &["up"]);
    assert_eq!((&again.id, again.addresses()), (&up.id, up.addresses()));
    a.await_ping(joined.v4.into(), DEADLINE);
    let publications = said(&a, &disk, &["services"]).to_string();
    assert!(
        publications.contains("web"),
        "it was done, and was written as soon as that was possible: {publications}"
    );
}

#[test]
fn a_full_disk_costs_nothing_but_what_would_have_to_be_kept() {
    carries_on(&FULL);
}

#[test]
fn a_disk_that_became_read_only_costs_no_more() {
    carries_on(&LOCKED);
}

#[test]
fn a_join_without_space_uses_nothing_up() {
    let lab = Lab::new();
    let (a, b) = (lab.machine("a"), lab.machine("b"));
    let disk = OwnDisk::new(&b);
    a.up();
    let invite = a.invite(&[]);
    disk.fill(&b);
    refused(hopmesh(&b, &disk, &["join", &invite]), &FULL.words);
    disk.make_room(&b);
    let joined = starts(&b, &disk, &["join", &invite]);
    a.must_ping(joined.v4.into());
}

#[test]
fn files_of_a_later_version_are_refused_and_left_alone() {
    let lab = Lab::new();
    let a = lab.machine("a");
    let up = a.up();
    a.stop();
    for name in ["identity.state", "leases.state", "listen.state"] {
        let path = a.state_dir().join(name);
        let Ok(whole) = fs::read(&path) else { continue };
        let mut later = whole.clone();
        // The version is the last byte of the first eight.
        later[7] = b'2';
        fs::write(&path, &later).expect("root may");
        let entries = || fs::read_dir(a.state_dir()).expect("it is there").count();
        let before = entries();
        a.refused(&["up"], &[name, "later version of hopmesh"]);
        assert_eq!((fs::read(&path).expect("it is there"), entries()), (later, before));
        fs::write(&path, whole).expect("root may");
    }
    assert_eq!(a.up().id, up.id);
}
