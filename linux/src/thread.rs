//! Threads: clone, exit, scheduling.

use crate::abi::structs::{Reader, Writer};
use crate::abi::*;
use crate::call::{Call, Fail, SysResult};
use crate::children;
use crate::errno::Errno;
use crate::observer::Event;
use crate::process::Exit;
use crate::signal::frame::AltStack;
use crate::task::Task;
use crate::{host, threads};

/// What clone and clone3 ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CloneArgs {
    pub flags: u64,
    /// The new thread's stack pointer; 0 keeps the old one.
    pub sp: u64,
    pub parent_tid: u64,
    pub child_tid: u64,
    pub tls: u64,
    pub pidfd: u64,
}

pub(crate) fn clone(call: &mut Call) -> SysResult {
    // riscv64 has CONFIG_CLONE_BACKWARDS: tls comes before child_tid.
    let [flags, sp, parent_tid, tls, child_tid, _] = call.args;
    let flags = flags & !CSIGNAL;
    let pidfd = parent_tid;
    run(
        call,
        CloneArgs {
            flags,
            sp,
            parent_tid,
            child_tid,
            tls,
            pidfd,
        },
    )
}

pub(crate) fn clone3(call: &mut Call) -> SysResult {
    let size = call.arg(1);
    if !(64..=4096).contains(&size) {
        return Err(Errno::EINVAL.into());
    }
    let raw = call.task.guest.read_vec(call.arg(0), size as usize)?;
    let reader = Reader(&raw);
    let stack = reader.u64(40);
    let args = CloneArgs {
        flags: reader.u64(0),
        pidfd: reader.u64(8),
        child_tid: reader.u64(16),
        parent_tid: reader.u64(24),
        sp: if stack == 0 {
            0
        } else {
            stack.wrapping_add(reader.u64(48))
        },
        tls: reader.u64(56),
    };
    // set_tid and cgroup are for container managers.
    if size > 64 && raw[64..].iter().any(|&byte| byte != 0) {
        return Err(Errno::EINVAL.into());
    }
    run(call, args)
}

fn run(call: &mut Call, args: CloneArgs) -> SysResult {
    const OF_THREADS: u64 = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    if args.flags & CLONE_NEW_ANY != 0 {
        return Err(Errno::EPERM.into());
    }
    if args.flags & CLONE_THREAD == 0 {
        if args.flags & (CLONE_VM | CLONE_VFORK) == CLONE_VM {
            // A process that shares its memory and runs beside this one.
            return Err(Errno::EINVAL.into());
        }
        return children::fork(call, &args);
    }
    if args.flags & OF_THREADS != OF_THREADS {
        // Threads that share less than everything: nobody's C library makes them.
        return Err(Errno::EINVAL.into());
    }
    new_thread(call, &args)
}

/// What the new thread or process starts with.
pub(crate) fn set_up(task: &mut Task, args: &CloneArgs) {
    let state = task.cpu.state_mut();
    state.x[10] = 0;
    state.pc = state.pc.wrapping_add(4);
    state.reservation = Default::default();
    if args.sp != 0 {
        state.x[2] = args.sp;
    }
    if args.flags & CLONE_SETTLS != 0 {
        state.x[4] = args.tls;
    }
    if args.flags & CLONE_CHILD_CLEARTID != 0 {
        task.clear_tid = args.child_tid;
    }
}

