//! From nothing to all that a running node needs: state, membership, sockets, TUN.
//!
//! Nothing is created, used up or announced before everything that can fail on this machine has been tried: the TUN
//! device is made before a network is founded or an invite is used.

use anyhow::{Context, Result, anyhow, bail};
use overlay::state::{Contact, Network, StateFile};
use overlay::{Identity, choose_ipv4_range, found};
use std::net::SocketAddr;
use wire::handshake::Suite;
use wire::{Invite, Name};

use super::discovery::dht_settings;
use super::enrol::{DhtWay, Joined, Ways};
use super::exit::Exit;
use super::state::{self, Loaded};
use super::{Launch, LaunchParams, Progress, Source, enrol, names, paths_of, routes, worker};
use crate::control::Socket;
use crate::io::multicast::Asker;
use crate::io::netlink::Netlink;
use crate::io::tun::{NAME_LENGTH_MAX, Tun};
use crate::io::udp::{BindError, Udp};
use crate::io::{clock, entropy, host};
use crate::paths::Paths;
use crate::store::StateDirectory;

/// The port that is tried first; a second network on the machine gets another.
const PORT_FIRST: u16 = 41820;

/// All that a running node needs.
pub(super) struct Started {
    pub(super) paths: Paths,
    pub(super) directory: StateDirectory,
    pub(super) loaded: Loaded,
    pub(super) is_new: bool,
    pub(super) udp: Udp,
    pub(super) tun: Tun,
    pub(super) netlink: Netlink,
    pub(super) socket: Socket,
    pub(super) settings: config::Settings,
    pub(super) source: Source,
    pub(super) exit: Exit,
}

/// Brings a node to the point where its Node can be made.
pub(super) async fn start(params: LaunchParams, on_progress: &mut dyn FnMut(&Progress)) -> Result<Started> {
    let invite = match &params.launch {
        Launch::Up => None,
        Launch::Join { invite } => Some(invite.parse::<Invite>()?),
    };
    check_invite(&params, invite.as_ref())?;
    let paths = paths_of(&params, invite.as_ref().map(|invite| invite.network_name.as_str()));
    let directory = open(&paths).await?;
    let loaded = state::load(&directory)?;
    if let Some(loaded) = &loaded {
        check_membership(&params, loaded, invite.as_ref())?;
    }
    let network_name = network_name(&params, loaded.as_ref(), invite.as_ref())?;
    let netlink = Netlink::open()?;
    let mut udp = bind(&directory, params.settings.listen.port)?;
    let queues = worker::queues(worker::count(params.settings.interface.workers));
    let tun = Tun::create(&interface_name(&params.settings, &network_name)?, queues)?;
    let link = (&netlink, tun.name(), udp.port());
    let exit = Exit::start(&directory, link, network_name.as_str()).await?;
    let socket = Socket::bind(&paths.socket)?;
    let is_new = loaded.is_none() && invite.is_none();
    let mut loaded = match (loaded, invite) {
        (Some(loaded), _) => {
            if !loaded.contacts.is_empty() {
                on_progress(&Progress::LookingForPeers { known: loaded.contacts.len() });
            }
            loaded
        }
        (None, Some(invite)) => {
            let lan = match params.settings.lan.enabled {
                true => Asker::new(&netlink.lan_interfaces().await?),
                false => Asker::default(),
            };
            let local = netlink.local_addresses(tun.name()).await?;
            let may_move = params.settings.listen.port == 0;
            let dht = dht_settings(&params.settings, state::load_dht(&directory));
            let dht = dht.map(|settings| DhtWay { settings, local, may_move });
            let ways = Ways { udp: &udp, lan: &lan, tcp: params.settings.stream.enabled, dht };
            let (loaded, sockets) = join(&directory, &params, invite, ways, on_progress).await?;
            if let Some(sockets) = sockets {
                state::save_port(&directory, sockets.port())?;
                udp = sockets;
            }
            loaded
        }
        (None, None) => {
            on_progress(&Progress::Creating { network: network_name.to_string() });
            create(&directory, &params, network_name, &netlink).await?
        }
    };
    state::count_start(&directory, &mut loaded.identity)?;
    Ok(Started {
        paths,
        directory,
        loaded,
        is_new,
        udp,
        tun,
        netlink,
        socket,
        settings: params.settings,
        source: params.source,
        exit,
    })
}

