//! The router: a thread between the guest's frames and the host's sockets.

use super::frames::{self, Card, Kind, WAITING};
use super::tcp::Tcp;
use super::udp::Udp;
use super::{Config, GATEWAY, GATEWAY_MAC, Link, NAMES, NetError, PREFIX};
use crate::clock::Bell;
use rustix::event::{PollFd, PollFlags, Timespec};
use smoltcp::iface::{self, Interface, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::net::SocketAddrV4;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Ports of DHCP's client and server.
const CLIENT: u16 = 68;
const SERVER: u16 = 67;
/// How often connections are looked at that are being made, or wait for room.
const LOOK: Duration = Duration::from_secs(1);

/// A network of one guest. Its thread ends with this.
pub struct Nat {
    shared: Arc<Shared>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    from_guest: Mutex<VecDeque<Vec<u8>>>,
    to_guest: Mutex<VecDeque<Vec<u8>>>,
    /// A byte is on its way to wake the thread.
    woken: AtomicBool,
    closing: AtomicBool,
}

fn lock(frames: &Mutex<VecDeque<Vec<u8>>>) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
    frames.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Nat {
    /// Starts a network. Rings the bell whenever there are frames for the guest.
    pub fn start(config: Config, bell: Arc<dyn Bell>) -> Result<Nat, NetError> {
        let (wake, sleep) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        sleep.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            from_guest: Mutex::default(),
            to_guest: Mutex::default(),
            woken: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        });
        let mut router = Router::new(config, shared.clone(), bell, sleep)?;
        let builder = std::thread::Builder::new().name("bhv-net".into());
        let thread = builder.spawn(move || router.run())?;
        Ok(Nat {
            shared,
            wake,
            thread: Some(thread),
        })
    }

    fn wake(&self) {
        if !self.shared.woken.swap(true, Ordering::AcqRel) {
            // A full pipe wakes it too.
            let _ = (&self.wake).write(&[0]);
        }
    }
}

