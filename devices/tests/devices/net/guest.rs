//! A guest at the other end of the cable: a TCP/IP stack, and frames made by hand.

use crate::support::Count;
use devices::net::{Config, GATEWAY, GUEST, GUEST_MAC, Link, Nat};
use smoltcp::iface::{self, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::*;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

pub struct Port(pub Nat);
pub struct Received(Vec<u8>);
pub struct Sending<'a>(&'a mut Nat);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        self.0.send(frame);
        result
    }
}

impl phy::Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;
    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.0.receive()?;
        Some((Received(frame), Sending(&mut self.0)))
    }
    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.0))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

pub struct Guest {
    pub port: Port,
    interface: Interface,
    pub sockets: SocketSet<'static>,
    start: std::time::Instant,
}

impl Guest {
    pub fn new(config: Config) -> Guest {
        let nat = Nat::start(config, Arc::new(Count::default())).expect("a network");
        let mut port = Port(nat);
        let settings = iface::Config::new(EthernetAddress(GUEST_MAC).into());
        let mut interface = Interface::new(settings, &mut port, Instant::ZERO);
        interface.update_ip_addrs(|list| {
            list.push(IpCidr::Ipv4(Ipv4Cidr::new(GUEST, 24)))
                .expect("room");
        });
        interface
            .routes_mut()
            .add_default_ipv4_route(GATEWAY)
            .expect("room");
        Guest {
            port,
            interface,
            sockets: SocketSet::new(Vec::new()),
            start: std::time::Instant::now(),
        }
    }

    pub fn socket(&mut self) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; 1 << 16]);
        self.sockets.add(Socket::new(buffer(), buffer()))
    }

    pub fn connect(&mut self, to: SocketAddrV4) -> SocketHandle {
        let handle = self.socket();
        let socket = self.sockets.get_mut::<Socket>(handle);
        let remote = (*to.ip(), to.port());
        socket
            .connect(self.interface.context(), remote, 40_000)
            .expect("a free port");
        handle
    }

    /// Runs the guest until `done` says so.
    pub fn until(&mut self, handle: SocketHandle, mut done: impl FnMut(&mut Socket<'_>) -> bool) {
        loop {
            assert!(
                self.start.elapsed().as_secs() < 60,
                "nothing happens any more"
            );
            let now = Instant::from_micros(self.start.elapsed().as_micros() as i64);
            self.interface.poll(now, &mut self.port, &mut self.sockets);
            if done(self.sockets.get_mut::<Socket>(handle)) {
                return;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// The next frame that `wanted` makes something of.
    pub fn frame<R>(&mut self, wanted: impl Fn(&[u8]) -> Option<R>) -> R {
        loop {
            assert!(self.start.elapsed().as_secs() < 60, "the frame never came");
            match self.port.0.receive() {
                Some(frame) => {
                    if let Some(found) = wanted(&frame) {
                        return found;
                    }
                }
                None => std::thread::sleep(Duration::from_micros(200)),
            }
        }
    }

    pub fn datagram(&mut self, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) {
        let udp = UdpRepr {
            src_port: from.port(),
            dst_port: to.port(),
        };
        let ip = Ipv4Repr {
            src_addr: *from.ip(),
            dst_addr: *to.ip(),
            next_header: IpProtocol::Udp,
            payload_len: 8 + payload.len(),
            hop_limit: 64,
        };
        let checks = ChecksumCapabilities::default();
        let (source, target) = (IpAddress::Ipv4(*from.ip()), IpAddress::Ipv4(*to.ip()));
        let bytes = ethernet(EthernetProtocol::Ipv4, 28 + payload.len(), |bytes| {
            let mut packet = Ipv4Packet::new_unchecked(bytes);
            ip.emit(&mut packet, &checks);
            udp.emit(
                &mut UdpPacket::new_unchecked(packet.payload_mut()),
                &source,
                &target,
                payload.len(),
                |room| room.copy_from_slice(payload),
                &checks,
            );
        });
        self.port.0.send(bytes);
    }
}

/// Sender's port and payload of a UDP frame.
pub fn udp(frame: &[u8]) -> Option<(u16, Vec<u8>)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    assert!(packet.verify_checksum());
    let (from, to) = (
        IpAddress::Ipv4(packet.src_addr()),
        IpAddress::Ipv4(packet.dst_addr()),
    );
    let udp = UdpPacket::new_checked(packet.payload()).ok()?;
    assert!(udp.verify_checksum(&from, &to));
    Some((udp.src_port(), udp.payload().to_vec()))
}

pub fn address(socket: SocketAddr) -> SocketAddrV4 {
    SocketAddrV4::new(GATEWAY, socket.port())
}

pub fn loopback() -> Config {
    Config {
        forwards: Vec::new(),
        host_loopback: true,
    }
}

/// An Ethernet frame from the guest, filled by `fill`.
pub fn ethernet(kind: EthernetProtocol, length: usize, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = vec![0; 14 + length];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_src_addr(EthernetAddress(GUEST_MAC));
    frame.set_dst_addr(EthernetAddress::BROADCAST);
    frame.set_ethertype(kind);
    fill(frame.payload_mut());
    bytes
}

pub fn ping(to: Ipv4Addr, number: u16) -> Vec<u8> {
    let icmp = Icmpv4Repr::EchoRequest {
        ident: 1,
        seq_no: number,
        data: b"ping",
    };
    let ip = Ipv4Repr {
        src_addr: GUEST,
        dst_addr: to,
        next_header: IpProtocol::Icmp,
        payload_len: icmp.buffer_len(),
        hop_limit: 64,
    };
    let checks = ChecksumCapabilities::default();
    ethernet(EthernetProtocol::Ipv4, 20 + icmp.buffer_len(), |bytes| {
        let mut packet = Ipv4Packet::new_unchecked(bytes);
        ip.emit(&mut packet, &checks);
        icmp.emit(
            &mut Icmpv4Packet::new_unchecked(packet.payload_mut()),
            &checks,
        );
    })
}
