//! Sockets of the host. Addresses, levels and options have the same layout on all Linux hosts.

use super::Checked;
use crate::errno::Errno;

type SockLen = libc::socklen_t;

pub(crate) fn socket(domain: u32, kind: u32, protocol: u32) -> Result<i32, Errno> {
    let kind = kind as i32 | libc::SOCK_CLOEXEC;
    // SAFETY: plain system call.
    unsafe { libc::socket(domain as i32, kind, protocol as i32) }.checked()
}
pub(crate) fn pair(domain: u32, kind: u32, protocol: u32) -> Result<(i32, i32), Errno> {
    let mut fds = [0; 2];
    let kind = kind as i32 | libc::SOCK_CLOEXEC;
    // SAFETY: room for two.
    unsafe { libc::socketpair(domain as i32, kind, protocol as i32, fds.as_mut_ptr()) }
        .checked()?;
    Ok((fds[0], fds[1]))
}
pub(crate) fn bind(fd: i32, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::bind(fd, address.as_ptr().cast(), address.len() as SockLen) }.checked()?;
    Ok(())
}
pub(crate) fn connect(fd: i32, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::connect(fd, address.as_ptr().cast(), address.len() as SockLen) }.checked()?;
    Ok(())
}
pub(crate) fn listen(fd: i32, backlog: i32) -> Result<(), Errno> {
    // SAFETY: plain system call.
    unsafe { libc::listen(fd, backlog) }.checked()?;
    Ok(())
}
pub(crate) fn shutdown(fd: i32, how: i32) -> Result<(), Errno> {
    // SAFETY: plain system call.
    unsafe { libc::shutdown(fd, how) }.checked()?;
    Ok(())
}

/// The room for any address.
const ADDRESS: usize = 128;

/// accept4, getsockname and getpeername: a result and an address.
pub(crate) fn accept(fd: i32, flags: u32) -> Result<(i32, Vec<u8>), Errno> {
    let flags = flags as i32 | libc::SOCK_CLOEXEC;
    // SAFETY: `with_address` passes a valid buffer and its length.
    with_address(|address, len| unsafe { libc::accept4(fd, address, len, flags) })
}
pub(crate) fn own_name(fd: i32) -> Result<Vec<u8>, Errno> {
    // SAFETY: as above.
    Ok(with_address(|address, len| unsafe { libc::getsockname(fd, address, len) })?.1)
}
pub(crate) fn peer_name(fd: i32) -> Result<Vec<u8>, Errno> {
    // SAFETY: as above.
    Ok(with_address(|address, len| unsafe { libc::getpeername(fd, address, len) })?.1)
}
fn with_address(
    call: impl FnOnce(*mut libc::sockaddr, *mut SockLen) -> i32,
) -> Result<(i32, Vec<u8>), Errno> {
    let mut buffer = vec![0u8; ADDRESS];
    let mut len = ADDRESS as SockLen;
    let result = call(buffer.as_mut_ptr().cast(), &mut len).checked()?;
    buffer.truncate((len as usize).min(ADDRESS));
    Ok((result, buffer))
}

pub(crate) fn option(fd: i32, level: i32, name: i32, room: usize) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0u8; room];
    let mut len = room as SockLen;
    // SAFETY: the buffer is valid for its length.
    unsafe { libc::getsockopt(fd, level, name, buffer.as_mut_ptr().cast(), &mut len) }.checked()?;
    buffer.truncate((len as usize).min(room));
    Ok(buffer)
}
pub(crate) fn set_option(fd: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: the buffer is valid for its length.
    unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            value.as_ptr().cast(),
            value.len() as SockLen,
        )
    }
    .checked()?;
    Ok(())
}

/// A message as sendmsg and recvmsg have it, its data in one piece.
#[derive(Default)]
pub(crate) struct Message {
    pub address: Vec<u8>,
    pub data: Vec<u8>,
    pub control: Vec<u8>,
    pub flags: u32,
}

const DONT_WAIT: i32 = libc::MSG_DONTWAIT;

pub(crate) fn send_now(fd: i32, message: &mut Message) -> Result<usize, Errno> {
    let mut iov = iovec(&mut message.data);
    let header = header(message, &mut iov);
    // MSG_NOSIGNAL: the guest's SIGPIPE is raised by us.
    let flags = message.flags as i32 | DONT_WAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header points to live buffers with their lengths.
    Ok(unsafe { libc::sendmsg(fd, &header, flags) }.checked()? as usize)
}

/// Receives into the message's buffers, whose lengths say how much fits; they are cut to what
/// came. The return value counts data bytes, with MSG_TRUNC all of the datagram.
pub(crate) fn receive_now(fd: i32, message: &mut Message) -> Result<usize, Errno> {
    let mut iov = iovec(&mut message.data);
    let mut header = header(message, &mut iov);
    let flags = message.flags as i32 | DONT_WAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: as above.
    let len = unsafe { libc::recvmsg(fd, &mut header, flags) }.checked()? as usize;
    message.address.truncate(header.msg_namelen as usize);
    message.control.truncate(header.msg_controllen);
    message.data.truncate(len);
    message.flags = (header.msg_flags & !libc::MSG_CMSG_CLOEXEC) as u32;
    Ok(len)
}

fn iovec(data: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: data.len(),
    }
}

fn header(message: &mut Message, iov: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: an all-zero msghdr is valid.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if !message.address.is_empty() {
        header.msg_name = message.address.as_mut_ptr().cast();
        header.msg_namelen = message.address.len() as SockLen;
    }
    header.msg_iov = iov;
    header.msg_iovlen = 1;
    if !message.control.is_empty() {
        header.msg_control = message.control.as_mut_ptr().cast();
        header.msg_controllen = message.control.len() as _;
    }
    header
}
