//! The table of system calls: number, name, arguments for the trace, handler. The only place that
//! knows the numbers.

use crate::call::{Call, SysResult};
use crate::fs::{dirs, epoll, io, ioctl, lock, meta, open, poll, special, transfer};
use crate::signal::{calls as signals, frame};
use crate::{children, exec, futex, info, mm, net, net_messages, robust, thread, time, timers};

/// A system call that exists.
pub(crate) struct Entry {
    pub name: &'static str,
    /// A letter for each argument: d number, x bits or address, f descriptor, s string, o open
    /// flags, m mode, g signal, b bytes that go in (their count is the next argument).
    pub arguments: &'static str,
    pub handler: fn(&mut Call) -> SysResult,
}

/// One more than the highest number of the table.
const COUNT: usize = 463;

macro_rules! table {
    ($($number:literal $name:ident $arguments:literal $handler:path;)*) => {
        static ENTRIES: &[Entry] = &[
            $(Entry {
                name: stringify!($name),
                arguments: $arguments,
                handler: $handler,
            },)*
        ];
        const NUMBERS: &[usize] = &[$($number,)*];
    };
}

table! {
    5 setxattr "ssxdd" meta::no_attributes;
    6 lsetxattr "ssxdd" meta::no_attributes;
    7 fsetxattr "fsxdd" meta::no_attributes;
    8 getxattr "ssxd" meta::no_attributes;
    9 lgetxattr "ssxd" meta::no_attributes;
    10 fgetxattr "fsxd" meta::no_attributes;
    11 listxattr "sxd" meta::no_attributes;
    12 llistxattr "sxd" meta::no_attributes;
    13 flistxattr "fxd" meta::no_attributes;
    14 removexattr "ss" meta::no_attributes;
    15 lremovexattr "ss" meta::no_attributes;
    16 fremovexattr "fs" meta::no_attributes;
    17 getcwd "xd" dirs::getcwd;
    19 eventfd2 "do" special::eventfd2;
    20 epoll_create1 "o" epoll::epoll_create1;
    21 epoll_ctl "fdfx" epoll::epoll_ctl;
    22 epoll_pwait "fxddx" epoll::epoll_pwait;
    23 dup "f" open::dup;
    24 dup3 "ffo" open::dup3;
    25 fcntl "fdx" open::fcntl;
    26 inotify_init1 "o" special::inotify_init1;
    27 inotify_add_watch "fsx" special::inotify_add_watch;
    28 inotify_rm_watch "fd" special::inotify_rm_watch;
    29 ioctl "fxx" ioctl::ioctl;
    32 flock "fd" lock::flock;
    33 mknodat "fsmd" dirs::mknodat;
    34 mkdirat "fsm" dirs::mkdirat;
    35 unlinkat "fsx" dirs::unlinkat;
    36 symlinkat "sfs" dirs::symlinkat;
    37 linkat "fsfsx" dirs::linkat;
    38 renameat "fsfs" dirs::renameat;
    43 statfs "sx" meta::statfs;
    44 fstatfs "fx" meta::fstatfs;
    45 truncate "sd" meta::truncate;
    46 ftruncate "fd" io::ftruncate;
    47 fallocate "fddd" io::fallocate;
    48 faccessat "fsd" meta::faccessat;
    49 chdir "s" dirs::chdir;
    50 fchdir "f" dirs::fchdir;
    51 chroot "s" time::not_permitted;
    52 fchmod "fm" meta::fchmod;
    53 fchmodat "fsm" meta::fchmodat;
    54 fchownat "fsddx" meta::fchownat;
    55 fchown "fdd" meta::fchown;
    56 openat "fsom" open::openat;
    57 close "f" open::close;
    59 pipe2 "xo" special::pipe2;
    61 getdents64 "fxd" dirs::getdents64;
    62 lseek "fdd" io::lseek;
    63 read "fxd" io::read;
    64 write "fbd" io::write;
    65 readv "fxd" io::readv;
    66 writev "fxd" io::writev;
    67 pread64 "fxdd" io::pread64;
    68 pwrite64 "fbdd" io::pwrite64;
    69 preadv "fxdd" io::preadv;
    70 pwritev "fxdd" io::pwritev;
    71 sendfile "ffxd" transfer::sendfile;
    72 pselect6 "dxxxxx" poll::pselect6;
    73 ppoll "xdxx" poll::ppoll;
    76 splice "fxfxdx" transfer::splice;
    78 readlinkat "fsxd" dirs::readlinkat;
    79 newfstatat "fsxx" meta::newfstatat;
    80 fstat "fx" meta::fstat;
    81 sync "" io::advice;
    82 fsync "f" io::fsync;
    83 fdatasync "f" io::fdatasync;
    84 sync_file_range "fddx" io::advice;
    85 timerfd_create "do" special::timerfd_create;
    86 timerfd_settime "fxxx" special::timerfd_settime;
    87 timerfd_gettime "fx" special::timerfd_gettime;
    88 utimensat "fsxx" meta::utimensat;
    90 capget "xx" info::capget;
    91 capset "xx" info::capset;
    92 personality "x" thread::accepted;
    93 exit "d" thread::exit;
    94 exit_group "d" thread::exit_group;
    95 waitid "ddxxx" children::waitid;
    96 set_tid_address "x" thread::set_tid_address;
    98 futex "xxdxxx" futex::futex;
    99 set_robust_list "xd" robust::set_robust_list;
    100 get_robust_list "dxx" robust::get_robust_list;
    101 nanosleep "xx" time::nanosleep;
    102 getitimer "dx" timers::getitimer;
    103 setitimer "dxx" timers::setitimer;
    107 timer_create "dxx" timers::timer_create;
    108 timer_gettime "dx" timers::timer_gettime;
    109 timer_getoverrun "d" timers::timer_getoverrun;
    110 timer_settime "dxxx" timers::timer_settime;
    111 timer_delete "d" timers::timer_delete;
    112 clock_settime "dx" time::not_permitted;
    113 clock_gettime "dx" time::clock_gettime;
    114 clock_getres "dx" time::clock_getres;
    115 clock_nanosleep "ddxx" time::clock_nanosleep;
    118 sched_setparam "dx" thread::accepted;
    119 sched_setscheduler "ddx" thread::accepted;
    120 sched_getscheduler "d" thread::sched_getscheduler;
    121 sched_getparam "dx" thread::sched_getparam;
    122 sched_setaffinity "ddx" thread::accepted;
    123 sched_getaffinity "ddx" thread::sched_getaffinity;
    124 sched_yield "" thread::sched_yield;
    125 sched_get_priority_max "d" thread::sched_priority_max;
    126 sched_get_priority_min "d" thread::sched_priority_min;
    129 kill "dg" signals::kill;
    130 tkill "dg" signals::tkill;
    131 tgkill "ddg" signals::tgkill;
    132 sigaltstack "xx" frame::sigaltstack;
    133 rt_sigsuspend "xd" signals::rt_sigsuspend;
    134 rt_sigaction "gxxd" signals::rt_sigaction;
    135 rt_sigprocmask "dxxd" signals::rt_sigprocmask;
    136 rt_sigpending "xd" signals::rt_sigpending;
    137 rt_sigtimedwait "xxxd" signals::rt_sigtimedwait;
    138 rt_sigqueueinfo "dgx" signals::rt_sigqueueinfo;
    139 rt_sigreturn "" frame::sigreturn;
    140 setpriority "ddd" info::setpriority;
    141 getpriority "dd" info::getpriority;
    143 setregid "dd" info::setregid;
    144 setgid "d" info::setgid;
    145 setreuid "dd" info::setreuid;
    146 setuid "d" info::setuid;
    147 setresuid "ddd" info::setresuid;
    148 getresuid "xxx" info::getresuid;
    149 setresgid "ddd" info::setresgid;
    150 getresgid "xxx" info::getresgid;
    151 setfsuid "d" info::setfsuid;
    152 setfsgid "d" info::setfsgid;
    153 times "x" time::times;
    154 setpgid "dd" info::setpgid;
    155 getpgid "d" info::getpgid;
    156 getsid "d" info::getsid;
    157 setsid "" info::setsid;
    158 getgroups "dx" info::getgroups;
    159 setgroups "dx" info::setgroups;
    160 uname "x" info::uname;
    161 sethostname "sd" info::sethostname;
    163 getrlimit "dx" info::getrlimit;
    164 setrlimit "dx" info::setrlimit;
    165 getrusage "dx" info::getrusage;
    166 umask "m" meta::umask;
    167 prctl "dxxxx" thread::prctl;
    168 getcpu "xx" thread::getcpu;
    169 gettimeofday "xx" time::gettimeofday;
    170 settimeofday "xx" time::not_permitted;
    172 getpid "" info::getpid;
    173 getppid "" info::getppid;
    174 getuid "" info::getuid;
    175 geteuid "" info::geteuid;
    176 getgid "" info::getgid;
    177 getegid "" info::getegid;
    178 gettid "" thread::gettid;
    179 sysinfo "x" info::sysinfo;
    198 socket "ddd" net::socket;
    199 socketpair "dddx" net::socketpair;
    200 bind "fxd" net::bind;
    201 listen "fd" net::listen;
    202 accept "fxx" net::accept;
    203 connect "fxd" net::connect;
    204 getsockname "fxx" net::getsockname;
    205 getpeername "fxx" net::getpeername;
    206 sendto "fbdxxd" net_messages::sendto;
    207 recvfrom "fxdxxx" net_messages::recvfrom;
    208 setsockopt "fddxd" net::setsockopt;
    209 getsockopt "fddxx" net::getsockopt;
    210 shutdown "fd" net::shutdown;
    211 sendmsg "fxx" net_messages::sendmsg;
    212 recvmsg "fxx" net_messages::recvmsg;
    213 readahead "fdd" io::advice;
    214 brk "x" mm::brk;
    215 munmap "xd" mm::munmap;
    216 mremap "xddxx" mm::mremap;
    220 clone "xxxxx" thread::clone;
    221 execve "sxx" exec::execve;
    222 mmap "xdxxfx" mm::mmap;
    223 fadvise64 "fddd" io::advice;
    226 mprotect "xdx" mm::mprotect;
    227 msync "xdx" mm::msync;
    228 mlock "xd" mm::lock;
    229 munlock "xd" mm::lock;
    230 mlockall "x" mm::lock;
    231 munlockall "" mm::lock;
    232 mincore "xdx" mm::mincore;
    233 madvise "xdd" mm::madvise;
    240 rt_tgsigqueueinfo "ddgx" signals::rt_tgsigqueueinfo;
    242 accept4 "fxxo" net::accept4;
    243 recvmmsg "fxdxx" net_messages::recvmmsg;
    258 riscv_hwprobe "xdxxx" thread::riscv_hwprobe;
    259 riscv_flush_icache "xxx" thread::riscv_flush_icache;
    260 wait4 "dxxx" children::wait4;
    261 prlimit64 "ddxx" info::prlimit64;
    267 syncfs "f" io::advice;
    269 sendmmsg "fxdx" net_messages::sendmmsg;
    276 renameat2 "fsfsx" dirs::renameat2;
    278 getrandom "xdx" info::getrandom;
    279 memfd_create "sx" special::memfd_create;
    281 execveat "fsxxx" exec::execveat;
    283 membarrier "dxd" thread::membarrier;
    284 mlock2 "xdx" mm::lock;
    285 copy_file_range "fxfxdx" transfer::copy_file_range;
    286 preadv2 "fxdddx" io::preadv2;
    287 pwritev2 "fxdddx" io::pwritev2;
    291 statx "fsxxx" meta::statx;
    424 pidfd_send_signal "fgxx" children::pidfd_send_signal;
    434 pidfd_open "dx" children::pidfd_open;
    435 clone3 "xd" thread::clone3;
    436 close_range "ddx" open::close_range;
    437 openat2 "fsxd" open::openat2;
    439 faccessat2 "fsdx" meta::faccessat2;
    441 epoll_pwait2 "fxdxxd" epoll::epoll_pwait2;
    452 fchmodat2 "fsmx" meta::fchmodat2;
}

