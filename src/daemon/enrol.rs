//! Enrolment from the joiner's side: the pure `Joiner` on real sockets, before there is a Node.

use std::time::Duration;

use anyhow::{Result, bail};
use overlay::state::{Contact, Network};
use overlay::{Identity, JoinOutput, Joiner};
use wire::{Invite, Name};

use super::progress::{Progress, Steps};
use crate::io::poll::{Poll, Wake};
use crate::io::udp::{Family, ReceiveBuffers, TEST, Udp};
use crate::io::{clock, entropy};

/// Shortest sleep, so that a deadline that has just passed is not asked about again and again.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// Becomes a member by an invite; whom to reach first, the issuer before all. Blocks until the issuer has answered, or has not for 20 s, and tells the steps on
/// the way.
pub(super) fn enrol(
    udp: &Udp,
    invite: Invite,
    identity: Identity,
    name: (Name, bool),
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<(Network, Vec<Contact>)> {
    if invite.addresses.is_empty() {
        bail!(
            "the invite names no address of the machine that made it: make another there, while it is on a network"
        );
    }
    let wake = Wake::new()?;
    let mut poll = Poll::new(None, udp, &wake)?;
    let mut buffers = ReceiveBuffers::new();
    let mut steps = Steps::new(on_progress, clock::now());
    let mut joiner = Joiner::new(invite, identity, name, entropy::seed(), clock::now());
    loop {
        match joiner.poll_output(clock::now()) {
            JoinOutput::Transmit { remote, bytes } => {
                if let Some(address) = remote.address() {
                    steps.asking(address);
                }
                // An address that cannot be reached from here is one of several.
                if let Some(address) = remote.address()
                    && let Err(error) = udp.send(address, &bytes)
                {
                    tracing::debug!(%remote, %error, "an address of the invite cannot be reached");
                }
            }
            JoinOutput::Done(network, contacts) => return Ok((*network, contacts)),
            JoinOutput::Failed(error) => return Err(error.into()),
            JoinOutput::Wait(until) => {
                let timeout = until.saturating_duration_since(clock::now()).max(SLEEP_MIN);
                let _ready = poll.wait(Some(timeout))?;
                for family in [Family::V4, Family::V6] {
                    let take = |from: std::net::SocketAddr, datagram: &mut [u8]| {
                        joiner.handle_datagram(datagram, from.into(), clock::now());
                    };
                    // ICMP errors of earlier datagrams come as errors of the socket: the next read goes on.
                    let _received = udp.receive(family, &mut buffers, take);
                    // Nothing for a joiner comes there; what lay there would end every sleep.
                    let _stray = udp.receive_on(TEST, family, &mut buffers, |_, _| {});
                }
                match joiner.answered_by().and_then(|remote| remote.address()) {
                    Some(address) => steps.answered(address),
                    None => steps.waiting(clock::now()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
