//! The router, driven by a guest of our own.

mod guest;

use crate::support::{Count, Random};
use devices::net::{Config, Forward, GATEWAY, GUEST, GUEST_MAC, Link, Nat, NetError, Protocol};
use guest::{Guest, address, ethernet, loopback, ping, udp};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::wire::*;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn forwards_are_read_as_written() {
    let parse = |text: &str| text.parse::<Forward>().ok();
    let tcp = |host: &str, guest| {
        let host = host.parse().expect("an address");
        Some(Forward {
            protocol: Protocol::Tcp,
            host,
            guest,
        })
    };
    assert_eq!(parse("2222:22"), tcp("127.0.0.1:2222", 22));
    assert_eq!(parse("2222:22/tcp"), tcp("127.0.0.1:2222", 22));
    assert_eq!(parse("0.0.0.0:80:8080"), tcp("0.0.0.0:80", 8080));
    assert_eq!(
        parse("53:53/udp").map(|forward| forward.protocol),
        Some(Protocol::Udp)
    );
    for bad in [
        "",
        "22",
        "a:b",
        "1:2:3",
        "70000:1",
        "1:0",
        "1:2/sctp",
        "::1:80:80",
        ":1",
    ] {
        assert_eq!(parse(bad), None, "{bad}");
    }
}

fn dhcp(
    guest: &mut Guest,
    message_type: DhcpMessageType,
    wants: Option<Ipv4Addr>,
) -> DhcpMessageType {
    let request = DhcpRepr {
        message_type,
        transaction_id: 77,
        secs: 0,
        client_hardware_address: EthernetAddress(GUEST_MAC),
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: Ipv4Addr::UNSPECIFIED,
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: None,
        subnet_mask: None,
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested_ip: wants,
        client_identifier: None,
        server_identifier: None,
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let mut bytes = vec![0; request.buffer_len()];
    request
        .emit(&mut DhcpPacket::new_unchecked(&mut bytes))
        .expect("room");
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
    guest.datagram(from, SocketAddrV4::new(Ipv4Addr::BROADCAST, 67), &bytes);
    let (_, answer) = guest.frame(|frame| udp(frame).filter(|(port, _)| *port == 67));
    let packet = DhcpPacket::new_checked(&answer[..]).expect("DHCP");
    let answer = DhcpRepr::parse(&packet).expect("DHCP");
    assert_eq!((answer.transaction_id, answer.your_ip), (77, GUEST));
    assert_eq!(
        (answer.router, answer.server_identifier),
        (Some(GATEWAY), Some(GATEWAY))
    );
    assert_eq!(answer.subnet_mask, Some(Ipv4Addr::new(255, 255, 255, 0)));
    answer.message_type
}

#[test]
fn dhcp_gives_the_guest_its_address_and_no_other() {
    let mut guest = Guest::new(Config::default());
    assert_eq!(
        dhcp(&mut guest, DhcpMessageType::Discover, None),
        DhcpMessageType::Offer
    );
    assert_eq!(
        dhcp(&mut guest, DhcpMessageType::Request, Some(GUEST)),
        DhcpMessageType::Ack
    );
    let other = Some(Ipv4Addr::new(192, 168, 0, 9));
    assert_eq!(
        dhcp(&mut guest, DhcpMessageType::Request, other),
        DhcpMessageType::Nak
    );
}

#[test]
fn a_connection_out_carries_bytes_both_ways_and_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = address(listener.local_addr().expect("an address"));
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the guest");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("all it sends");
        stream.write_all(&bytes).expect("room");
        bytes.len()
    });
    let mut random = Random::new();
    let sent: Vec<u8> = (0..300_000).map(|_| random.next() as u8).collect();
    let (mut guest, mut received, mut at) = (Guest::new(loopback()), Vec::new(), 0);
    let handle = guest.connect(to);
    guest.until(handle, |socket| {
        if socket.can_send() && at < sent.len() {
            at += socket.send_slice(&sent[at..]).expect("it can");
            if at == sent.len() {
                socket.close();
            }
        }
        while socket.can_recv() {
            let taken = socket.recv(|bytes| (bytes.len(), bytes.to_vec()));
            received.extend(taken.expect("it can"));
        }
        at == sent.len() && matches!(socket.state(), State::TimeWait | State::Closed)
    });
    assert_eq!(echo.join().expect("no panic"), sent.len());
    assert!(received == sent);
}

#[test]
fn connections_that_lead_nowhere_are_refused() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let open = TcpListener::bind("127.0.0.1:0").expect("a port");
    let open_at = address(open.local_addr().expect("an address"));
    for (config, to) in [
        (loopback(), address(closed)),
        (Config::default(), open_at),
        (
            loopback(),
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, open_at.port()),
        ),
        (
            loopback(),
            SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 254), 80),
        ),
    ] {
        let mut guest = Guest::new(config);
        let handle = guest.connect(to);
        guest.until(handle, |socket| socket.state() == State::Closed);
    }
    open.set_nonblocking(true).expect("a listener");
    assert!(open.accept().is_err(), "nobody got through");
}

#[test]
fn a_forwarded_port_reaches_the_guest() {
    let free = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let SocketAddr::V4(host) = free else {
        panic!("an IPv4 address")
    };
    let forward = Forward {
        protocol: Protocol::Tcp,
        host,
        guest: 80,
    };
    let mut guest = Guest::new(Config {
        forwards: vec![forward],
        host_loopback: false,
    });
    let handle = guest.socket();
    guest
        .sockets
        .get_mut::<Socket>(handle)
        .listen(80)
        .expect("a free port");
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(host).expect("the router listens");
        stream.write_all(b"ping").expect("room");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        answer
    });
    guest.until(handle, |socket| {
        if socket.recv_queue() < 4 {
            return false;
        }
        socket.recv(|bytes| (bytes.len(), ())).expect("it can");
        socket.send_slice(b"pong").expect("room");
        socket.close();
        true
    });
    guest.until(handle, |socket| {
        matches!(socket.state(), State::TimeWait | State::Closed)
    });
    assert_eq!(client.join().expect("no panic"), b"pong");
}

