//! Connections: on one side the guest's with our TCP/IP stack, on the other the host's socket, and
//! bytes carried between them.

use super::{Config, Forward, GATEWAY, GUEST, NetError, Protocol, frames::Card};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketType, sockopt};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Connections at once.
const MOST: usize = 512;
/// Bytes of a connection that wait in each direction.
const BUFFER: usize = 256 << 10;
/// How long the host may take to connect.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ports of the gateway's from which forwarded connections come.
const PORTS: std::ops::Range<u16> = 10_000..50_000;

pub(super) struct Tcp {
    flows: Vec<Flow>,
    listeners: Vec<(TcpListener, u16)>,
    next_port: u16,
    /// Connections at once.
    most: usize,
    /// No more can be taken at the moment.
    paused: bool,
}

struct Flow {
    guest: SocketAddrV4,
    /// As the guest knows it.
    remote: SocketAddrV4,
    host: TcpStream,
    phase: Phase,
}

enum Phase {
    /// The guest's first frame waits until the host is connected.
    Connecting { syn: Vec<u8>, since: Instant },
    /// Bytes are carried. Says which sides have sent their last.
    Open {
        socket: SocketHandle,
        host_ended: bool,
        guest_ended: bool,
    },
}

impl Tcp {
    /// Listens where connections are to be forwarded.
    pub fn new(forwards: &[Forward]) -> Result<Tcp, NetError> {
        let mut listeners = Vec::new();
        for forward in forwards.iter().filter(|f| f.protocol == Protocol::Tcp) {
            let bound = TcpListener::bind(forward.host).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            let listener = bound.map_err(|source| NetError::Listen {
                address: forward.host,
                guest: forward.guest,
                source,
            })?;
            listeners.push((listener, forward.guest));
        }
        Ok(Tcp {
            flows: Vec::new(),
            listeners,
            next_port: PORTS.start,
            most: MOST,
            paused: false,
        })
    }

    /// The guest asks for a connection. One that cannot be goes to the stack, which knows nothing
    /// of it and refuses it.
    pub fn connect(
        &mut self,
        config: &Config,
        guest: SocketAddrV4,
        remote: SocketAddrV4,
        syn: Vec<u8>,
        card: &mut Card,
    ) {
        let known = self
            .flows
            .iter()
            .find(|f| f.guest == guest && f.remote == remote);
        match known.map(|flow| &flow.phase) {
            // It asks again while the host is still connecting.
            Some(Phase::Connecting { .. }) => return,
            Some(Phase::Open { .. }) => return card.incoming.push_back(syn),
            None => {}
        }
        let host = config
            .host_address(remote)
            .filter(|_| self.flows.len() < self.most);
        match host.map(start) {
            Some(Ok(host)) => self.flows.push(Flow {
                guest,
                remote,
                host,
                phase: Phase::Connecting {
                    syn,
                    since: Instant::now(),
                },
            }),
            Some(Err(_)) | None => card.incoming.push_back(syn),
        }
    }

    /// Takes connections that arrive at forwarded ports.
    pub fn accept(&mut self, interface: &mut Interface, sockets: &mut SocketSet<'static>) {
        self.paused = false;
        for (listener, port) in &self.listeners {
            loop {
                if self.flows.len() >= self.most {
                    self.paused = true;
                    break;
                }
                let host = match listener.accept() {
                    Ok((host, _)) => host,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    // The one that came has gone, or the host has no room for more files.
                    Err(_) => {
                        self.paused = true;
                        break;
                    }
                };
                let local = SocketAddrV4::new(GATEWAY, self.next_port);
                let following = self.next_port + 1;
                self.next_port = if following < PORTS.end {
                    following
                } else {
                    PORTS.start
                };
                let guest = SocketAddrV4::new(GUEST, *port);
                let mut socket = socket();
                let remote = (*guest.ip(), guest.port());
                let connected =
                    socket.connect(interface.context(), remote, (*local.ip(), local.port()));
                if connected.is_ok() && host.set_nonblocking(true).is_ok() {
                    self.flows.push(Flow {
                        guest,
                        remote: local,
                        host,
                        phase: Phase::Open {
                            socket: sockets.add(socket),
                            host_ended: false,
                            guest_ended: false,
                        },
                    });
                }
            }
        }
    }

    /// Carries bytes, and ends what has ended.
    pub fn carry(&mut self, sockets: &mut SocketSet<'static>, card: &mut Card) {
        self.flows.retain_mut(|flow| match &mut flow.phase {
            Phase::Connecting { syn, since } => {
                match connected(&flow.host) {
                    Ok(false) if since.elapsed() < PATIENCE => return true,
                    Ok(true) => {
                        let mut socket = socket();
                        let here = (*flow.remote.ip(), flow.remote.port());
                        if socket.listen(here).is_ok() {
                            card.incoming.push_back(std::mem::take(syn));
                            flow.phase = Phase::Open {
                                socket: sockets.add(socket),
                                host_ended: false,
                                guest_ended: false,
                            };
                            return true;
                        }
                    }
                    Ok(false) | Err(_) => {}
                }
                card.incoming.push_back(std::mem::take(syn));
                false
            }
            Phase::Open {
                socket,
                host_ended,
                guest_ended,
            } => {
                let side = sockets.get_mut::<Socket>(*socket);
                carry(side, &mut flow.host, host_ended, guest_ended);
                let open = side.state() != State::Closed;
                if !open {
                    sockets.remove(*socket);
                }
                open
            }
        });
    }

