//! Programs that do nothing but make system calls: a table of calls, and a loop that makes them.

#![allow(dead_code, reason = "each test uses a part of it")]

use linux::{Config, Exit, Process, Program};
use memory::UserSpace;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the program lies: a page of code and table, then data.
const BASE: u64 = 0x10_0000;
const TABLE: u64 = BASE + 0x1000;
const ROW: u64 = 80;
const DATA: u64 = BASE + 0x4_0000;
const END: u64 = BASE + 0x10_0000;

/// An argument of a call.
#[derive(Clone, Copy)]
pub enum Arg {
    /// A number.
    Is(u64),
    /// What an earlier call returned.
    Result(usize),
}
impl From<u64> for Arg {
    fn from(value: u64) -> Arg {
        Arg::Is(value)
    }
}
impl From<i32> for Arg {
    fn from(value: i32) -> Arg {
        Arg::Is(i64::from(value) as u64)
    }
}

/// A list of calls and their data.
#[derive(Default)]
pub struct Script {
    calls: Vec<(u64, Vec<Arg>)>,
    data: Vec<u8>,
}

/// What a script left behind.
pub struct Done {
    pub exit: Exit,
    pub results: Vec<i64>,
    pub space: Arc<UserSpace>,
}

impl Script {
    pub fn new() -> Script {
        Script::default()
    }

    /// Puts bytes into the guest's memory; their address.
    pub fn bytes(&mut self, bytes: &[u8]) -> u64 {
        self.data.resize(self.data.len().next_multiple_of(16), 0);
        let va = DATA + self.data.len() as u64;
        self.data.extend(bytes);
        va
    }
    /// A string with its end.
    pub fn text(&mut self, text: &str) -> u64 {
        self.bytes(&[text.as_bytes(), &[0]].concat())
    }
    /// Zeros to be written to.
    pub fn room(&mut self, size: usize) -> u64 {
        self.bytes(&vec![0; size])
    }
    /// Adds a call; its number for [`Done::results`].
    pub fn call(&mut self, number: u64, args: &[Arg]) -> usize {
        self.calls.push((number, args.to_vec()));
        self.calls.len() - 1
    }
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// The program as an ELF file.
    pub fn elf(&self) -> Vec<u8> {
        let mut table = vec![0u8; (END - TABLE) as usize];
        let put = |table: &mut [u8], va: u64, value: u64| {
            let at = (va - TABLE) as usize;
            table[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        assert!(
            self.calls.len() as u64 * ROW < DATA - TABLE,
            "too many calls"
        );
        for (n, (number, args)) in self.calls.iter().enumerate() {
            let row = TABLE + n as u64 * ROW;
            put(&mut table, row, *number);
            // Where the result goes too; by default to a place that nobody reads.
            put(&mut table, row + 64, row + 72);
            for (index, arg) in args.iter().enumerate() {
                let at = row + 8 + index as u64 * 8;
                match *arg {
                    Arg::Is(value) => put(&mut table, at, value),
                    Arg::Result(earlier) => {
                        put(&mut table, TABLE + earlier as u64 * ROW + 64, at);
                    }
                }
            }
        }
        put(&mut table, TABLE + self.calls.len() as u64 * ROW, u64::MAX);
        let at = (DATA - TABLE) as usize;
        table[at..at + self.data.len()].copy_from_slice(&self.data);

        let ld = |rd: u32, offset: u32| offset << 20 | 9 << 15 | 3 << 12 | rd << 7 | 0x03;
        let code = [
            (TABLE as u32) | 9 << 7 | 0x37, // lui s1, TABLE
            ld(17, 0),
            0x0208_ca63, // bltz a7, +52: all done
            ld(10, 8),
            ld(11, 16),
            ld(12, 24),
            ld(13, 32),
            ld(14, 40),
            ld(15, 48),
            0x0000_0073, // ecall
            0x02a4_bc23, // sd a0, 56(s1)
            ld(5, 64),
            0x00a2_b023, // sd a0, 0(t0)
            0x0504_8493, // addi s1, s1, 80
            0xfcdf_f06f, // j -52: the next row
            0x05e0_0893, // li a7, 94
            0x0000_0513, // li a0, 0
            0x0000_0073, // ecall: exit_group
        ];
        let mut elf = vec![0u8; 0x1000];
        let mut head = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
        head(0, b"\x7fELF\x02\x01\x01");
        head(16, &[2, 0, 243, 0, 1]);
        head(24, &(BASE + 0x200).to_le_bytes());
        head(32, &64u64.to_le_bytes());
        head(54, &[56, 0, 1, 0]);
        head(64, &[1, 0, 0, 0, 7]);
        head(80, &BASE.to_le_bytes());
        for at in [96, 104] {
            head(at, &(END - BASE).to_le_bytes());
        }
        for (n, word) in code.iter().enumerate() {
            head(0x200 + n * 4, &word.to_le_bytes());
        }
        elf.extend(table);
        elf
    }

    /// Runs it.
    pub fn run(&self, config: Config) -> Done {
        self.run_after(config, || ())
    }

    /// Runs it, with something that happens on the host after the process was started.
    pub fn run_after(&self, config: Config, meanwhile: impl FnOnce()) -> Done {
        let folder = Folder::new();
        let path = folder.path.join("script");
        std::fs::write(&path, self.elf()).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let space = Arc::new(UserSpace::reserve().unwrap());
        let exact = config.schedule != linux::Schedule::Threads;
        let cpu = super::InterpCpu::boxed(space.clone(), exact);
        let argv = vec![b"script".to_vec()];
        let program = Program {
            path,
            argv,
            envp: Vec::new(),
        };
        let mut process = Process::start(config, &program, space.clone(), cpu).unwrap();
        meanwhile();
        let exit = process.run().unwrap();
        let result = |n| space.load::<u64>(TABLE + n as u64 * ROW + 56).unwrap() as i64;
        let results = (0..self.calls.len()).map(result).collect();
        Done {
            exit,
            results,
            space,
        }
    }
}

impl Done {
    /// Bytes of the guest's memory.
    pub fn bytes(&self, va: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.space.read_bytes(va, &mut out).unwrap();
        out
    }
}

/// A folder that is deleted in the end.
pub struct Folder {
    pub path: PathBuf,
}

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bhv-test-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder {
            path: path.canonicalize().unwrap(),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// An isolated guest that sees nothing but what is granted.
pub fn isolated() -> Config {
    Config {
        current_dir: false,
        quiet: true,
        ..Config::default()
    }
}
