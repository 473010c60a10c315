//! UDP: a question in each datagram, answered from where it came to.

use std::io;

use tokio::net::UdpSocket;

use super::Server;
use crate::dns::limits::{QUESTION_LENGTH_MAX, SOCKET_AGAIN, UDP_ANSWER_LENGTH_MAX, UDP_BATCH};
use crate::dns::message::Transport;

/// Answers at one socket for ever. What has come is answered at once, without a task or a timer for any of it.
pub(super) async fn serve(server: &Server, socket: &UdpSocket) {
    let mut question = [0; QUESTION_LENGTH_MAX];
    let mut answer = Vec::with_capacity(usize::from(UDP_ANSWER_LENGTH_MAX));
    loop {
        let drained = match socket.readable().await {
            Ok(()) => drain(server, socket, &mut question, &mut answer),
            Err(error) => Err(error),
        };
        match drained {
            Ok(()) => tokio::task::yield_now().await,
            Err(_) => tokio::time::sleep(SOCKET_AGAIN).await,
        }
    }
}

/// Answers what waits at a socket, up to a batch.
fn drain(server: &Server, socket: &UdpSocket, question: &mut [u8], answer: &mut Vec<u8>) -> io::Result<()> {
    for _ in 0..UDP_BATCH {
        let (length, source) = match socket.try_recv_from(question) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            received => received?,
        };
        let is_answered = server.respond(source.ip(), Transport::Udp, &question[..length], answer);
        // Whoever gets no answer asks again; waiting for one would keep all others waiting.
        if is_answered && socket.try_send_to(answer, source).is_err() {
            server.shared.counters.unsent();
        }
    }
    Ok(())
}
