//! What is to be published or withdrawn, from a caller's words to values that are valid by themselves. Whether the
//! network allows it is the Node's to say.

use overlay::{HealthCheck, Publication, Sharing, Target};
use wire::record::SHARED_NODES_MAX;
use wire::service::{Protocol, Version};

use super::request::{Command, Refusal};
use super::service::{invalid, parse_node};

/// Time to live of a publication that says none: a crash is forgotten within a minute, and renewals cost next to nothing.
const TTL_S_DEFAULT: u32 = 60;
pub(super) fn parse_publish(request: api::PublishRequest) -> Result<Command, Refusal> {
    let (protocol, sharing) = (protocol(request.protocol()), sharing(&request)?);
    let nodes = request.sharing_nodes.into_iter().map(parse_node).collect::<Result<_, _>>()?;
    let port = u16::try_from(request.port).ok().filter(|port| *port != 0);
    let target: Option<Target> = request.to.as_deref().map(str::parse).transpose().map_err(invalid)?;
    let health = match request.health.as_str() {
        "" => HealthCheck::usual(protocol, target.as_ref()),
        text => text.parse().map_err(invalid)?,
    };
    let publication = Publication {
        name: request.name.parse().map_err(invalid)?,
        version: parse_version(request.version.as_deref())?,
        protocol,
        port: port.ok_or_else(|| invalid("a port is a number from 1 to 65535"))?,
        labels: request.labels.into_iter().collect(),
        ttl_s: if request.ttl_s == 0 { TTL_S_DEFAULT } else { request.ttl_s },
        sharing,
        health,
        target,
    };
    Ok(Command::Publish { publication: Box::new(publication), sharing_nodes: nodes })
}

pub(super) fn parse_unpublish(request: &api::UnpublishRequest) -> Result<Command, Refusal> {
    Ok(Command::Unpublish {
        name: request.name.parse().map_err(invalid)?,
        version: parse_version(request.version.as_deref())?,
    })
}

pub(super) fn parse_version(text: Option<&str>) -> Result<Option<Version>, Refusal> {
    text.map(|text| text.parse().map_err(invalid)).transpose()
}

fn protocol(protocol: api::Protocol) -> Protocol {
    match protocol {
        api::Protocol::Unspecified | api::Protocol::Tcp => Protocol::Tcp,
        api::Protocol::Udp => Protocol::Udp,
    }
}

fn sharing(request: &api::PublishRequest) -> Result<Sharing, Refusal> {
    let (sharing, named) = (request.sharing(), request.sharing_nodes.len());
    match sharing {
        api::Sharing::Nodes if (1..=SHARED_NODES_MAX).contains(&named) => Ok(Sharing::Nodes(vec![])),
        api::Sharing::Nodes => {
            Err(invalid(format!("a name is shared with 1 to {SHARED_NODES_MAX} nodes, or with any")))
        }
        _ if named > 0 => Err(invalid("nodes are named, but the name is not shared with them")),
        api::Sharing::Unspecified | api::Sharing::Owner => Ok(Sharing::Owner),
        api::Sharing::Members => Ok(Sharing::Members),
    }
}
