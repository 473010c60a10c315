//! `guest add`, `guest list`, `guest remove`: WireGuard clients behind this machine, such as telephones.

mod configuration;

use std::net::IpAddr;
use std::time::Duration;

use boringtun::x25519::{PublicKey, StaticSecret};
use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::client::{ANSWER_TIMEOUT, Daemon};
use super::context::Context;
use super::failure::Failure;
use super::text::{self, Table};
use super::{qr, value, view};
use crate::io::entropy;
use configuration::Configuration;

/// An admin may have to be found first.
const ADD_TIMEOUT: Duration = Duration::from_secs(15);

/// Let a device in that runs WireGuard and not Hopmesh, such as a telephone; or list such guests, or remove one
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hopmesh guest add phone\n  hopmesh guest add phone > phone.conf\n  hopmesh guest add phone --full-tunnel\n  \
    hopmesh guest list\n  hopmesh guest remove phone\n\n\
    A guest is in the network by the machine that it was added on: add it on one that is always up and can be dialled \
    from outside."
)]
pub(super) struct Guest {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the configuration of a new guest, for wg-quick, and as a QR code for the WireGuard app
    Add(Add),
    /// List the guests of all machines
    List,
    /// Send a guest of this machine away, at once
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Add {
    /// Name of the guest
    #[arg(value_name = "NAME", value_parser = value::label)]
    name: String,
    /// IPv4 mesh address of the guest (default: a free one)
    #[arg(long, value_name = "A")]
    address: Option<IpAddr>,
    /// Public key of the guest, as `wg pubkey` prints it (default: keys are made, and shown once)
    #[arg(long, value_name = "K", value_parser = value::guest_key, allow_hyphen_values = true)]
    public_key: Option<[u8; 32]>,
    /// Have the guest send all its traffic by this machine, which has to be an exit or use one
    #[arg(long)]
    full_tunnel: bool,
}

#[derive(Debug, Args)]
struct Remove {
    /// Name of the guest
    #[arg(value_name = "NAME", value_parser = value::label)]
    name: String,
}

impl Guest {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self.action {
            Action::Add(add) => add.run(context),
            Action::List => list(context),
            Action::Remove(remove) => remove.run(context),
        }
    }
}

impl Add {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        // Made here, so that the secret half is never anywhere but in what is printed.
        let secret = self.public_key.is_none().then(|| StaticSecret::from(entropy::seed()));
        let made = secret.as_ref().map(|secret| PublicKey::from(secret).to_bytes());
        let public_key = self.public_key.or(made).unwrap_or_default();
        let request = api::AddGuestRequest {
            name: self.name,
            public_key: public_key.to_vec(),
            address: self.address.map(|address| address.to_string()),
            full_tunnel: self.full_tunnel,
        };
        let reply =
            Daemon::reach(context)?.ask(ADD_TIMEOUT, async |client| client.add_guest(request).await)?;
        let secret = secret.map(|secret| Zeroizing::new(secret.to_bytes()));
        let configuration = Configuration::new(&reply, secret.as_deref());
        if context.json() {
            return context.print_json(&json!({
                "guest": reply.guest.as_ref().map(view::Guest::from),
                "configuration": *configuration.text(),
                "endpoints": reply.endpoints,
                "warning": reply.warning,
            }));
        }
        let text = configuration.text();
        context.say_all(configuration.remarks())?;
        context.say_all(text.lines())?;
        if configuration.is_whole() {
            // As comments, so that all of it can be a file of wg-quick.
            let code = qr::exact_lines(&text).into_iter().map(|line| format!("# {line}"));
            context.say_all(std::iter::once(String::new()).chain(code))?;
        }
        Ok(())
    }
}

fn list(context: &mut Context<'_>) -> Result<(), Failure> {
    let reply = Daemon::reach(context)?
        .ask(ANSWER_TIMEOUT, async |client| client.guests(api::GuestsRequest {}).await)?;
    if context.json() {
        let guests: Vec<_> = reply.guests.iter().map(view::Guest::from).collect();
        return context.print_json(&json!({ "guests": guests }));
    }
    if reply.guests.is_empty() {
        let add = context.command_line("guest add phone");
        return context.say(format!("no guests yet: `{add}` prints a configuration for the WireGuard app"));
    }
    context.say_all(table(&reply.guests))
}

/// A line a guest.
pub(super) fn table(guests: &[api::Guest]) -> Vec<String> {
    let mut table =
        Table::with_headings(["GUEST", "OF", "LAST HANDSHAKE", "FROM", "RECEIVED", "SENT", "ADDRESSES"]);
    for guest in guests {
        let handshake = guest.last_handshake_s.and_then(|s| Duration::try_from_secs_f64(s).ok());
        let figure = |count| if guest.is_own { text::bytes(count) } else { "-".to_owned() };
        table.row([
            guest.name.clone(),
            guest.host.clone(),
            handshake.map_or("-".to_owned(), |ago| format!("{} ago", text::duration(ago))),
            guest.remote.clone().unwrap_or_else(|| "-".to_owned()),
            figure(guest.rx_bytes),
            figure(guest.tx_bytes),
            guest.addresses.join(" "),
        ]);
    }
    table.lines()
}

impl Remove {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let request = api::RemoveGuestRequest { name: self.name };
        let reply =
            Daemon::reach(context)?.ask(ANSWER_TIMEOUT, async |client| client.remove_guest(request).await)?;
        if context.json() {
            return context.print_json(&json!({ "ok": true, "name": reply.name }));
        }
        context.say(format!("{} is no guest any more", reply.name))
    }
}