fn new_thread(call: &mut Call, args: &CloneArgs) -> SysResult {
    let kernel = call.kernel.clone();
    let exact = kernel.exact();
    let mut cpu = call.task.cpu.new_thread();
    *cpu.state_mut() = *call.task.cpu.state();
    let mut task = Task::new(kernel.clone(), cpu, 0);
    set_up(&mut task, args);
    task.set_mask(call.task.mask());
    task.name = call.task.name;
    task.altstack = AltStack::default();
    let announce = |task: &mut Task| {
        let tid = task.tid;
        task.shared
            .tid
            .store(tid, std::sync::atomic::Ordering::SeqCst);
        kernel.tasks.lock().by_tid.insert(tid, task.shared.clone());
        kernel.tell(&Event::Started {
            tid,
            state: task.state(),
        });
    };
    if !exact {
        // The thread's number is the host's, which only exists once the host thread runs; the
        // guest must find it written before either thread goes on.
        let (args, creator) = (*args, call.task.guest.space().clone());
        let result = threads::spawn(task, move |task| {
            let tid = task.tid;
            for (flag, at) in [
                (CLONE_PARENT_SETTID, args.parent_tid),
                (CLONE_CHILD_SETTID, args.child_tid),
            ] {
                if args.flags & flag != 0 {
                    // As on Linux: a bad address is the guest's problem.
                    let _ = creator.store(at, tid as u32);
                }
            }
            announce(task);
        });
        return result
            .map(|tid| tid as u64)
            .map_err(|_| Errno::EAGAIN.into());
    }
    let tid = {
        let mut tasks = kernel.tasks.lock();
        let tid = tasks.next_tid;
        tasks.next_tid += 1;
        tid
    };
    task.tid = tid;
    announce(&mut task);
    for (flag, at) in [
        (CLONE_PARENT_SETTID, args.parent_tid),
        (CLONE_CHILD_SETTID, args.child_tid),
    ] {
        if args.flags & flag != 0 {
            // As on Linux: a bad address is the guest's problem.
            let _ = call.task.guest.write_u32(at, tid as u32);
        }
    }
    kernel.tasks.lock().born.push(task);
    Ok(tid as u64)
}

pub(crate) fn exit(call: &mut Call) -> SysResult {
    if is_held(call) && call.kernel.tasks.lock().by_tid.len() == 1 {
        return Err(Fail::Held);
    }
    Err(Fail::ExitThread(call.int(0) & 0xff))
}

/// Whether the process is to stop instead of exiting.
fn is_held(call: &Call) -> bool {
    call.kernel.exact()
        && call
            .kernel
            .hold_exit
            .load(std::sync::atomic::Ordering::SeqCst)
}

pub(crate) fn exit_group(call: &mut Call) -> SysResult {
    if is_held(call) {
        return Err(Fail::Held);
    }
    Err(Fail::ExitProcess(Exit::Code(call.int(0) & 0xff)))
}

pub(crate) fn gettid(call: &mut Call) -> SysResult {
    Ok(call.task.tid as u64)
}

pub(crate) fn set_tid_address(call: &mut Call) -> SysResult {
    call.task.clear_tid = call.arg(0);
    Ok(call.task.tid as u64)
}

pub(crate) fn sched_yield(call: &mut Call) -> SysResult {
    if call.kernel.exact() {
        // Everybody else gets a turn first.
        if call.task.pending.progress == 0 && call.kernel.tasks.lock().by_tid.len() > 1 {
            call.task.pending.progress = u64::MAX;
            let deadline = Some(call.kernel.clock.monotonic());
            return Err(Fail::Block(crate::call::Wait::until(deadline)));
        }
        call.task.pending.progress = 0;
        return Ok(0);
    }
    host::process::yield_now();
    Ok(0)
}

pub(crate) fn sched_getaffinity(call: &mut Call) -> SysResult {
    let size = call.arg(1);
    let mask = if call.kernel.exact() {
        [1].as_slice().into()
    } else {
        host::process::affinity().to_vec()
    };
    let used = mask
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(1, |last| last + 1);
    let needed = used.next_multiple_of(8);
    if size < needed as u64 || !size.is_multiple_of(8) {
        return Err(Errno::EINVAL.into());
    }
    let mut out = mask;
    out.resize(needed.max(8), 0);
    call.write(call.arg(2), &out)?;
    Ok(out.len() as u64)
}

/// Where a thread runs, and with which policy, is the host's business.
pub(crate) fn accepted(_: &mut Call) -> SysResult {
    Ok(0)
}

/// SCHED_OTHER.
pub(crate) fn sched_getscheduler(_: &mut Call) -> SysResult {
    Ok(0)
}

/// `struct sched_param` of a thread of SCHED_OTHER: priority 0.
pub(crate) fn sched_getparam(call: &mut Call) -> SysResult {
    call.write(call.arg(1), &[0; 4])?;
    Ok(0)
}

