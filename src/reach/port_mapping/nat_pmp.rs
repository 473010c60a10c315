//! NAT-PMP (RFC 6886), by `crab_nat`.

use std::net::SocketAddr;

use crab_nat::{InternetProtocol, PortMapping, PortMappingOptions, natpmp};

use super::report::{Answer, is_usable};
use super::router::{Given, Lease, Question, from_io, life, patience};

/// What NAT-PMP gave.
#[derive(Debug)]
pub(super) struct NatPmpLease {
    mapping: PortMapping,
}

impl NatPmpLease {
    /// Asks for a mapping, or for the same again. The address outside is asked for first: without one, routers give
    /// mappings that lead nowhere.
    pub(super) async fn ask(question: Question, before: Option<&Self>) -> Result<Given, Answer> {
        let gateway = question.network.gateway.into();
        let ip = natpmp::external_address(gateway, Some(patience())).await.map_err(|e| answer(&e))?;
        if !is_usable(ip) {
            return Err(Answer::refused("it has no address outside"));
        }
        let options = PortMappingOptions {
            external_port: Some(before.map_or(question.port, |lease| lease.mapping.external_port())),
            lifetime_seconds: Some(question.lease_s()),
            timeout_config: Some(patience()),
        };
        let mapping = natpmp::port_mapping(gateway, InternetProtocol::Udp, question.port, options)
            .await
            .map_err(|e| answer(&e))?;
        let external = SocketAddr::from((ip, mapping.external_port().get()));
        let life = life(mapping.lifetime())?;
        Ok(Given { lease: Lease::NatPmp(Self { mapping }), external, life })
    }

    pub(super) async fn give_back(self) -> Result<(), Answer> {
        self.mapping.try_drop().await.map_err(|(failure, _)| Answer::refused(failure))
    }
}

fn answer(failure: &natpmp::Failure) -> Answer {
    if let natpmp::Failure::Socket(error) = failure {
        from_io(error)
    } else if matches!(failure, natpmp::Failure::Timeout) {
        Answer::Silent
    } else {
        Answer::refused(failure)
    }
}
