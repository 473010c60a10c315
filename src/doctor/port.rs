//! Who holds our UDP port?

use super::{Outcome, Reached, Surroundings};
use crate::io::inspect;

/// What is known of the port.
#[derive(Debug)]
struct Facts {
    port: u16,
    /// Sockets that are bound to it.
    sockets: usize,
    /// Processes that have them, as far as they are seen.
    holders: Vec<(u32, String)>,
    /// The daemon's process; `None`: it is down.
    daemon: Option<u32>,
}

pub(super) fn check(around: &Surroundings) -> Outcome {
    match port(around) {
        Ok(port) => match inspect::udp_sockets(port) {
            Ok(sockets) => judge(&Facts {
                port,
                sockets: sockets.len(),
                holders: if sockets.is_empty() { vec![] } else { inspect::holders(&sockets) },
                daemon: around.daemon.map(|(pid, _)| pid),
            }),
            Err(error) => Outcome::skipped(format!("the kernel shows no UDP sockets: {error}")),
        },
        Err(outcome) => outcome,
    }
}

/// The port that is listened to, or that the configuration wants.
fn port(around: &Surroundings) -> Result<u16, Outcome> {
    if let Reached::Up(answers) = &around.reached
        && let Some(port) = listened(&answers.status)
    {
        return Ok(port);
    }
    match &around.settings {
        Ok(settings) if settings.listen.port != 0 => Ok(settings.listen.port),
        Ok(_) => {
            Err(Outcome::skipped("the daemon does not say its port, and the configuration leaves it open"))
        }
        Err(why) => {
            Err(Outcome::failed(why.as_str(), "mend the configuration: `config/example.toml` has every key"))
        }
    }
}

/// The UDP port in what the daemon says of itself.
pub(super) fn listened(status: &api::StatusReply) -> Option<u16> {
    status.listen.first()?.rsplit_once(':')?.1.parse().ok()
}

fn judge(facts: &Facts) -> Outcome {
    let Facts { port, sockets, holders, daemon } = facts;
    let others: Vec<String> = holders
        .iter()
        .filter(|(pid, _)| Some(*pid) != *daemon)
        .map(|(pid, name)| format!("{name} (process {pid})"))
        .collect();
    match (daemon, *sockets, others.is_empty()) {
        (Some(_), 0, _) => Outcome::failed(
            format!("nobody listens to UDP port {port}, although the daemon says that it does"),
            "ask in the daemon's own network namespace, or restart the daemon",
        ),
        (Some(_), _, true) => Outcome::ok(format!("the daemon has UDP port {port}")),
        (Some(_), _, false) => Outcome::warning(
            format!("UDP port {port} is also held by {}", others.join(", ")),
            "end that program, or give the daemon another port (`[listen] port` in the configuration)",
        ),
        (None, 0, _) => Outcome::ok(format!("UDP port {port} is free")),
        (None, _, _) => {
            let by = if others.is_empty() { "another user's program".to_owned() } else { others.join(", ") };
            Outcome::failed(
                format!("UDP port {port} is held by {by}, so the daemon cannot have it"),
                format!("end that program (`ss -lnup sport = :{port}`), or set another `[listen] port`"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_port_is_named() {
        let facts = |sockets, holders: &[(u32, &str)], daemon| Facts {
            port: 41641,
            sockets,
            holders: holders.iter().map(|&(pid, name)| (pid, name.to_owned())).collect(),
            daemon,
        };
        assert_eq!(judge(&facts(2, &[(7, "hopmesh")], Some(7))).word(), "ok");
        assert_eq!(judge(&facts(2, &[], Some(7))).word(), "ok", "a user who sees no processes");
        let shared = judge(&facts(3, &[(7, "hopmesh"), (8, "nc")], Some(7)));
        assert_eq!((shared.word(), shared.reason().contains("nc (process 8)")), ("warning", true));
        assert_eq!(judge(&facts(0, &[], Some(7))).word(), "failed");
        assert_eq!(judge(&facts(0, &[], None)).word(), "ok");
        let taken = judge(&facts(1, &[(8, "nc")], None));
        assert!(taken.word() == "failed" && taken.reason().contains("nc (process 8)"), "{taken:?}");
        assert!(judge(&facts(1, &[], None)).reason().contains("another user"));
    }

    #[test]
    fn the_port_is_read_from_what_the_daemon_says() {
        let status = |listen: &str| api::StatusReply { listen: vec![listen.to_owned()], ..<_>::default() };
        assert_eq!(listened(&status("[::]:41641")), Some(41641));
        assert_eq!(listened(&status("nowhere")), None);
    }
}
