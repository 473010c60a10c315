//! A guest's configuration, in the form of wg-quick(8), which the apps of `WireGuard` read as well.

use std::net::IpAddr;

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// Seconds between messages of a guest that has nothing to say, so that the NAT before it lets the mesh in: what `WireGuard`'s own
/// documents recommend.
const KEEPALIVE_S: u32 = 25;

/// What a guest needs to know.
pub(super) struct Configuration<'a> {
    reply: &'a api::AddGuestReply,
    secret: Option<&'a [u8; 32]>,
}

impl<'a> Configuration<'a> {
    /// Of a guest whose secret key is known, or not.
    pub(super) fn new(reply: &'a api::AddGuestReply, secret: Option<&'a [u8; 32]>) -> Self {
        Self { reply, secret }
    }

    /// Whether nothing is left for the person to fill in.
    pub(super) fn is_whole(&self) -> bool {
        self.secret.is_some() && !self.reply.endpoints.is_empty()
    }

    /// What a person should know, as comments.
    pub(super) fn remarks(&self) -> Vec<String> {
        let name = self.reply.guest.as_ref().map_or("", |guest| guest.name.as_str());
        let mut remarks = vec![];
        if self.secret.is_some() {
            remarks.push(format!(
                "# The secret key of {name} is here and nowhere else: this is not shown again."
            ));
        }
        remarks.extend(self.reply.warning.iter().map(|warning| format!("# ! {warning}")));
        if let [_, others @ ..] = &self.reply.endpoints[..]
            && !others.is_empty()
        {
            remarks.push(format!(
                "# Other addresses of the machine that may do as Endpoint: {}",
                others.join(" ")
            ));
        }
        remarks
    }

    /// The configuration; no part of it but names of ours came from another machine.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let api::AddGuestReply { guest, host_public_key, endpoints, allowed_ips, dns, domain, mtu, .. } =
            self.reply;
        let addresses = guest.iter().flat_map(|guest| &guest.addresses).map(|address| host_prefix(address));
        let secret = self.secret.map(|secret| Zeroizing::new(BASE64.encode(secret)));
        let mut text = Zeroizing::new(String::with_capacity(1024));
        let mut line = |key: &str, value: &str| {
            [key, " = ", value, "\n"].iter().for_each(|part| text.push_str(part));
        };
        match &secret {
            Some(secret) => line("[Interface]\nPrivateKey", secret),
            None => line("[Interface]\n# PrivateKey", "the secret key of this guest"),
        }
        line("Address", &addresses.collect::<Vec<_>>().join(", "));
        if !dns.is_empty() {
            let all: Vec<&str> = dns.iter().map(String::as_str).chain([domain.as_str()]).collect();
            line("DNS", &all.join(", "));
        }
        line("MTU", &mtu.to_string());
        line("\n[Peer]\nPublicKey", &BASE64.encode(host_public_key));
        match endpoints.first() {
            Some(endpoint) => line("Endpoint", endpoint),
            None => line("# Endpoint", "where the machine can be dialled, as ADDRESS:PORT"),
        }
        line("AllowedIPs", &allowed_ips.join(", "));
        line("PersistentKeepalive", &KEEPALIVE_S.to_string());
        text
    }
}

/// An address as a prefix of its own.
fn host_prefix(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V4(address)) => format!("{address}/32"),
        Ok(IpAddr::V6(address)) => format!("{address}/128"),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> api::AddGuestReply {
        api::AddGuestReply {
            guest: Some(api::Guest {
                name: "phone".to_owned(),
                addresses: vec!["10.7.255.224".to_owned(), "fd00::9".to_owned()],
                ..api::Guest::default()
            }),
            host_public_key: vec![7; 32],
            endpoints: vec!["198.51.100.1:41820".to_owned(), "10.0.0.2:41820".to_owned()],
            allowed_ips: vec!["10.7.0.0/16".to_owned(), "fd00::/48".to_owned()],
            dns: vec!["10.7.0.1".to_owned()],
            domain: "home.internal".to_owned(),
            mtu: 1280,
            warning: Some("Nobody has dialled this machine.".to_owned()),
        }
    }

    #[test]
    fn it_is_what_wg_quick_reads() {
        let (reply, secret) = (reply(), [3; 32]);
        let configuration = Configuration::new(&reply, Some(&secret));
        assert!(configuration.is_whole());
        let expected = "[Interface]\n\
            PrivateKey = AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n\
            Address = 10.7.255.224/32, fd00::9/128\n\
            DNS = 10.7.0.1, home.internal\n\
            MTU = 1280\n\
            \n\
            [Peer]\n\
            PublicKey = BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n\
            Endpoint = 198.51.100.1:41820\n\
            AllowedIPs = 10.7.0.0/16, fd00::/48\n\
            PersistentKeepalive = 25\n";
        assert_eq!(*configuration.text(), expected);
        let remarks = configuration.remarks();
        assert!(remarks.iter().all(|remark| remark.starts_with("# ")), "{remarks:?}");
        assert!(remarks[1].contains("Nobody has dialled") && remarks[2].ends_with("10.0.0.2:41820"));
    }

    #[test]
    fn what_is_not_known_is_left_for_the_person_as_a_comment() {
        let reply = api::AddGuestReply { endpoints: vec![], dns: vec![], warning: None, ..reply() };
        let configuration = Configuration::new(&reply, None);
        assert!(!configuration.is_whole() && configuration.remarks().is_empty());
        let text = configuration.text();
        assert!(
            text.contains("\n# PrivateKey = ") && text.contains("\n# Endpoint = ") && !text.contains("DNS")
        );
    }
}
