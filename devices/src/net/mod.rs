//! A network of one guest behind a router that needs no privileges: DHCP, a name server, TCP and
//! UDP out through the host's sockets, and chosen ports in. The addresses are those of QEMU's user
//! network.
//!
//! ```text
//! guest 10.0.2.15 ── gateway 10.0.2.2 ── the host's sockets ── elsewhere
//!                 └─ names   10.0.2.3 ── the host's name server
//! ```

mod frames;
mod nat;
mod tcp;
mod udp;

pub use nat::Nat;

use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

/// What a network card is plugged into.
pub trait Link: Send {
    /// The guest sends an Ethernet frame. It may be dropped.
    fn send(&mut self, frame: Vec<u8>);
    /// The next frame for the guest, if there is one by now. The machine's bell was rung for it.
    fn receive(&mut self) -> Option<Vec<u8>>;
}

/// The guest's address, as DHCP gives it.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// The router, and with [`Config::host_loopback`] the host.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The name server.
pub const NAMES: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// Bits of the network's prefix.
const PREFIX: u8 = 24;
/// The card's usual address.
pub const GUEST_MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
const GATEWAY_MAC: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];
/// Bytes of the largest IP packet.
const MTU: usize = 1500;

/// How a guest's network is connected.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Config {
    /// Ports of the host that lead to the guest.
    pub forwards: Vec<Forward>,
    /// The gateway's address leads to the host's own 127.0.0.1.
    pub host_loopback: bool,
}

/// TCP or UDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A port of the host that leads to a port of the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Forward {
    /// Which protocol's.
    pub protocol: Protocol,
    /// Where the host listens.
    pub host: SocketAddrV4,
    /// The guest's port.
    pub guest: u16,
}

/// What is wrong with a port forward as written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "'{0}' is no port forward. Write HOSTPORT:GUESTPORT, or ADDRESS:HOSTPORT:GUESTPORT to listen \
     elsewhere than on 127.0.0.1, with /udp behind it for UDP"
)]
pub struct BadForward(String);

impl std::fmt::Display for Forward {
    /// As it is written.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let udp = match self.protocol {
            Protocol::Tcp => "",
            Protocol::Udp => "/udp",
        };
        write!(f, "{}:{}{udp}", self.host, self.guest)
    }
}

impl FromStr for Forward {
    type Err = BadForward;

    fn from_str(text: &str) -> Result<Forward, BadForward> {
        let bad = || BadForward(text.to_owned());
        let (ports, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(bad()),
        };
        let (host, guest) = ports.rsplit_once(':').ok_or_else(bad)?;
        let host = match host.rsplit_once(':') {
            None => SocketAddrV4::new(Ipv4Addr::LOCALHOST, host.parse().map_err(|_| bad())?),
            Some(_) => host.parse().map_err(|_| bad())?,
        };
        let guest = guest
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(bad)?;
        Ok(Forward {
            protocol,
            host,
            guest,
        })
    }
}

/// The network cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A port to forward is taken, or not for us.
    #[error("cannot listen on {address} for the guest's port {guest}: {source}")]
    Listen {
        /// Where.
        address: SocketAddrV4,
        /// For which port.
        guest: u16,
        /// The host's answer.
        source: std::io::Error,
    },
    /// The host refused something else.
    #[error("cannot start the guest's network: {0}")]
    Host(#[from] std::io::Error),
}

impl Config {
    /// Where on the host an address leads that the guest uses. Names of this machine and of
    /// groups lead nowhere.
    fn host_address(&self, address: SocketAddrV4) -> Option<SocketAddrV4> {
        let ip = address.ip();
        if *ip == GATEWAY {
            let host = SocketAddrV4::new(Ipv4Addr::LOCALHOST, address.port());
            return self.host_loopback.then_some(host);
        }
        if *ip == NAMES {
            return name_server().filter(|_| address.port() == 53);
        }
        let network = u32::from(GATEWAY) >> (32 - PREFIX);
        let here = u32::from(*ip) >> (32 - PREFIX) == network
            || ip.is_loopback()
            || ip.is_unspecified()
            || ip.is_multicast()
            || ip.is_broadcast()
            || ip.is_link_local();
        (!here).then_some(address)
    }
}

/// The host's first name server.
fn name_server() -> Option<SocketAddrV4> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let mut servers = text.lines().filter_map(|line| {
        let server = line.trim().strip_prefix("nameserver")?;
        server.trim().parse::<Ipv4Addr>().ok()
    });
    servers.next().map(|ip| SocketAddrV4::new(ip, 53))
}
