//! A service of three nginx under a client that never stops asking, while each of them in turn is restarted.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;

use netns_tests::{DEADLINE, Lab, Machine, OwnEtc, Process, Up, wait_until};
use rustix::process::Signal;

/// From a change of health to what the client sees: 15 s are promised, the rest is for a busy machine.
const DETECTED: Duration = Duration::from_secs(15 + 45);
/// Rounds of the client that have to go well while an instance is away.
const ROUNDS_AWAY: usize = 10;
/// A line for each round: what DNS says at `$0`, whether each address it names answers, and whether the bare name does.
/// No other address is tried when one of them fails, as curl would do with the name.
const CLIENT: &str = r#"
ask() { curl --silent --max-time 5 --output /dev/null "$@" http://web.home.internal/ && echo ok || echo failed; }
while sleep 0.1; do
    said=$(dig +noall +comments +answer +time=5 +tries=1 @"$0" web.home.internal A)
    line=$(echo "$said" | sed -n 's/.*status: \([A-Z]*\),.*/\1/p')
    for address in $(echo "$said" | sed -n 's/^web.*[[:space:]]A[[:space:]]*//p'); do
        line="$line $address=$(ask --resolve "web.home.internal:80:$address")"
    done
    echo "$line name=$(ask)"
done"#;

/// A round of the client.
#[derive(Debug)]
struct Round {
    status: String,
    /// By what DNS answered: did the request succeed?
    answers: BTreeMap<Ipv4Addr, bool>,
    by_name: bool,
}

impl Round {
    fn read(line: &str) -> Option<Self> {
        let (status, rest) = line.split_once(' ')?;
        let mut requests: Vec<(&str, bool)> = rest
            .split(' ')
            .filter_map(|one| one.split_once('='))
            .map(|(who, end)| (who, end == "ok"))
            .collect();
        let (_, by_name) = requests.pop()?;
        let answers = requests.into_iter().filter_map(|(who, end)| Some((who.parse().ok()?, end))).collect();
        Some(Self { status: status.to_owned(), answers, by_name })
    }
}

/// The rounds so far; a line that is not yet whole is none.
fn rounds(text: &str) -> Vec<Round> {
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.map(|line| Round::read(line).unwrap_or_else(|| panic!("no round of a client: {line:?}"))).collect()
}

/// Waits for a round after the first `after` ones that `fits`, and gives its number.
fn await_round(client: &Process, what: &str, after: usize, fits: impl Fn(&Round) -> bool) -> usize {
    let found = client.wait_stdout(DETECTED, |text| {
        rounds(text).iter().enumerate().skip(after).find(|(_, round)| fits(round)).map(|(number, _)| number)
    });
    found.unwrap_or_else(|| panic!("not seen by the client: {what}\n{}", client.stdout()))
}

/// nginx at port 80 of a node's mesh addresses; it listens when this returns, and is one process, which dies with the
/// test.
fn nginx(machine: &Machine, up: &Up) -> Process {
    let folder = machine.folder().to_str().expect("a lab's folder is plain text");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .concat();
    let (v4, v6, name) = (up.v4, up.v6, machine.name());
    let conf = format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log stderr notice;\nevents {{}}\n\
        http {{\naccess_log off;\n{temporary}\
        server {{ listen {v4}:80; listen [{v6}]:80; location / {{ return 200 \"{name}\\n\"; }} }}\n}}\n"
    );
    let path = format!("{folder}/nginx.conf");
    fs::write(&path, conf).expect("the folder is ours");
    let nginx = machine.start(&["nginx", "-p", folder, "-c", &path]);
    let listens = |text: &str| text.contains("event method").then_some(());
    assert!(nginx.wait_stderr(DEADLINE, listens).is_some(), "nginx does not start: {}", nginx.stderr());
    nginx
}

/// Three machines that publish `web`, each with its nginx; the first owns the name.
fn servers(lab: &Lab) -> Vec<(Machine, Up, Process)> {
    let mut servers: Vec<(Machine, Up, Process)> = Vec::new();
    for name in ["a", "b", "c"] {
        let machine = lab.machine(name);
        let up = match servers.first() {
            None => machine.up(),
            Some((first, ..)) => machine.join(&first.invite(&[])),
        };
        let server = nginx(&machine, &up);
        let publish = ["publish", "web", "--port", "80", "--health", "http:/", "--with", "any"];
        let own = if servers.is_empty() { &publish[..] } else { &publish[..6] };
        wait_until(&format!("{name} may publish web"), DEADLINE, || {
            (machine.hopmesh(own).code == Some(0)).then_some(())
        });
        servers.push((machine, up, server));
    }
    servers
}

#[test]
fn a_rolling_restart_is_not_noticed_once_it_is_detected() {
    let lab = Lab::new();
    let mut servers = servers(&lab);
    let machine = lab.machine("client");
    let etc = OwnEtc::new(&machine, "nameserver 192.0.2.53\n");
    let wrap = etc.wrap();
    let join = ["join", &servers[0].0.invite(&[]), "--node-name", "client"];
    let own = machine.adopt(machine.launch(&wrap, &join, None)).v4.to_string();

    // By name alone, as a person would: the host's resolver asks the daemon.
    let page = wait_until("the name alone leads to a server", DEADLINE, || {
        let done = machine.run(&[&wrap[..], &["curl", "--silent", "http://web.home.internal/"]].concat());
        (done.code == Some(0)).then_some(done.stdout)
    });
    assert!(["a\n", "b\n", "c\n"].contains(&page.as_str()), "{page:?}");

    wait_until("DNS at the client names all three", DEADLINE, || {
        let at = format!("@{own}");
        let done = machine.run(&["dig", "+short", "+time=5", "+tries=1", &at, "web.home.internal", "A"]);
        (done.stdout.lines().count() == servers.len()).then_some(())
    });
    let client = machine.start(&[&wrap[..], &["sh", "-c", CLIENT, &own]].concat());
    let mut begun = await_round(&client, "all three", 0, |round| round.answers.len() == 3);
    let mut undetected: Vec<(Ipv4Addr, Range<usize>)> = Vec::new();
    for (machine, up, server) in &mut servers {
        let stopped = rounds(&client.stdout()).len();
        server.signal(Signal::QUIT);
        let name = machine.name();
        let left = await_round(&client, &format!("{name} has left"), stopped, |round| {
            !round.answers.contains_key(&up.v4)
        });
        undetected.push((up.v4, stopped..left));
        await_round(&client, "more rounds", left + ROUNDS_AWAY, |_| true);
        let again = rounds(&client.stdout()).len();
        *server = nginx(machine, up);
        begun = await_round(&client, &format!("{name} is back"), again, |round| round.answers.len() == 3);
    }
    await_round(&client, "rounds after the last one", begun + ROUNDS_AWAY, |_| true);
    check(&rounds(&client.stdout()), &undetected);
}

/// A request may fail only at an instance that has been stopped, and only until it has left the answers.
fn check(rounds: &[Round], undetected: &[(Ipv4Addr, Range<usize>)]) {
    for (number, round) in rounds.iter().enumerate() {
        let said = || format!("round {number}: {round:?}, undetected {undetected:?}");
        assert!(round.status == "NOERROR" && !round.answers.is_empty(), "{}", said());
        let excused = undetected.iter().find(|(_, when)| when.contains(&number)).map(|(who, _)| *who);
        for (who, succeeded) in &round.answers {
            assert!(*succeeded || excused == Some(*who), "{}", said());
        }
        assert!(round.by_name || excused.is_some(), "{}", said());
    }
    for (who, when) in undetected {
        let failed = rounds[when.clone()].iter().any(|round| round.answers.get(who) == Some(&false));
        assert!(failed, "{who} was stopped, and the client did not notice: {undetected:?}");
    }
    eprintln!("{} rounds, stopped and not yet detected in {undetected:?}", rounds.len());
}
