//! Datagrams: each pair of guest's port and remote address has a socket of the host's.

use super::{Config, Forward, GATEWAY, GUEST, NetError, Protocol, frames};
use rustix::event::{PollFd, PollFlags};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

/// Flows and peers of forwards that are remembered.
const MOST: usize = 256;
const IDLE: Duration = Duration::from_secs(120);
/// Datagrams taken from a socket at once.
const BURST: usize = 64;
/// The first port of the gateway's that stands for a peer of a forward.
const FIRST_PORT: u16 = 50_000;

pub(super) struct Udp {
    flows: Vec<Flow>,
    forwards: Vec<Inbound>,
}

struct Flow {
    guest: SocketAddrV4,
    /// As the guest knows it.
    remote: SocketAddrV4,
    socket: UdpSocket,
    used: Instant,
}

struct Inbound {
    socket: UdpSocket,
    guest: u16,
    /// Who has sent to it: the nth one is the gateway's port `first + n` to the guest.
    peers: Vec<Peer>,
    first: u16,
}

struct Peer {
    address: SocketAddrV4,
    used: Instant,
}

impl Udp {
    /// Listens where datagrams are to be forwarded.
    pub fn new(forwards: &[Forward]) -> Result<Udp, NetError> {
        let mut list = Vec::new();
        for forward in forwards.iter().filter(|f| f.protocol == Protocol::Udp) {
            let bound = UdpSocket::bind(forward.host).and_then(|socket| {
                socket.set_nonblocking(true)?;
                Ok(socket)
            });
            let socket = bound.map_err(|source| NetError::Listen {
                address: forward.host,
                guest: forward.guest,
                source,
            })?;
            list.push(Inbound {
                socket,
                guest: forward.guest,
                peers: Vec::new(),
                first: FIRST_PORT + (list.len() % 32 * MOST) as u16,
            });
        }
        Ok(Udp {
            flows: Vec::new(),
            forwards: list,
        })
    }

    /// The guest sends. What has nowhere to go is dropped.
    pub fn send(&mut self, config: &Config, from: SocketAddrV4, to: SocketAddrV4, bytes: &[u8]) {
        for inbound in &mut self.forwards {
            if let Some(peer) = inbound.peer(from, to) {
                peer.used = Instant::now();
                let address = peer.address;
                let _ = inbound.socket.send_to(bytes, address);
                return;
            }
        }
        let known = self
            .flows
            .iter()
            .position(|flow| flow.guest == from && flow.remote == to);
        let Some(at) = known.or_else(|| self.open(config, from, to)) else {
            return;
        };
        let flow = &mut self.flows[at];
        flow.used = Instant::now();
        let _ = flow.socket.send(bytes);
    }

    fn open(
        &mut self,
        config: &Config,
        guest: SocketAddrV4,
        remote: SocketAddrV4,
    ) -> Option<usize> {
        let host = config.host_address(remote)?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.set_nonblocking(true).ok()?;
        socket.connect(host).ok()?;
        self.flows.retain(|flow| flow.used.elapsed() < IDLE);
        if self.flows.len() >= MOST {
            let oldest = (0..MOST).min_by_key(|at| self.flows[*at].used)?;
            self.flows.swap_remove(oldest);
        }
        self.flows.push(Flow {
            guest,
            remote,
            socket,
            used: Instant::now(),
        });
        Some(self.flows.len() - 1)
    }

    /// Passes what has arrived to `deliver`: from, to, bytes.
    pub fn receive(&mut self, mut deliver: impl FnMut(SocketAddrV4, SocketAddrV4, &[u8])) {
        let mut bytes = [0; frames::LONGEST];
        for flow in &mut self.flows {
            for _ in 0..BURST {
                let Ok(length) = flow.socket.recv(&mut bytes) else {
                    break;
                };
                flow.used = Instant::now();
                deliver(flow.remote, flow.guest, &bytes[..length]);
            }
        }
        for inbound in &mut self.forwards {
            for _ in 0..BURST {
                let Ok((length, peer)) = inbound.socket.recv_from(&mut bytes) else {
                    break;
                };
                let SocketAddr::V4(peer) = peer else { continue };
                let from = SocketAddrV4::new(GATEWAY, inbound.port_of(peer));
                let to = SocketAddrV4::new(GUEST, inbound.guest);
                deliver(from, to, &bytes[..length]);
            }
        }
    }

    /// What to wait for.
    pub fn poll<'a>(&'a self, list: &mut Vec<PollFd<'a>>) {
        let sockets = self.flows.iter().map(|flow| &flow.socket);
        let sockets = sockets.chain(self.forwards.iter().map(|inbound| &inbound.socket));
        list.extend(sockets.map(|socket| PollFd::new(socket, PollFlags::IN)));
    }
}

impl Inbound {
    /// Whom the guest answers by this datagram, if it does.
    fn peer(&mut self, from: SocketAddrV4, to: SocketAddrV4) -> Option<&mut Peer> {
        if *to.ip() != GATEWAY || from.port() != self.guest {
            return None;
        }
        let at = to.port().checked_sub(self.first)?;
        self.peers.get_mut(usize::from(at))
    }

    /// The gateway's port that stands for a peer. Once there are too many, the port of the one that
    /// has been silent the longest is given away.
    fn port_of(&mut self, address: SocketAddrV4) -> u16 {
        let peer = Peer {
            address,
            used: Instant::now(),
        };
        let known = self.peers.iter().position(|known| known.address == address);
        let at = match known {
            None if self.peers.len() < MOST => {
                self.peers.push(peer);
                self.peers.len() - 1
            }
            known => {
                let silent = || (0..self.peers.len()).min_by_key(|at| self.peers[*at].used);
                let at = known.or_else(silent).unwrap_or(0);
                self.peers[at] = peer;
                at
            }
        };
        self.first + at as u16
    }
}
