//! What is lost when a path changes from a hop to the direct one, and when the direct one dies without a word.

use netns_tests::{Internet, Machine, NatKind, PathKind, Ping, Router, await_path, stop_ping};

use super::{PATIENCE, home, p50_p95};

/// A ping every so many milliseconds.
const PING_MS: u32 = 5;
/// Pings that are answered before and after a change.
const AROUND: usize = 200;

/// Two machines, their routers, and the way between these.
struct Pair {
    internet: Internet,
    routers: [Router; 2],
    machines: [Machine; 2],
    target: std::net::IpAddr,
    _anchors: [Machine; 3],
}

/// Prints the table.
pub(crate) fn measure(runs: usize) {
    println!(
        "\n| change of path, a ping every {PING_MS} ms | runs | pings | lost | most in one run | stands still p50, ms | p95, ms |"
    );
    println!("|---|---|---|---|---|---|---|");
    for kinds in [[NatKind::Open; 2], [NatKind::PortRestricted; 2]] {
        let pair = pair(kinds);
        let (mut to_direct, mut to_hop) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            to_direct.push(pair.change(false));
            to_hop.push(pair.change(true));
        }
        let [one, other] = kinds.map(NatKind::name);
        row(&format!("hop → direct, {one} × {other}"), &to_direct);
        row(&format!("direct dies silently → hop, {one} × {other}"), &to_hop);
    }
}

/// Its path leads over a hop at first.
fn pair(kinds: [NatKind; 2]) -> Pair {
    let internet = Internet::new();
    let anchors = internet.anchors(["anchor1", "anchor2", "anchor3"]);
    let routers = kinds.map(|kind| home(&internet, kind));
    let machines = [routers[0].machine("a"), routers[1].machine("b")];
    cut(&internet, &routers, &machines);
    let ups = machines.each_ref().map(|machine| machine.join(&anchors[0].invite(&[])));
    let target = ups[1].v4.into();
    machines[0].await_ping(target, PATIENCE);
    Pair { internet, routers, machines, target, _anchors: anchors }
}

fn cut(internet: &Internet, [one, other]: &[Router; 2], [a, b]: &[Machine; 2]) {
    internet.cut(one, other);
    if !one.kind().translates() {
        internet.cut(a, b);
    }
}

impl Pair {
    /// Cuts or mends the direct way while pings go.
    fn change(&self, is_cut: bool) -> Ping {
        let [a, b] = &self.machines;
        let fits = |path: &PathKind, direct: bool| if direct { path.is_direct() } else { path.is_via() };
        for (from, to) in [(a, "b"), (b, "a")] {
            await_path(from, to, PATIENCE, |path| fits(path, is_cut));
        }
        let running = a.ping_on(self.target, PING_MS);
        let more = || {
            let answers = |text: &str| text.matches("bytes from").count();
            let goal = answers(&running.stdout()) + AROUND;
            let found = running.wait_stdout(PATIENCE, |text| (answers(text) >= goal).then_some(()));
            assert!(found.is_some(), "no answers: {}", running.stdout());
        };
        more();
        if is_cut {
            cut(&self.internet, &self.routers, &self.machines);
        } else {
            self.internet.mend(&self.routers[0], &self.routers[1]);
            if !self.routers[0].kind().translates() {
                self.internet.mend(a, b);
            }
        }
        for (from, to) in [(a, "b"), (b, "a")] {
            await_path(from, to, PATIENCE, |path| fits(path, !is_cut));
        }
        more();
        stop_ping(running)
    }
}

fn row(name: &str, pings: &[Ping]) {
    let lost: Vec<usize> = pings.iter().map(|ping| ping.lost().len()).collect();
    let sent: u32 = pings.iter().map(|ping| ping.sent).sum();
    let gaps: Vec<f64> = pings.iter().map(|ping| ping.longest_gap_s() * 1000.0).collect();
    let (all, most) = (lost.iter().sum::<usize>(), lost.iter().max().expect("at least one run"));
    println!("| {name} | {} | {sent} | {all} | {most} | {} |", pings.len(), p50_p95(&gaps, 0));
}
