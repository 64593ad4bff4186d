//! The registers of a thread that a host signal stopped.

use libc::ucontext_t;

/// What the thread will go on with when the signal handler returns. Integer registers are numbered
/// as the host's instructions number them (x86-64: rax 0, rcx 1, rdx 2, rbx 3, rsp 4, rbp 5, rsi
/// 6, rdi 7, r8 to r15; aarch64: x0 to x30).
pub struct HostFrame<'a> {
    context: &'a mut ucontext_t,
}

impl<'a> HostFrame<'a> {
    pub(crate) fn new(context: &'a mut ucontext_t) -> HostFrame<'a> {
        HostFrame { context }
    }

    /// Address of the next instruction.
    pub fn pc(&self) -> usize {
        self.context.pc() as usize
    }
    /// Goes on at another instruction.
    pub fn set_pc(&mut self, pc: usize) {
        self.context.set_pc(pc as u64);
    }
    /// The stack pointer.
    pub fn sp(&self) -> usize {
        self.context.sp() as usize
    }
    /// An integer register; 0 for a number that the host does not have.
    pub fn register(&self, number: usize) -> u64 {
        self.context.register(number)
    }
    /// Changes an integer register; does nothing for a number that the host does not have.
    pub fn set_register(&mut self, number: usize, value: u64) {
        self.context.set_register(number, value);
    }
    /// Whether a faulting access was a write, if the host says so.
    pub(crate) fn is_write(&self) -> Option<bool> {
        self.context.is_write()
    }
}

/// What differs between hosts.
trait Context {
    fn pc(&self) -> u64;
    fn set_pc(&mut self, pc: u64);
    fn sp(&self) -> u64;
    fn register(&self, number: usize) -> u64;
    fn set_register(&mut self, number: usize, value: u64);
    fn is_write(&self) -> Option<bool>;
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod x86_64_linux {
    use libc::{
        REG_ERR, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RAX,
        REG_RBP, REG_RBX, REG_RCX, REG_RDI, REG_RDX, REG_RIP, REG_RSI, REG_RSP,
    };

    const NUMBERED: [i32; 16] = [
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9,
        REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
    ];

    impl super::Context for libc::ucontext_t {
        fn pc(&self) -> u64 {
            self.uc_mcontext.gregs[REG_RIP as usize] as u64
        }
        fn set_pc(&mut self, pc: u64) {
            self.uc_mcontext.gregs[REG_RIP as usize] = pc as i64;
        }
        fn sp(&self) -> u64 {
            self.uc_mcontext.gregs[REG_RSP as usize] as u64
        }
        fn register(&self, number: usize) -> u64 {
            NUMBERED
                .get(number)
                .map_or(0, |&r| self.uc_mcontext.gregs[r as usize] as u64)
        }
        fn set_register(&mut self, number: usize, value: u64) {
            if let Some(&r) = NUMBERED.get(number) {
                self.uc_mcontext.gregs[r as usize] = value as i64;
            }
        }
        fn is_write(&self) -> Option<bool> {
            // Bit 1 of the page-fault error code.
            Some(self.uc_mcontext.gregs[REG_ERR as usize] & 2 != 0)
        }
    }
}

#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
mod aarch64_linux {
    impl super::Context for libc::ucontext_t {
        fn pc(&self) -> u64 {
            self.uc_mcontext.pc
        }
        fn set_pc(&mut self, pc: u64) {
            self.uc_mcontext.pc = pc;
        }
        fn sp(&self) -> u64 {
            self.uc_mcontext.sp
        }
        fn register(&self, number: usize) -> u64 {
            self.uc_mcontext.regs.get(number).copied().unwrap_or(0)
        }
        fn set_register(&mut self, number: usize, value: u64) {
            if let Some(r) = self.uc_mcontext.regs.get_mut(number) {
                *r = value;
            }
        }
        fn is_write(&self) -> Option<bool> {
            // The syndrome sits in an extension record that older kernels leave out.
            None
        }
    }
}

#[cfg(all(target_arch = "aarch64", target_os = "macos"))]
mod aarch64_macos {
    use libc::__darwin_mcontext64;

    fn machine(context: &libc::ucontext_t) -> &__darwin_mcontext64 {
        // SAFETY: the kernel points it at the machine context beside the signal frame.
        unsafe { &*context.uc_mcontext }
    }
    fn machine_mut(context: &mut libc::ucontext_t) -> &mut __darwin_mcontext64 {
        // SAFETY: the kernel points it at the machine context beside the signal frame.
        unsafe { &mut *context.uc_mcontext }
    }

    impl super::Context for libc::ucontext_t {
        fn pc(&self) -> u64 {
            machine(self).__ss.__pc
        }
        fn set_pc(&mut self, pc: u64) {
            machine_mut(self).__ss.__pc = pc;
        }
        fn sp(&self) -> u64 {
            machine(self).__ss.__sp
        }
        fn register(&self, number: usize) -> u64 {
            let state = &machine(self).__ss;
            match number {
                0..=28 => state.__x[number],
                29 => state.__fp,
                30 => state.__lr,
                _ => 0,
            }
        }
        fn set_register(&mut self, number: usize, value: u64) {
            let state = &mut machine_mut(self).__ss;
            match number {
                0..=28 => state.__x[number] = value,
                29 => state.__fp = value,
                30 => state.__lr = value,
                _ => {}
            }
        }
        fn is_write(&self) -> Option<bool> {
            // WnR, bit 6 of the syndrome of a data abort.
            Some(machine(self).__es.__esr & 1 << 6 != 0)
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "macos"))]
compile_error!("Intel Macs are not supported: only x86-64 Linux, aarch64 Linux and aarch64 macOS");
