//! Ethernet frames: queues of them towards the TCP/IP stack, and UDP packets in and out of them.

use super::{GATEWAY, GATEWAY_MAC, GUEST, MTU, NAMES, PREFIX};
use smoltcp::phy::{self, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, TcpPacket, UdpPacket, UdpRepr,
};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Frames that may wait in one direction.
pub(super) const WAITING: usize = 512;
/// Bytes of a frame: header and packet.
pub(super) const LONGEST: usize = 14 + MTU;
const LEASE: u32 = 86_400;

/// What the TCP/IP stack takes for its network card.
#[derive(Default)]
pub(super) struct Card {
    /// From the guest.
    pub incoming: VecDeque<Vec<u8>>,
    /// For the guest.
    pub outgoing: VecDeque<Vec<u8>>,
}

pub(super) struct Received(Vec<u8>);

pub(super) struct Sending<'a>(&'a mut VecDeque<Vec<u8>>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl phy::Device for Card {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Received(frame), Sending(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        (self.outgoing.len() < WAITING).then_some(Sending(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LONGEST;
        capabilities
    }
}

/// What the router does with a frame.
pub(super) enum Kind {
    /// A new TCP connection, from and to.
    Connect(SocketAddrV4, SocketAddrV4),
    /// A datagram, from and to.
    Datagram(SocketAddrV4, SocketAddrV4, Vec<u8>),
    /// For the TCP/IP stack: ARP, pings of the router, connections that exist.
    Stack,
    /// Nothing.
    Drop,
}

/// Looks into a frame from the guest.
pub(super) fn classify(frame: &[u8]) -> Kind {
    classified(frame).unwrap_or(Kind::Drop)
}

fn classified(frame: &[u8]) -> Option<Kind> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    match ethernet.ethertype() {
        EthernetProtocol::Arp => return Some(Kind::Stack),
        EthernetProtocol::Ipv4 => {}
        _ => return None,
    }
    let packet = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    let ip = Ipv4Repr::parse(&packet, &ChecksumCapabilities::default()).ok()?;
    if packet.more_frags() || packet.frag_offset() != 0 {
        return None;
    }
    let (from, to) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
    match ip.next_header {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(packet.payload()).ok()?;
            if !tcp.syn() || tcp.ack() {
                return Some(Kind::Stack);
            }
            let from = SocketAddrV4::new(ip.src_addr, tcp.src_port());
            Some(Kind::Connect(
                from,
                SocketAddrV4::new(ip.dst_addr, tcp.dst_port()),
            ))
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(packet.payload()).ok()?;
            let checks = ChecksumCapabilities::default();
            let ports = UdpRepr::parse(&udp, &from, &to, &checks).ok()?;
            let from = SocketAddrV4::new(ip.src_addr, ports.src_port);
            let to = SocketAddrV4::new(ip.dst_addr, ports.dst_port);
            Some(Kind::Datagram(from, to, udp.payload().to_vec()))
        }
        IpProtocol::Icmp if ip.dst_addr == GATEWAY || ip.dst_addr == NAMES => Some(Kind::Stack),
        _ => None,
    }
}

/// The sender of a frame.
pub(super) fn source(frame: &[u8]) -> Option<EthernetAddress> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    Some(frame.src_addr()).filter(EthernetAddress::is_unicast)
}

/// A frame with a datagram, unless it is too long for one.
pub(super) fn datagram(
    mac: EthernetAddress,
    from: SocketAddrV4,
    to: SocketAddrV4,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let udp = UdpRepr {
        src_port: from.port(),
        dst_port: to.port(),
    };
    let ip = Ipv4Repr {
        src_addr: *from.ip(),
        dst_addr: *to.ip(),
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(GATEWAY_MAC),
        dst_addr: mac,
        ethertype: EthernetProtocol::Ipv4,
    };
    let header = ethernet.buffer_len() + ip.buffer_len();
    let length = header + ip.payload_len;
    if length > LONGEST {
        return None;
    }
    let mut bytes = vec![0; length];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    ethernet.emit(&mut frame);
    let checks = ChecksumCapabilities::default();
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &checks);
    let (source, target) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &source,
        &target,
        payload.len(),
        |room| room.copy_from_slice(payload),
        &checks,
    );
    Some(bytes)
}

/// The answer to a DHCP request: always the same address.
pub(super) fn dhcp(request: &[u8]) -> Option<Vec<u8>> {
    let packet = DhcpPacket::new_checked(request).ok()?;
    let request = DhcpRepr::parse(&packet).ok()?;
    let wants = request.requested_ip.unwrap_or(request.client_ip);
    let message_type = match request.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        DhcpMessageType::Request if wants == GUEST => DhcpMessageType::Ack,
        DhcpMessageType::Request => DhcpMessageType::Nak,
        _ => return None,
    };
    let mask = Ipv4Addr::from(!(u32::MAX >> PREFIX));
    let answer = DhcpRepr {
        message_type,
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: GUEST,
        server_ip: GATEWAY,
        router: Some(GATEWAY),
        subnet_mask: Some(mask),
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(GATEWAY),
        parameter_request_list: None,
        dns_servers: [NAMES].as_slice().try_into().ok(),
        max_size: None,
        lease_duration: Some(LEASE),
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
        ..request
    };
    let mut bytes = vec![0; answer.buffer_len()];
    answer
        .emit(&mut DhcpPacket::new_unchecked(&mut bytes))
        .ok()?;
    Some(bytes)
}
