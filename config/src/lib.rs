//! What the user wrote, checked: TOML configuration into [`Settings`].
//!
//! [`parse`] takes the text of a configuration and gives settings in which every value is already allowed, or an
//! error that names the line, the key and what is allowed there. `example.toml` beside this crate lists every key
//! with its default. This crate opens no file, reads no environment and depends on none of ours: who the settings
//! are for is not its business.

mod changes;
mod dns;
mod error;
mod host;
mod key;
mod service;
mod settings;
mod value;

pub use changes::{Effect, changes};
pub use dns::{Dns, DnsHost};
pub use error::ConfigError;
pub use host::{HostPort, HostPortError, NAME_LENGTH_MAX};
pub use key::{KEYS, Key};
pub use service::{Protocol, Service};
pub use settings::{
    Addresses, Dht, Hop, Interface, Lan, Listen, Log, LogLevel, Metrics, Network, Node, PortMapping,
    Registry, Routes, Session, Settings, Stream, Stun,
};
pub use value::{
    ADVERTISE_LENGTH_MAX, BOOTSTRAP_LENGTH_MAX, DNS_LISTEN_LENGTH_MAX, HEALTH_PATH_LENGTH_MAX,
    INTERFACE_NAME_LENGTH_MAX, LABEL_KEY_LENGTH_MAX, LABEL_LENGTH_MAX, LABEL_VALUE_LENGTH_MAX,
    LABELS_LENGTH_MAX, MTU_MAX, MTU_MIN, PREFIX_LENGTH_MAX, PREFIX_LENGTH_MIN, REKEY_AFTER_S_MAX,
    REKEY_AFTER_S_MIN, SEEDS_LENGTH_MAX, STUN_SERVERS_LENGTH_MAX, TTL_S_MAX, TTL_S_MIN, VERSION_LENGTH_MAX,
    WITH_LENGTH_MAX, WORKERS_MAX,
};

use toml::de::DeTable;

/// Checks the text of a configuration file. What it leaves out has its default; an empty text is all defaults.
///
/// # Errors
///
/// The first thing that is wrong, in the order: TOML syntax, unknown and missing tables and keys, values, services that
/// are declared twice.
pub fn parse(text: &str) -> Result<Settings, ConfigError> {
    let document = DeTable::parse(text).map_err(|e| error::syntax(text, &e))?;
    let document = document.get_ref();
    key::check(text, document)?;
    let settings: Settings = toml::from_str(text).map_err(|e| error::value(text, document, &e))?;
    service::check(text, document, &settings.service)?;
    Ok(settings)
}
