//! The handler of SIGSEGV, SIGBUS and SIGILL.

use super::{HostFrame, recovery};
use crate::registry;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Once;

/// The handlers that were there before, for faults that are not ours.
struct Previous(UnsafeCell<[MaybeUninit<libc::sigaction>; SIGNALS.len()]>);
// SAFETY: written once under `INSTALL`, before a handler that reads it can run.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(UnsafeCell::new(
    [const { MaybeUninit::uninit() }; SIGNALS.len()],
));
static INSTALL: Once = Once::new();
const SIGNALS: [i32; 3] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL];

/// Installs the handler, once a process.
pub(crate) fn install() {
    INSTALL.call_once(|| {
        recovery::prepare();
        for (i, signal) in SIGNALS.into_iter().enumerate() {
            // SAFETY: zero is a valid sigaction, filled in below; the handler is async-signal-safe
            // and of the type that SA_SIGINFO asks for. `Once` makes this the only writer.
            unsafe {
                let previous = (*PREVIOUS.0.get())[i].as_mut_ptr();
                // Read first: a fault on another thread may need it the moment ours is installed.
                libc::sigaction(signal, std::ptr::null(), previous);
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_signal as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                // Nothing may interrupt the handler: it takes a spin lock.
                libc::sigfillset(&mut action.sa_mask);
                // It fails only for a signal that does not exist.
                libc::sigaction(signal, &action, std::ptr::null_mut());
            }
        }
    });
}

extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes valid pointers, ours alone until we return.
    let (address, code, frame) = unsafe {
        (
            (*info).si_addr() as usize,
            (*info).si_code,
            &mut *context.cast::<libc::ucontext_t>(),
        )
    };
    // A signal sent by kill() carries no fault address; its code is not positive.
    let mut frame = HostFrame::new(frame);
    let settled = code > 0
        && match signal {
            libc::SIGILL => registry::on_trap(&mut frame),
            _ => {
                let bus = cfg!(target_os = "linux") && signal == libc::SIGBUS;
                registry::on_fault(&mut frame, address, bus)
            }
        };
    if settled {
        return;
    }
    chain(signal, info, context);
}

/// Does what would have been done without us.
fn chain(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    let index = SIGNALS.iter().position(|&ours| ours == signal).unwrap_or(0);
    // SAFETY: `install` wrote it before this handler could run.
    let previous = unsafe { (*PREVIOUS.0.get())[index].assume_init_ref() };
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // The faulting instruction runs again and is then dealt with by default. A signal
            // that was sent, not caused, is raised again.
            // SAFETY: async-signal-safe calls with valid arguments.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &action, std::ptr::null_mut());
                if (*info).si_code <= 0 {
                    libc::raise(signal);
                }
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: whoever installed it with SA_SIGINFO gave a function of this type.
            let handler = unsafe {
                std::mem::transmute::<usize, extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void)>(
                    handler,
                )
            };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: whoever installed it without SA_SIGINFO gave a function of this type.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(i32)>(handler) };
            handler(signal);
        }
    }
}
