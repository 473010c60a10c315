//! TCP: questions one after the other on a connection, each with its length in front (RFC 7766).

use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Response, Seat, Server};
use crate::dns::limits::{QUESTION_LENGTH_MAX, SOCKET_AGAIN, TCP_IDLE};
use crate::dns::message::Transport;

/// Takes connections at one socket for ever. They end with it.
pub(super) async fn serve(server: &Rc<Server>, listener: &TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, source)) => if let Some(seat) = server.admit(source.ip()) {
                    connections.spawn_local(converse(server.clone(), stream, source.ip(), seat));
                },
                Err(_) => tokio::time::sleep(SOCKET_AGAIN).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers until the other end is silent, goes, or says what makes no sense.
async fn converse(server: Rc<Server>, mut stream: TcpStream, source: IpAddr, _seat: Seat) {
    let (mut question, mut answer) = (Vec::new(), Vec::new());
    while let Ok(Ok(())) = timeout(TCP_IDLE, receive(&mut stream, &mut question)).await {
        let is_answered = match server.respond(source, Transport::Tcp, &question, &mut answer) {
            Response::Answer => true,
            Response::Nothing => false,
            Response::Later(later) => {
                server.respond_later(later, Transport::Tcp, &question, &mut answer).await
            }
        };
        if !is_answered {
            return;
        }
        let Ok(Ok(())) = timeout(TCP_IDLE, send(&mut stream, &answer)).await else { return };
    }
}

async fn receive(stream: &mut TcpStream, question: &mut Vec<u8>) -> io::Result<()> {
    let length = usize::from(stream.read_u16().await?);
    if length > QUESTION_LENGTH_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    question.resize(length, 0);
    stream.read_exact(question).await?;
    Ok(())
}

/// Length and answer in one packet, where they fit one: some resolvers wait for no second.
async fn send(stream: &mut TcpStream, answer: &[u8]) -> io::Result<()> {
    let length = u16::try_from(answer.len()).expect("an answer is at most 64 KiB");
    let mut bytes = Vec::with_capacity(2 + answer.len());
    bytes.extend(length.to_be_bytes());
    bytes.extend(answer);
    stream.write_all(&bytes).await
}