/// Where each number is in the table; 255 is nowhere.
static INDEX: [u8; COUNT] = {
    assert!(NUMBERS.len() < 255);
    let mut index = [255; COUNT];
    let mut n = 0;
    while n < NUMBERS.len() {
        assert!(
            index[NUMBERS[n]] == 255,
            "a system call number occurs twice"
        );
        index[NUMBERS[n]] = n as u8;
        n += 1;
    }
    index
};

/// The call with this number, if we have it.
pub(crate) fn entry(number: u64) -> Option<&'static Entry> {
    let index = *usize::try_from(number)
        .ok()
        .and_then(|number| INDEX.get(number))?;
    ENTRIES.get(usize::from(index))
}

/// Names of calls that exist on Linux but not here, for the trace.
pub(crate) fn missing_name(number: u64) -> Option<&'static str> {
    Some(match number {
        0..=4 => "io_*",
        18 => "lookup_dcookie",
        39 => "umount2",
        40 => "mount",
        41 => "pivot_root",
        58 => "vhangup",
        60 => "quotactl",
        74 => "signalfd4",
        75 => "vmsplice",
        77 => "tee",
        89 => "acct",
        97 => "unshare",
        104 => "kexec_load",
        105 => "init_module",
        106 => "delete_module",
        116 => "syslog",
        117 => "ptrace",
        127 => "sched_rr_get_interval",
        142 => "reboot",
        162 => "setdomainname",
        171 => "adjtimex",
        180..=185 => "mq_*",
        186..=189 => "msg*",
        190..=193 => "sem*",
        194..=197 => "shm*",
        217..=219 => "key*",
        224 => "swapon",
        225 => "swapoff",
        234 => "remap_file_pages",
        235..=239 => "numa*",
        241 => "perf_event_open",
        262 | 263 => "fanotify_*",
        264 | 265 => "*_handle_at",
        266 => "clock_adjtime",
        268 => "setns",
        270 | 271 => "process_vm_*",
        272 => "kcmp",
        273 => "finit_module",
        274 => "sched_setattr",
        275 => "sched_getattr",
        277 => "seccomp",
        280 => "bpf",
        282 => "userfaultfd",
        288..=290 => "pkey_*",
        292 => "io_pgetevents",
        293 => "rseq",
        294 => "kexec_file_load",
        425..=427 => "io_uring_*",
        428..=433 => "mount API",
        438 => "pidfd_getfd",
        440 => "process_madvise",
        442 => "mount_setattr",
        443 => "quotactl_fd",
        444..=446 => "landlock_*",
        447 => "memfd_secret",
        448 => "process_mrelease",
        449 => "futex_waitv",
        450 => "set_mempolicy_home_node",
        451 => "cachestat",
        453 => "map_shadow_stack",
        454..=456 => "futex_*",
        _ => return None,
    })
}
