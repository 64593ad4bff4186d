//! Faults that are not the guest's go to whoever handled them before. A test of its own process,
//! since signal handlers belong to the process.

use memory::{PAGE, Place, Protection, Sharing, UserSpace};
use std::sync::atomic::{AtomicUsize, Ordering};

static CAUGHT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn earlier(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid pointer; the page at the address is the test's own.
    unsafe {
        let address = (*info).si_addr();
        CAUGHT.store(address as usize, Ordering::SeqCst);
        libc::mprotect(address, PAGE as usize, libc::PROT_READ | libc::PROT_WRITE);
    }
}

#[test]
fn a_fault_outside_all_spaces_reaches_the_earlier_handler() {
    // SAFETY: zero is a valid sigaction; the handler is of the type that SA_SIGINFO asks for.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = earlier as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(
            libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut()),
            0
        );
    }
    let space = UserSpace::reserve().unwrap();
    let place = Place::Fixed(0x10_0000);
    space
        .map_anonymous(place, PAGE, Protection::READ, Sharing::Private, None)
        .unwrap();
    // SAFETY: a fresh page of our own.
    let page = unsafe {
        let anywhere = std::ptr::null_mut();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        libc::mmap(anywhere, PAGE as usize, libc::PROT_NONE, flags, -1, 0)
    };
    // SAFETY: the handler makes the page accessible.
    unsafe { page.cast::<u8>().write_volatile(1) };
    assert_eq!(CAUGHT.load(Ordering::SeqCst), page as usize);
    assert!(space.store(0x10_0000, 1_u8).is_err());
    assert_eq!(CAUGHT.load(Ordering::SeqCst), page as usize);
}
