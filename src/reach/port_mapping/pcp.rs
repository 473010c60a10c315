//! PCP (RFC 6887), by `crab_nat`.

use std::net::{IpAddr, SocketAddr};

use crab_nat::{InternetProtocol, PortMapping, PortMappingOptions, PortMappingType, pcp};

use super::report::{Answer, is_usable};
use super::router::{Given, Lease, Question, from_io, life, patience};

/// What PCP gave.
#[derive(Debug)]
pub(super) struct PcpLease {
    mapping: PortMapping,
    nonce: pcp::Nonce,
    external: SocketAddr,
}

impl PcpLease {
    /// Asks for a mapping, or for the same again.
    pub(super) async fn ask(question: Question, before: Option<&Self>) -> Result<Given, Answer> {
        let base = pcp::BaseMapRequest::new(
            question.network.gateway.into(),
            question.network.local.into(),
            InternetProtocol::Udp,
            question.port,
        );
        let options = PortMappingOptions {
            external_port: Some(before.map_or(question.port, |lease| lease.mapping.external_port())),
            lifetime_seconds: Some(question.lease_s()),
            timeout_config: Some(patience()),
        };
        // The nonce says that it is we who renew; the address, that we want to stay where we are.
        let (nonce, address) = (before.map(|lease| lease.nonce), before.map(|lease| lease.external.ip()));
        let mapping = pcp::port_mapping(base, nonce, address, options).await.map_err(|e| answer(&e))?;
        let PortMappingType::Pcp { nonce, external_ip: IpAddr::V4(ip), .. } = mapping.mapping_type() else {
            return Err(Answer::refused("its address outside is not IPv4"));
        };
        if !is_usable(ip) {
            return Err(Answer::refused("it has no address outside"));
        }
        let external = SocketAddr::from((ip, mapping.external_port().get()));
        let life = life(mapping.lifetime())?;
        Ok(Given { lease: Lease::Pcp(Self { mapping, nonce, external }), external, life })
    }

    pub(super) async fn give_back(self) -> Result<(), Answer> {
        self.mapping.try_drop().await.map_err(|(failure, _)| Answer::refused(failure))
    }
}

fn answer(failure: &pcp::Failure) -> Answer {
    if let pcp::Failure::Socket(error) = failure {
        from_io(error)
    } else if matches!(failure, pcp::Failure::Timeout) {
        Answer::Silent
    } else {
        Answer::refused(failure)
    }
}