/// The state directory, if this version may use it, and the host as it was before a run that was killed.
async fn open(paths: &Paths) -> Result<StateDirectory> {
    let directory = StateDirectory::open(&paths.state_dir)?;
    directory.refuse_later()?;
    names::restore_host(&directory).await;
    routes::restore_host(&directory).await;
    Ok(directory)
}

fn check_invite(params: &LaunchParams, invite: Option<&Invite>) -> Result<()> {
    let Some(invite) = invite else { return Ok(()) };
    if let Some(network) = &params.network
        && network.to_ascii_lowercase() != invite.network_name.as_str()
    {
        bail!("this invite is to the network {}, not to {network}: leave out --network", invite.network_name);
    }
    let now = clock::unix_s();
    if now > invite.expires_s + wire::credential::CLOCK_SKEW_S {
        bail!(
            "this invite has expired, by this machine's clock {} minutes ago: make another with `hopmesh invite`, or set the clock",
            (now - invite.expires_s) / 60
        );
    }
    Ok(())
}

fn check_membership(params: &LaunchParams, loaded: &Loaded, invite: Option<&Invite>) -> Result<()> {
    let network = &loaded.network;
    if let Some(invite) = invite {
        if invite.network == network.id() {
            bail!(
                "this machine is a member of the network {} already: start it with `hopmesh up`",
                network.name
            );
        }
        bail!(
            "this machine is a member of another network named {}: give a --state-dir of its own to this one, or `hopmesh leave` first",
            network.name
        );
    }
    match &params.network {
        Some(name) if name.to_ascii_lowercase() != network.name.as_str() => {
            bail!(
                "this state directory belongs to the network {}, not to {name}: leave out --network",
                network.name
            )
        }
        Some(_) | None => {}
    }
    let own_name = loaded.network.chain.claims().name.as_str();
    if let Some(wanted) = &params.node_name
        && wanted.to_ascii_lowercase() != own_name
    {
        tracing::warn!(
            "this machine is called {own_name} in the network; the name {wanted} counts only when a network is created or joined"
        );
    }
    Ok(())
}

/// What the network is called: as it is known, else as it is wished.
fn network_name(params: &LaunchParams, loaded: Option<&Loaded>, invite: Option<&Invite>) -> Result<Name> {
    let known = loaded.map(|loaded| &loaded.network.name).or(invite.map(|invite| &invite.network_name));
    match known {
        Some(name) => Ok(name.clone()),
        None => Ok(params.network.as_deref().unwrap_or(crate::paths::DEFAULT_NETWORK).parse()?),
    }
}

fn interface_name(settings: &config::Settings, network: &Name) -> Result<String> {
    let name = settings.interface.name.clone().unwrap_or_else(|| format!("hm-{network}"));
    if name.len() > NAME_LENGTH_MAX {
        bail!(
            "the interface would be called {name}, which is longer than {NAME_LENGTH_MAX} characters: set `interface.name` in the configuration"
        );
    }
    Ok(name)
}

/// Opens the sockets: on the configured port, else on the one of the last start, else on a free one.
fn bind(directory: &StateDirectory, configured: u16) -> Result<Udp> {
    if configured != 0 {
        return Ok(Udp::bind(configured)?);
    }
    let last = state::load_port(directory);
    let udp = match Udp::bind(last.unwrap_or(PORT_FIRST)) {
        Ok(udp) => udp,
        Err(error @ BindError::PortInUse { .. }) => {
            if last.is_some() {
                tracing::warn!("{error}; another port is used, which peers learn by themselves");
            }
            Udp::bind(0)?
        }
        Err(error) => return Err(error.into()),
    };
    if last != Some(udp.port()) {
        state::save_port(directory, udp.port())?;
    }
    Ok(udp)
}

