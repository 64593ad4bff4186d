//! Files as the guest sees them.

pub(crate) mod dirs;
pub(crate) mod epoll;
pub(crate) mod fds;
pub(crate) mod guard;
pub(crate) mod io;
pub(crate) mod ioctl;
pub(crate) mod lock;
pub(crate) mod meta;
pub(crate) mod open;
pub(crate) mod place;
pub(crate) mod poll;
pub(crate) mod private;
pub(crate) mod proc;
pub(crate) mod special;
pub(crate) mod transfer;
pub(crate) mod view;
pub(crate) mod walk;