    /// What to wait for.
    pub fn poll<'a>(&'a self, sockets: &SocketSet<'static>, list: &mut Vec<PollFd<'a>>) {
        // Who waits at a door that stays shut would be reported again and again.
        let listeners = self.listeners.iter().filter(|_| !self.paused);
        list.extend(listeners.map(|(listener, _)| PollFd::new(listener, PollFlags::IN)));
        for flow in &self.flows {
            let wanted = match &flow.phase {
                Phase::Connecting { .. } => PollFlags::OUT,
                Phase::Open {
                    socket, host_ended, ..
                } => {
                    let side = sockets.get::<Socket>(*socket);
                    let mut wanted = PollFlags::empty();
                    wanted.set(PollFlags::IN, !host_ended && side.can_send());
                    wanted.set(PollFlags::OUT, side.can_recv());
                    wanted
                }
            };
            // A socket that nothing is wanted of would still report that it has been closed.
            if !wanted.is_empty() {
                list.push(PollFd::new(&flow.host, wanted));
            }
        }
    }

    /// Whether time alone may change something: a connection is being made, whose time may run
    /// out, or others have to wait until there is room.
    pub fn is_impatient(&self) -> bool {
        let connecting = |flow: &Flow| matches!(flow.phase, Phase::Connecting { .. });
        self.paused || self.flows.iter().any(connecting)
    }
}

fn socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    socket
}

/// Starts a connection; it is there when the socket can be written to.
fn start(address: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    match rustix::net::connect(&stream, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(stream),
        Err(error) => Err(error.into()),
    }
}

/// Whether a connection that was started is there by now.
fn connected(stream: &TcpStream) -> io::Result<bool> {
    sockopt::socket_error(stream)??;
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

fn carry(
    side: &mut Socket<'_>,
    host: &mut TcpStream,
    host_ended: &mut bool,
    guest_ended: &mut bool,
) {
    let mut failed = false;
    while side.can_recv() && !failed {
        match side.recv(|bytes| amount(host.write(bytes))) {
            Ok(Ok(_)) => {}
            Ok(Err(ErrorKind::WouldBlock)) => break,
            Ok(Err(_)) | Err(_) => failed = true,
        }
    }
    let ended = matches!(
        side.state(),
        State::CloseWait | State::Closing | State::LastAck | State::TimeWait
    );
    if ended && !*guest_ended && !side.can_recv() {
        *guest_ended = true;
        // It fails if the other end has gone: then reading says so.
        let _ = host.shutdown(Shutdown::Write);
    }
    while side.can_send() && !*host_ended && !failed {
        match side.send(|room| amount(host.read(room))) {
            Ok(Ok(0)) => {
                *host_ended = true;
                side.close();
            }
            Ok(Ok(_)) => {}
            Ok(Err(ErrorKind::WouldBlock)) => break,
            Ok(Err(_)) | Err(_) => failed = true,
        }
    }
    if failed {
        side.abort();
    }
}

/// What the stack is told was taken or filled, and what we want to know.
fn amount(result: io::Result<usize>) -> (usize, Result<usize, ErrorKind>) {
    match result {
        Ok(count) => (count, Ok(count)),
        Err(error) if error.kind() == ErrorKind::Interrupted => (0, Err(ErrorKind::WouldBlock)),
        Err(error) => (0, Err(error.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::iface::Config as Settings;
    use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};

    #[test]
    fn a_listener_is_not_waited_for_while_there_is_no_room() {
        let forward = Forward {
            protocol: Protocol::Tcp,
            host: SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0),
            guest: 80,
        };
        let mut tcp = Tcp::new(&[forward]).expect("a port");
        tcp.most = 1;
        let mut card = Card::default();
        let settings = Settings::new(EthernetAddress([2; 6]).into());
        let now = smoltcp::time::Instant::ZERO;
        let mut interface = Interface::new(settings, &mut card, now);
        interface.update_ip_addrs(|list| {
            let address = IpCidr::Ipv4(Ipv4Cidr::new(GATEWAY, 24));
            list.push(address).expect("room for one");
        });
        let mut sockets = SocketSet::new(Vec::new());
        let address = tcp.listeners[0].0.local_addr().expect("its address");
        let mut accept = |tcp: &mut Tcp| {
            // What has been connected to has arrived at the listener by then, or is about to.
            let mut list = vec![PollFd::new(&tcp.listeners[0].0, PollFlags::IN)];
            rustix::event::poll(&mut list, None).expect("a connection");
            tcp.accept(&mut interface, &mut sockets);
            let mut list = Vec::new();
            tcp.poll(&sockets, &mut list);
            (tcp.flows.len(), tcp.is_impatient(), list.len())
        };
        let _clients = [(); 2].map(|()| TcpStream::connect(address).expect("a connection"));
        let full = accept(&mut tcp);
        assert_eq!((full.0, full.1), (1, true));
        tcp.most = 3;
        let taken = accept(&mut tcp);
        assert_eq!((taken.0, taken.1), (2, false));
        assert_eq!(full.2 + 1, taken.2, "the listener is waited for again");
    }
}