/// The name that this machine asks for, and whether no other will do.
fn node_name(params: &LaunchParams) -> Result<(Name, bool)> {
    match &params.node_name {
        Some(name) => {
            let name =
                name.parse().map_err(|error| anyhow!("{name:?} cannot be this machine's name: {error}"))?;
            Ok((name, true))
        }
        None => {
            let host = host::hostname().and_then(|host| host.parse().ok());
            Ok((host.unwrap_or("node".parse()?), false))
        }
    }
}

fn identity_of(directory: &StateDirectory) -> Result<Identity> {
    if let Some(identity) = state::load_identity(directory)? {
        return Ok(identity);
    }
    let identity = Identity::generate(entropy::seed());
    // Written before it is shown to anybody: a joiner that is cut off asks again as the same node.
    state::write(directory, StateFile::Identity, &identity.encode())?;
    Ok(identity)
}

async fn create(
    directory: &StateDirectory,
    params: &LaunchParams,
    network_name: Name,
    netlink: &Netlink,
) -> Result<Loaded> {
    let range = match params.settings.network.ipv4_range {
        Some(range) => range,
        None => {
            let [a, b, c, d, e, f, g, h, ..] = entropy::seed();
            choose_ipv4_range(&netlink.routes().await?, u64::from_le_bytes([a, b, c, d, e, f, g, h]))?
        }
    };
    let (name, _) = node_name(params)?;
    let identity = identity_of(directory)?;
    let network = found(network_name, name, range, &identity, clock::unix_s(), entropy::seed());
    state::write(directory, StateFile::Network, &network.encode())?;
    Ok(fresh(identity, network, vec![]))
}

async fn join(
    directory: &StateDirectory,
    params: &LaunchParams,
    invite: Invite,
    ways: Ways<'_>,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<(Loaded, Option<Udp>)> {
    let name = node_name(params)?;
    let identity = identity_of(directory)?;
    tracing::info!(network = %invite.network_name, "joining");
    let Joined { network, contacts, sockets, by_tcp } =
        enrol::enrol(ways, invite, identity.clone(), name, on_progress).await.context("cannot join")?;
    state::write(directory, StateFile::Network, &network.encode())?;
    state::write(directory, StateFile::Contacts, &overlay::state::encode_contacts(&contacts))?;
    Ok((Loaded { by_tcp, ..fresh(identity, network, contacts) }, sockets))
}

fn fresh(identity: Identity, network: Network, contacts: Vec<Contact>) -> Loaded {
    Loaded {
        identity,
        network,
        invites: vec![],
        records: vec![],
        contacts,
        publications: vec![],
        guests: vec![],
        leases: overlay::state::Leases::default(),
        offers: vec![],
        by_tcp: false,
    }
}

/// The ciphers that this machine is quick at, best first.
pub(super) fn quick_suites() -> Vec<Suite> {
    #[cfg(target_arch = "x86_64")]
    let aes = std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let aes =
        std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let aes = false;
    if aes { vec![Suite::Aes256Gcm, Suite::ChaCha20Poly1305] } else { vec![Suite::ChaCha20Poly1305] }
}

/// Whether an address from the configuration can be dialled; nonsense is told and left out.
pub(super) fn advertised(settings: &config::Settings) -> Vec<wire::Candidate> {
    let candidate = |address: &SocketAddr| {
        let candidate = wire::Candidate::new(*address);
        if candidate.is_none() {
            tracing::warn!(
                "{address} in `addresses.advertise` is no address that anybody can dial: left out"
            );
        }
        candidate
    };
    settings.addresses.advertise.iter().filter_map(candidate).collect()
}