impl Link for Nat {
    fn send(&mut self, frame: Vec<u8>) {
        let mut frames = lock(&self.shared.from_guest);
        if frames.len() < WAITING {
            frames.push_back(frame);
        }
        drop(frames);
        self.wake();
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut frames = lock(&self.shared.to_guest);
        let was_full = frames.len() >= WAITING;
        let frame = frames.pop_front();
        drop(frames);
        if was_full {
            self.wake();
        }
        frame
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.woken.store(false, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Router {
    config: Config,
    shared: Arc<Shared>,
    bell: Arc<dyn Bell>,
    sleep: UnixStream,
    start: std::time::Instant,
    card: Card,
    interface: Interface,
    sockets: SocketSet<'static>,
    tcp: Tcp,
    udp: Udp,
    /// Where the guest's frames come from.
    guest: EthernetAddress,
}

impl Router {
    fn new(
        config: Config,
        shared: Arc<Shared>,
        bell: Arc<dyn Bell>,
        sleep: UnixStream,
    ) -> Result<Router, NetError> {
        let mut card = Card::default();
        let mut settings = iface::Config::new(EthernetAddress(GATEWAY_MAC).into());
        settings.random_seed = RandomState::new().build_hasher().finish();
        let mut interface = Interface::new(settings, &mut card, Instant::ZERO);
        interface.update_ip_addrs(|list| {
            for address in [GATEWAY, NAMES] {
                // There is room for two.
                let _ = list.push(IpCidr::Ipv4(Ipv4Cidr::new(address, PREFIX)));
            }
        });
        // Packets for any address are ours to take: the way to all of them leads to ourselves.
        interface.set_any_ip(true);
        let routed = interface.routes_mut().add_default_ipv4_route(GATEWAY);
        routed.map_err(|_| io::Error::other("no room for a route"))?;
        Ok(Router {
            tcp: Tcp::new(&config.forwards)?,
            udp: Udp::new(&config.forwards)?,
            config,
            shared,
            bell,
            sleep,
            start: std::time::Instant::now(),
            card,
            interface,
            sockets: SocketSet::new(Vec::new()),
            guest: EthernetAddress::BROADCAST,
        })
    }

    fn now(&self) -> Instant {
        let passed = self.start.elapsed().as_micros();
        Instant::from_micros(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    fn run(&mut self) {
        while !self.shared.closing.load(Ordering::Acquire) {
            let frames = std::mem::take(&mut *lock(&self.shared.from_guest));
            for frame in frames {
                self.take(frame);
            }
            self.stack();
            self.tcp.accept(&mut self.interface, &mut self.sockets);
            self.tcp.carry(&mut self.sockets, &mut self.card);
            let (card, guest) = (&mut self.card, self.guest);
            self.udp.receive(|from, to, bytes| {
                card.outgoing
                    .extend(frames::datagram(guest, from, to, bytes));
            });
            // What was carried is sent, and first frames of connections meet their sockets.
            self.stack();
            self.deliver();
            if self.wait().is_err() {
                return;
            }
        }
    }

    fn stack(&mut self) {
        let now = self.now();
        self.interface.poll(now, &mut self.card, &mut self.sockets);
    }

    /// A frame from the guest.
    fn take(&mut self, frame: Vec<u8>) {
        if let Some(source) = frames::source(&frame) {
            self.guest = source;
        }
        match frames::classify(&frame) {
            Kind::Connect(from, to) => {
                self.tcp
                    .connect(&self.config, from, to, frame, &mut self.card);
            }
            Kind::Datagram(_, to, bytes) if to.port() == SERVER => {
                let answer = frames::dhcp(&bytes).and_then(|answer| {
                    let from = SocketAddrV4::new(GATEWAY, SERVER);
                    let to = SocketAddrV4::new(std::net::Ipv4Addr::BROADCAST, CLIENT);
                    frames::datagram(self.guest, from, to, &answer)
                });
                self.card.outgoing.extend(answer);
            }
            Kind::Datagram(from, to, bytes) => self.udp.send(&self.config, from, to, &bytes),
            Kind::Stack => self.card.incoming.push_back(frame),
            Kind::Drop => {}
        }
    }

    /// Hands frames to the guest as long as it takes them.
    fn deliver(&mut self) {
        let mut frames = lock(&self.shared.to_guest);
        let room = WAITING
            .saturating_sub(frames.len())
            .min(self.card.outgoing.len());
        frames.extend(self.card.outgoing.drain(..room));
        drop(frames);
        // Datagrams that find no room get lost, as they may.
        self.card.outgoing.truncate(WAITING);
        if room > 0 {
            self.bell.ring();
        }
    }

    /// Sleeps until something happens.
    fn wait(&mut self) -> io::Result<()> {
        let stack = self
            .interface
            .poll_delay(self.now(), &self.sockets)
            .map(Duration::from);
        let look = self.tcp.is_impatient().then_some(LOOK);
        let timeout = stack.into_iter().chain(look).min().map(|timeout| Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        // A guest that takes no frames is waited for, whatever the stack would like to send.
        let full = lock(&self.shared.to_guest).len() >= WAITING;
        let timeout = if full { None } else { timeout };
        let mut list = vec![PollFd::new(&self.sleep, PollFlags::IN)];
        if !full {
            self.tcp.poll(&self.sockets, &mut list);
            self.udp.poll(&mut list);
        }
        match rustix::event::poll(&mut list, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Bytes first: one that is sent after the flag is down is not to be taken away.
        let mut bytes = [0; 64];
        while matches!((&self.sleep).read(&mut bytes), Ok(count) if count > 0) {}
        // A swap, so that what the guest did before it raised the flag is seen from here on.
        self.shared.woken.swap(false, Ordering::AcqRel);
        Ok(())
    }
}