#[test]
fn a_port_that_is_taken_is_named_in_the_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let SocketAddr::V4(host) = taken.local_addr().expect("an address") else {
        panic!("IPv4")
    };
    let forward = Forward {
        protocol: Protocol::Tcp,
        host,
        guest: 80,
    };
    let config = Config {
        forwards: vec![forward],
        host_loopback: false,
    };
    let error = Nat::start(config, Arc::new(Count::default()))
        .err()
        .expect("it is taken");
    assert!(
        matches!(error, NetError::Listen { .. }) && error.to_string().contains(&host.to_string())
    );
}

#[test]
fn datagrams_go_out_and_answers_come_back() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = address(server.local_addr().expect("an address"));
    let mut guest = Guest::new(loopback());
    guest.datagram(SocketAddrV4::new(GUEST, 999), to, b"ping");
    let mut bytes = [0; 100];
    let (length, peer) = server.recv_from(&mut bytes).expect("a datagram");
    assert_eq!(&bytes[..length], b"ping");
    server
        .send_to(&[1; 3000], peer)
        .expect("too long for the guest, so dropped");
    server.send_to(b"pong", peer).expect("sent");
    let (port, payload) = guest.frame(udp);
    assert_eq!((port, &payload[..4]), (to.port(), &b"pong"[..]));
}

#[test]
fn the_gateway_answers_pings_and_nobody_else_seems_to() {
    let mut guest = Guest::new(loopback());
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(GUEST_MAC),
        source_protocol_addr: GUEST,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: GATEWAY,
    };
    let question = ethernet(EthernetProtocol::Arp, arp.buffer_len(), |bytes| {
        arp.emit(&mut ArpPacket::new_unchecked(bytes));
    });
    guest.port.0.send(question);
    guest.port.0.send(ping(Ipv4Addr::new(192, 0, 2, 1), 1));
    guest.port.0.send(ping(GATEWAY, 2));
    let number = guest.frame(|frame| {
        let frame = EthernetFrame::new_unchecked(frame);
        (frame.ethertype() == EthernetProtocol::Ipv4).then(|| {
            let packet = Ipv4Packet::new_unchecked(frame.payload());
            Icmpv4Packet::new_unchecked(packet.payload()).echo_seq_no()
        })
    });
    assert_eq!(number, 2);
}

/// A guest with its port 53 forwarded, and where the host listens for it.
fn forwarded() -> (Guest, SocketAddrV4) {
    let free = UdpSocket::bind("127.0.0.1:0")
        .and_then(|s| s.local_addr())
        .expect("a port");
    let SocketAddr::V4(host) = free else {
        panic!("an IPv4 address")
    };
    let forward = Forward {
        protocol: Protocol::Udp,
        host,
        guest: 53,
    };
    let mut guest = Guest::new(Config {
        forwards: vec![forward],
        host_loopback: false,
    });
    // The router learns the guest's address from its frames.
    guest.datagram(
        SocketAddrV4::new(GUEST, 1),
        SocketAddrV4::new(GATEWAY, 1),
        b"",
    );
    (guest, host)
}

/// Sends a datagram to the guest and has it answered.
fn ask(guest: &mut Guest, client: &UdpSocket, host: SocketAddrV4) {
    client.send_to(b"ping", host).expect("sent");
    let (port, payload) = guest.frame(udp);
    assert_eq!(payload, b"ping");
    guest.datagram(
        SocketAddrV4::new(GUEST, 53),
        SocketAddrV4::new(GATEWAY, port),
        b"pong",
    );
    let mut bytes = [0; 100];
    client
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout");
    let (length, _) = client.recv_from(&mut bytes).expect("an answer");
    assert_eq!(&bytes[..length], b"pong");
}

#[test]
fn forwarded_datagrams_reach_the_guest_and_are_answered() {
    let (mut guest, host) = forwarded();
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    ask(&mut guest, &client, host);
}

#[test]
fn a_forward_of_datagrams_never_runs_out_of_peers() {
    let (mut guest, host) = forwarded();
    let first = UdpSocket::bind("127.0.0.1:0").expect("a port");
    ask(&mut guest, &first, host);
    for number in 0..300 {
        let address = Ipv4Addr::new(127, 0, 1 + (number / 100) as u8, 1 + (number % 100) as u8);
        let client = UdpSocket::bind((address, 0)).expect("a port");
        ask(&mut guest, &client, host);
    }
    ask(&mut guest, &first, host);
}

#[test]
fn frames_of_any_bytes_do_no_harm() {
    let mut random = Random::new();
    let mut guest = Guest::new(loopback());
    for count in 0..5000 {
        let mut frame: Vec<u8> = (0..random.below(200))
            .map(|_| random.next() as u8)
            .collect();
        let kinds: [&[u8]; 3] = [&[8, 0, 0x45, 0], &[8, 6, 0, 1], &[8, 0]];
        let kind = kinds[random.below(3) as usize];
        if frame.len() >= 40 {
            frame[12..12 + kind.len()].copy_from_slice(kind);
            frame[23] = [1, 6, 17][random.below(3) as usize];
        }
        guest.port.0.send(frame);
        guest.port.0.receive();
        if count % 200 == 0 {
            // Frames that come too fast are dropped.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(
        dhcp(&mut guest, DhcpMessageType::Discover, None),
        DhcpMessageType::Offer
    );
}
