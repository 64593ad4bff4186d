//! ioctl(2) on the host, for the requests whose structures are the same on every Linux host.

use super::Checked;
use crate::errno::Errno;

/// An ioctl with a structure that goes in and comes out.
pub(crate) fn with_buffer(fd: i32, request: u32, buffer: &mut [u8]) -> Result<u64, Errno> {
    // Some room behind, should a request be longer than our table says.
    let mut room = buffer.to_vec();
    room.resize(buffer.len() + 256, 0);
    // SAFETY: the buffer is longer than the structure that the request works on.
    let result = unsafe { libc::ioctl(fd, request as _, room.as_mut_ptr()) }.checked()?;
    let len = buffer.len();
    buffer.copy_from_slice(&room[..len]);
    Ok(result as u64)
}

/// An ioctl with a number.
pub(crate) fn with_number(fd: i32, request: u32, number: u64) -> Result<u64, Errno> {
    // SAFETY: the caller lists only requests that take a number.
    Ok(unsafe { libc::ioctl(fd, request as _, number as libc::c_ulong) }.checked()? as u64)
}
