//! What must never survive, in every spelling; and what has to stay for a report to be of use.

use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::*;

/// A generator of numbers, the same at every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }
}

fn redactor() -> Redactor {
    let mesh = ["10.77.0.0/16", "fd12:3456:789a::/48"].map(|prefix| prefix.parse().unwrap());
    Redactor::new(["Seed.example.org.".to_owned(), "example.org".to_owned(), "192.0.2.7".to_owned()], mesh)
}

/// Texts in which a thing may stand, `@` for it.
const AROUND: [&str; 10] = [
    "@",
    "from @ to b",
    r#"{"remote":"@","rtt_ms":0.8}"#,
    r#""log":"a\n@\tb""#,
    "peer=@, next",
    "via <@>.",
    "(@)",
    "2026-11-29T07:00:00+0000 hopmesh::daemon: it is @; look",
    "host:@",
    "'@'\\",
];

#[test]
fn secrets_never_survive() {
    let mut numbers = Numbers(1);
    for _ in 0..500 {
        let key: [u8; 32] = numbers.bytes();
        let half: [u8; 16] = numbers.bytes();
        let mut spelt =
            vec![format!("hopmesh1{}", BASE32_NOPAD.encode(&numbers.bytes::<120>()).to_lowercase())];
        for bytes in [key.as_slice(), &half] {
            spelt.extend([HEXLOWER.encode(bytes), HEXUPPER.encode(bytes)]);
            spelt.extend([BASE64.encode(bytes), BASE64URL_NOPAD.encode(bytes)]);
            spelt.extend([BASE32_NOPAD.encode(bytes), BASE32_NOPAD.encode(bytes).to_lowercase()]);
        }
        for secret in &spelt {
            for around in AROUND {
                let masked = redactor().mask(&around.replace('@', secret));
                // Not the half of it either.
                for part in [&secret[..secret.len() / 2], &secret[secret.len() / 2..]] {
                    let part = part.trim_end_matches('=');
                    assert!(!masked.contains(part), "{secret} in {around}: {masked}");
                }
            }
        }
    }
}

#[test]
fn public_addresses_never_survive_and_private_ones_do() {
    let mut numbers = Numbers(2);
    let redactor = redactor();
    for _ in 0..500 {
        let v4 = std::net::Ipv4Addr::from([203, numbers.bytes::<1>()[0], numbers.bytes::<1>()[0], 77]);
        let mut octets: [u8; 16] = numbers.bytes();
        octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        // Zeros in a row, which are written in short.
        octets[6..10].fill(0);
        let v6 = Ipv6Addr::from(octets);
        let groups = v6.segments();
        let long = groups.map(|group| format!("{group:04x}")).join(":");
        let spelt = [
            (v4.to_string(), "public-v4-1"),
            (v4.octets().map(|octet| format!("{octet:03}")).join("."), "public-v4-1"),
            (v4.to_ipv6_mapped().to_string(), "public-v4-1"),
            (
                format!(
                    "::ffff:{:x}:{:x}",
                    u16::from_be_bytes([203, v4.octets()[1]]),
                    u16::from_be_bytes([v4.octets()[2], 77])
                ),
                "public-v4-1",
            ),
            (v6.to_string(), "public-v6-1"),
            (v6.to_string().to_uppercase(), "public-v6-1"),
            (groups.map(|group| format!("{group:x}")).join(":"), "public-v6-1"),
            (long, "public-v6-1"),
        ];
        for (address, mask) in &spelt {
            let is_v6 = address.contains(':');
            let mut ways = vec![address.clone(), format!("{address}/64"), format!("{address}%eth0")];
            ways.push(if is_v6 { format!("[{address}]:41820") } else { format!("{address}:41820") });
            for way in &ways {
                for around in AROUND {
                    let masked = redactor.mask(&around.replace('@', way));
                    let expected = around.replace('@', &way.replace(address, mask));
                    assert_eq!(masked, expected, "{way} in {around}");
                }
            }
        }
    }
    let stays = "10.77.3.4 fd12:3456:789a::1 192.168.1.5:41820 127.0.0.53 ::1 [fe80::1%eth0]:5 100.64.0.9 0.0.0.0:41820 255.255.255.0 224.0.0.1";
    assert_eq!(redactor.mask(stays), stays);
}

#[test]
fn one_thing_has_one_mask() {
    let text = "203.0.113.5:1 ::ffff:203.0.113.5 198.51.100.1 [2001:db8::1]:5 2001:DB8:0::1 203.0.113.5";
    assert_eq!(
        redactor().mask(text),
        "public-v4-1:1 public-v4-1 public-v4-2 [public-v6-1]:5 public-v6-1 public-v4-1"
    );
    let text = "52:54:00:AB:cd:ef 52-54-00-ab-cd-ef fe80::5054:ff:feab:cdef 52:54:00:ab:cd:ee";
    assert_eq!(redactor().mask(text), "mac-1 mac-1 local-v6-1 mac-2");
    let text = "seed.example.org:1 SEED.example.ORG www.example.org notexample.org 192.0.2.7";
    assert_eq!(redactor().mask(text), "host-1:1 host-1 www.host-2 notexample.org public-v4-1");
}

#[test]
fn what_is_none_of_this_stays() {
    for text in [
        "hopmesh::daemon::driver: the daemon is up",
        "/usr/lib/systemd/system/hopmesh@.service and /var/lib/hopmesh/home/identity.state",
        "CAP_NET_ADMIN CAP_NET_BIND_SERVICE 6.12.48+deb13-cloud-amd64",
        "2026-11-29T07:20:12.123456Z uptime 7500 s, 12.4 ms, version 0.1.0",
        "names under home.internal are resolved by systemd-resolved, ünï 東京",
        "",
    ] {
        assert_eq!(redactor().mask(text), text);
    }
}
