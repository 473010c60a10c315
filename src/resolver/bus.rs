//! The system bus: calls with a deadline, and errors that name who failed at what.

use serde::Serialize;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::{Connection, DynamicType, Message};

use super::error::ResolverError;
use super::host::Host;
use super::limits::BUS_WAIT;

/// What is called: an interface of an object of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    pub(super) service: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
    /// The unit whose log says more.
    pub(super) unit: &'static str,
}

/// A connection to the host's system bus, for a few calls.
pub(super) struct Bus(Connection);

impl Bus {
    pub(super) async fn connect(host: &Host) -> Result<Self, ResolverError> {
        let builder = Builder::address(host.bus.as_str()).method_timeout(BUS_WAIT);
        let no_bus = |source| ResolverError::NoBus { address: host.bus.clone(), source };
        match timeout(BUS_WAIT, builder.build()).await {
            Ok(connection) => connection.map(Self).map_err(no_bus),
            Err(elapsed) => Err(no_bus(zbus::Error::Failure(elapsed.to_string()))),
        }
    }

    pub(super) async fn call<B>(
        &self,
        object: Object,
        method: &'static str,
        body: &B,
    ) -> Result<Message, ResolverError>
    where
        B: Serialize + DynamicType,
    {
        let Object { service, path, interface, unit } = object;
        let answer = self.0.call_method(Some(service), path, Some(interface), method, body).await;
        answer.map_err(|source| ResolverError::Call { service, method, unit, source })
    }

    /// Whether somebody has `service`'s name; asking starts nobody.
    pub(super) async fn has_owner(&self, service: &'static str) -> bool {
        const BUS: Object = Object {
            service: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            unit: "dbus",
        };
        let answer = self.call(BUS, "NameHasOwner", &(service,)).await;
        answer.is_ok_and(|answer| answer.body().deserialize().unwrap_or(false))
    }
}

/// Whether a service said that it does not know the method: it is older than that.
pub(super) fn is_unknown_method(error: &ResolverError) -> bool {
    let ResolverError::Call { source: zbus::Error::FDO(answer), .. } = error else { return false };
    matches!(**answer, zbus::fdo::Error::UnknownMethod(_))
}
