//! The plain forwarder beside which a hop is measured (`netns-tests/bench hop`): `forwarder PORT ADDRESS` passes on whatever comes
//! from ADDRESS to whoever else sent last, and everything else to ADDRESS. The sockets, the batches and the loop are the daemon's;
//! what a hop does besides is missing.

use std::error::Error;
use std::net::SocketAddr;

use hopmesh::io::poll::{Poll, Wake};
use hopmesh::io::udp::{Family, ReceiveBuffers, SocketId, Udp};

/// Batches taken before the loop sleeps again, as the daemon's worker does.
const BATCHES_MAX: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(port), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("Usage: forwarder PORT ADDRESS".into());
    };
    let (udp, founder) = (Udp::bind(port.parse()?)?, address.parse()?);
    let (wake, mut buffers) = (Wake::new()?, ReceiveBuffers::new());
    let mut poll = Poll::new(None, &udp, &wake)?;
    println!("forwards to {founder}");
    let mut other = None;
    loop {
        if poll.wait(None)?.udp_v4 {
            drain(&udp, founder, &mut other, &mut buffers);
        }
    }
}

fn drain(udp: &Udp, founder: SocketAddr, other: &mut Option<SocketAddr>, buffers: &mut ReceiveBuffers) {
    for _ in 0..BATCHES_MAX {
        // An error is the echo of something that was sent before.
        let trains = udp.receive_batch(SocketId::MAIN, Family::V4, buffers).unwrap_or(0);
        if trains == 0 {
            return;
        }
        for position in 0..trains {
            let train = buffers.train(position);
            let to = if train.remote == founder { *other } else { Some(founder) };
            if train.remote != founder {
                *other = Some(train.remote);
            }
            if let Some(to) = to {
                let bytes = &buffers.bytes()[train.range.clone()];
                // What a full network does not take is lost, as at a hop.
                let _lost = udp.send_segments(SocketId::MAIN, to, bytes, train.stride);
            }
        }
    }
}
