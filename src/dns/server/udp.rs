//! UDP: a question in each datagram, answered from where it came to.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::{Later, Response, Server, Sockets};
use crate::dns::limits::{QUESTION_LENGTH_MAX, SOCKET_AGAIN, UDP_ANSWER_LENGTH_MAX, UDP_BATCH};
use crate::dns::message::Transport;

/// Answers at one socket for ever. What has come is answered at once, without a task or a timer for any of it, unless it
/// depends on what others say.
pub(super) async fn serve(server: &Rc<Server>, sockets: &Arc<Sockets>) {
    let socket = &sockets.udp;
    let mut waiting = JoinSet::new();
    let mut question = [0; QUESTION_LENGTH_MAX];
    let mut answer = Vec::with_capacity(usize::from(UDP_ANSWER_LENGTH_MAX));
    loop {
        let readable = tokio::select! {
            readable = socket.readable() => readable,
            Some(_) = waiting.join_next() => continue,
        };
        let drained = readable.and_then(|()| {
            drain(server, socket, (&mut question, &mut answer), |later, question, source| {
                let answered =
                    answer_later(server.clone(), sockets.clone(), later, question.to_vec(), source);
                waiting.spawn_local(answered);
            })
        });
        match drained {
            Ok(()) => tokio::task::yield_now().await,
            Err(_) => tokio::time::sleep(SOCKET_AGAIN).await,
        }
    }
}

/// Answers what waits at a socket, up to a batch.
fn drain(
    server: &Server,
    socket: &UdpSocket,
    (question, answer): (&mut [u8], &mut Vec<u8>),
    mut answer_later: impl FnMut(Later, &[u8], SocketAddr),
) -> io::Result<()> {
    for _ in 0..UDP_BATCH {
        let (length, source) = match socket.try_recv_from(question) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            received => received?,
        };
        let is_answered = match server.respond(source.ip(), Transport::Udp, &question[..length], answer) {
            Response::Answer => true,
            Response::Nothing => false,
            Response::Later(later) => {
                answer_later(later, &question[..length], source);
                false
            }
        };
        // Whoever gets no answer asks again; waiting for one would keep all others waiting.
        if is_answered && socket.try_send_to(answer, source).is_err() {
            server.shared.counters.unsent();
        }
    }
    Ok(())
}

/// Answers when others have had their say.
async fn answer_later(
    server: Rc<Server>,
    sockets: Arc<Sockets>,
    later: Later,
    question: Vec<u8>,
    source: SocketAddr,
) {
    let mut answer = Vec::new();
    let is_answered = server.respond_later(later, Transport::Udp, &question, &mut answer).await;
    if is_answered && sockets.udp.try_send_to(&answer, source).is_err() {
        server.shared.counters.unsent();
    }
}
