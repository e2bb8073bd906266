//! Which addresses a download may connect to, by any spelling.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far a host's addresses may reach.
///
/// Link-local, multicast, documentation, tunnelled (6to4, Teredo) and otherwise special addresses, and those of cloud
/// metadata services, are in nobody's reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Globally routable addresses only (IANA special-purpose registries, RFC 6890).
    Public,
    /// Those and private networks: RFC 1918, RFC 6598 (shared space), RFC 4193 (unique local). For stores on one's own network.
    Private,
    /// This machine only, 127.0.0.0/8 and ::1. For development and tests.
    Loopback,
}

impl Reach {
    /// Whether a host of this reach may have `address`.
    pub fn admits(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.admits_v4(address),
            IpAddr::V6(address) => self.admits_v6(address),
        }
    }

    fn admits_v4(self, address: Ipv4Addr) -> bool {
        match self {
            Self::Loopback => address.is_loopback(),
            Self::Public => is_public_v4(address),
            Self::Private => is_public_v4(address) || is_private_v4(address),
        }
    }

    fn admits_v6(self, address: Ipv6Addr) -> bool {
        match self {
            Self::Loopback => address == Ipv6Addr::LOCALHOST,
            Self::Public => is_public_v6(address),
            Self::Private => is_public_v6(address) || is_private_v6(address),
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !is_private_v4(address) && !SPECIAL_V4.iter().any(|&block| is_in_v4(address, block))
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let private = address.is_private() || is_in_v4(address, (Ipv4Addr::new(100, 64, 0, 0), 10));
    private && address != ALIBABA_METADATA
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if is_in_v6(address, NAT64) {
        // A gateway turns it into the IPv4 address in its last 32 bits (RFC 6052, section 2.1): judge that one.
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    is_in_v6(address, GLOBAL_UNICAST) && !SPECIAL_V6.iter().any(|&block| is_in_v6(address, block))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_unique_local() && !METADATA_V6.iter().any(|&block| is_in_v6(address, block))
}

fn is_in_v4(address: Ipv4Addr, (block, prefix_len): (Ipv4Addr, u32)) -> bool {
    (address.to_bits() ^ block.to_bits()).leading_zeros() >= prefix_len
}

fn is_in_v6(address: Ipv6Addr, (block, prefix_len): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ block.to_bits()).leading_zeros() >= prefix_len
}

const ALIBABA_METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// The IANA IPv4 special-purpose registry beyond the private blocks, multicast, and what clouds keep to themselves.
const SPECIAL_V4: [(Ipv4Addr, u32); 14] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8), // "this network"; Linux connects 0.0.0.0 to itself
    (Ipv4Addr::new(127, 0, 0, 0), 8), // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16), // link-local: metadata of AWS, Azure, GCP, ECS
    (Ipv4Addr::new(192, 0, 0, 0), 24), // IETF protocol assignments; Oracle's metadata
    (Ipv4Addr::new(192, 0, 2, 0), 24), // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24), // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24), // AMT
    (Ipv4Addr::new(192, 88, 99, 0), 24), // 6to4 relays
    (Ipv4Addr::new(198, 18, 0, 0), 15), // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24), // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 3), // multicast, reserved, broadcast
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's wire server
    (ALIBABA_METADATA, 32),
];

const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// What is special within 2000::/3. All else outside it, mapped and compatible IPv4 included, is not public to begin with.
const SPECIAL_V6: [(Ipv6Addr, u32); 5] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // IETF protocol assignments; Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48), // AS112
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

const METADATA_V6: [(Ipv6Addr, u32); 2] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32), // AWS: instance metadata, DNS, time
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0), 64),  // GCP: fd20:ce::254
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn attack_14_special_addresses_are_in_nobodys_reach() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.170.2",
            "169.254.0.1",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:93.184.216.34",
            "::127.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::a00:1",
            "64:ff9b:1::7f00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "4000::1",
        ] {
            for reach in [Reach::Public, Reach::Private, Reach::Loopback] {
                assert!(!reach.admits(ip(text)), "{reach:?} admits {text}");
            }
        }
    }

    #[test]
    fn private_and_loopback_need_their_reach() {
        for text in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "fd12::1",
            "fc00::1",
        ] {
            assert_eq!(
                [Reach::Public, Reach::Private, Reach::Loopback].map(|r| r.admits(ip(text))),
                [false, true, false],
                "{text}"
            );
        }
        for text in ["127.0.0.1", "127.255.255.254", "::1"] {
            assert_eq!(
                [Reach::Public, Reach::Private, Reach::Loopback].map(|r| r.admits(ip(text))),
                [false, false, true],
                "{text}"
            );
        }
    }

    #[test]
    fn public_addresses_are_admitted() {
        for text in [
            "1.1.1.1",
            "93.184.216.34",
            "52.218.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.169.0.1",
            "223.255.255.255",
            "2600:1f18::1",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "64:ff9b::5db8:d822",
        ] {
            assert_eq!(
                [Reach::Public, Reach::Private, Reach::Loopback].map(|r| r.admits(ip(text))),
                [true, true, false],
                "{text}"
            );
        }
    }
}