/// The range of priorities of a policy: FIFO and RR have 1 to 99.
pub(crate) fn sched_priority_max(call: &mut Call) -> SysResult {
    priority(call, 99)
}
pub(crate) fn sched_priority_min(call: &mut Call) -> SysResult {
    priority(call, 1)
}
fn priority(call: &Call, real_time: u64) -> SysResult {
    match call.arg(0) {
        1 | 2 => Ok(real_time),
        0 | 3 | 5 => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(crate) fn getcpu(call: &mut Call) -> SysResult {
    let cpu = if call.kernel.exact() {
        0
    } else {
        host::process::current_cpu()
    };
    for (n, value) in [(0, cpu), (1, 0)] {
        if call.arg(n) != 0 {
            call.write(call.arg(n), &value.to_le_bytes())?;
        }
    }
    Ok(0)
}

/// Memory barriers on all threads: every host instruction that could be reordered is behind us
/// once the other threads were interrupted; a fence here is enough for what the host guarantees.
pub(crate) fn membarrier(call: &mut Call) -> SysResult {
    const QUERY: i32 = 0;
    match call.int(0) {
        QUERY => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(crate) fn prctl(call: &mut Call) -> SysResult {
    const PR_SET_PDEATHSIG: u64 = 1;
    const PR_GET_PDEATHSIG: u64 = 2;
    const PR_GET_DUMPABLE: u64 = 3;
    const PR_SET_DUMPABLE: u64 = 4;
    const PR_SET_NAME: u64 = 15;
    const PR_GET_NAME: u64 = 16;
    const PR_CAPBSET_READ: u64 = 23;
    const PR_SET_TIMERSLACK: u64 = 29;
    const PR_GET_TIMERSLACK: u64 = 30;
    const PR_SET_NO_NEW_PRIVS: u64 = 38;
    const PR_GET_NO_NEW_PRIVS: u64 = 39;
    match call.arg(0) {
        PR_SET_NAME => {
            let name = call
                .task
                .guest
                .string(call.arg(1), 16, Errno::EINVAL)
                .or_else(|_| call.task.guest.read_vec(call.arg(1), 15))?;
            call.task.name = [0; 16];
            call.task.name[..name.len()].copy_from_slice(&name);
            host::process::set_thread_name(&call.task.name);
            Ok(0)
        }
        PR_GET_NAME => {
            let name = call.task.name;
            call.write(call.arg(1), &name)?;
            Ok(0)
        }
        PR_GET_PDEATHSIG => {
            call.write(call.arg(1), &[0; 4])?;
            Ok(0)
        }
        PR_SET_PDEATHSIG | PR_SET_DUMPABLE | PR_SET_TIMERSLACK | PR_SET_NO_NEW_PRIVS => Ok(0),
        PR_GET_DUMPABLE | PR_GET_NO_NEW_PRIVS => Ok(1),
        PR_GET_TIMERSLACK => Ok(50_000),
        PR_CAPBSET_READ => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// The range was written as data and is now code.
pub(crate) fn riscv_flush_icache(call: &mut Call) -> SysResult {
    call.task.cpu.code_changed();
    call.task
        .guest
        .note(|| crate::observer::Change::CodeChanged);
    Ok(0)
}

/// What the hart can do: pairs of key and value.
pub(crate) fn riscv_hwprobe(call: &mut Call) -> SysResult {
    const BASE_BEHAVIOR: i64 = 3;
    const IMA_EXT_0: i64 = 4;
    const CPUPERF_0: i64 = 5;
    const HIGHEST_VIRT_ADDRESS: i64 = 7;
    const TIME_CSR_FREQ: i64 = 8;
    const MISALIGNED_SCALAR_PERF: i64 = 9;
    const FAST: u64 = 3;
    /// F and D, C, Zba, Zbb, Zbs.
    const EXTENSIONS: u64 = 1 | 2 | 8 | 16 | 32;
    let (at, count) = (call.arg(0), call.arg(1));
    if count > 1024 || call.arg(4) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut raw = call.task.guest.read_vec(at, count as usize * 16)?;
    for pair in raw.chunks_exact_mut(16) {
        let (key, value) = match Reader(pair).i64(0) {
            key @ 0..=2 => (key, 0),
            BASE_BEHAVIOR => (BASE_BEHAVIOR, 1),
            IMA_EXT_0 => (IMA_EXT_0, EXTENSIONS),
            key @ (CPUPERF_0 | MISALIGNED_SCALAR_PERF) => (key, FAST),
            HIGHEST_VIRT_ADDRESS => (HIGHEST_VIRT_ADDRESS, memory::LIMIT - 1),
            TIME_CSR_FREQ => (TIME_CSR_FREQ, 10_000_000),
            6 => (6, 64),
            _ => (-1, 0),
        };
        pair.copy_from_slice(&Writer::new().i64(key).u64(value).0);
    }
    call.write(at, &raw)?;
    Ok(0)
}
