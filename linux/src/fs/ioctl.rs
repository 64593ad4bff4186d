//! ioctl: terminals, and the few requests that every file knows.

use super::open::set_nonblock;
use crate::abi::*;
use crate::call::{Call, SysResult};
use crate::errno::Errno;
use crate::host;

/// What an ioctl's argument is.
enum Argument {
    /// A structure of this many bytes that goes in and comes out.
    Buffer(usize),
    /// A structure that only comes out.
    Out(usize),
    /// A number.
    Number,
}

fn argument(request: u32) -> Option<Argument> {
    Some(match request {
        TCGETS => Argument::Out(36),
        TCSETS | TCSETSW | TCSETSF => Argument::Buffer(36),
        TIOCGPGRP | TIOCGSID | FIONREAD | TIOCGPTN => Argument::Out(4),
        TIOCSPGRP | TIOCSPTLCK => Argument::Buffer(4),
        TIOCGWINSZ => Argument::Out(8),
        TIOCSWINSZ => Argument::Buffer(8),
        TCSBRK | TCXONC | TCFLSH | TIOCEXCL | TIOCNXCL | TIOCSCTTY | TIOCNOTTY => Argument::Number,
        _ => return None,
    })
}

pub(crate) fn ioctl(call: &mut Call) -> SysResult {
    let (fd, request, at) = (call.int(0), call.uint(1), call.arg(2));
    let kernel = call.kernel.clone();
    kernel.fds.lock().get(fd)?;
    match request {
        FIOCLEX | FIONCLEX => {
            kernel.fds.lock().get_mut(fd)?.cloexec = request == FIOCLEX;
            return Ok(0);
        }
        FIONBIO => {
            let on = u32::from_le_bytes(call.read(at)?) != 0;
            set_nonblock(&kernel, fd, on)?;
            return Ok(0);
        }
        // Copying is then done by reading and writing.
        FICLONE => return Err(Errno::EOPNOTSUPP.into()),
        _ => {}
    }
    match argument(request).ok_or(Errno::ENOTTY)? {
        Argument::Buffer(size) => {
            let mut buffer = call.task.guest.read_vec(at, size)?;
            Ok(host::tty::with_buffer(fd, request, &mut buffer)?)
        }
        Argument::Out(size) => {
            let mut buffer = vec![0; size];
            let result = host::tty::with_buffer(fd, request, &mut buffer)?;
            call.write(at, &buffer)?;
            Ok(result)
        }
        Argument::Number => Ok(host::tty::with_number(fd, request, at)?),
    }
}
