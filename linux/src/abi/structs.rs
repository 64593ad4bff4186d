//! Structures that cross the system call boundary, field by field in the riscv64 layout.

/// Builds a little-endian structure.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// An empty one.
    pub fn new() -> Writer {
        Writer::default()
    }
    /// Appends a byte.
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }
    /// Appends two bytes.
    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }
    /// Appends four bytes.
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }
    /// Appends four bytes.
    pub fn i32(self, value: i32) -> Self {
        self.u32(value as u32)
    }
    /// Appends eight bytes.
    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }
    /// Appends eight bytes.
    pub fn i64(self, value: i64) -> Self {
        self.u64(value as u64)
    }
    /// Appends zeros up to `size` bytes in all.
    pub fn pad_to(mut self, size: usize) -> Self {
        debug_assert!(self.0.len() <= size);
        self.0.resize(size, 0);
        self
    }
    /// Appends bytes.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    /// Appends bytes, cut or filled with zeros to `size`.
    pub fn field(mut self, bytes: &[u8], size: usize) -> Self {
        let end = self.0.len() + size;
        self.0.extend(&bytes[..bytes.len().min(size)]);
        self.0.resize(end, 0);
        self
    }
}

/// Reads a little-endian structure. Reading past its end gives zeros; sizes are the callers'.
#[derive(Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        if let Some(bytes) = self.0.get(at..at + N) {
            out.copy_from_slice(bytes);
        }
        out
    }
    /// Two bytes at an offset.
    pub fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }
    /// Four bytes at an offset.
    pub fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }
    /// Four bytes at an offset.
    pub fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.array(at))
    }
    /// Eight bytes at an offset.
    pub fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }
    /// Eight bytes at an offset.
    pub fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.array(at))
    }
}

/// Seconds and nanoseconds, both 64 bits wide.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Timespec {
    /// Seconds.
    pub seconds: i64,
    /// 0 to 999,999,999 if valid.
    pub nanoseconds: i64,
}

impl Timespec {
    /// Its 16 bytes.
    pub fn encode(self) -> Vec<u8> {
        Writer::new().i64(self.seconds).i64(self.nanoseconds).0
    }
    /// From its 16 bytes, unchecked.
    pub fn decode(bytes: &[u8]) -> Timespec {
        let reader = Reader(bytes);
        Timespec {
            seconds: reader.i64(0),
            nanoseconds: reader.i64(8),
        }
    }
    /// From a number of nanoseconds.
    pub fn from_nanos(nanos: u64) -> Timespec {
        Timespec {
            seconds: (nanos / 1_000_000_000) as i64,
            nanoseconds: (nanos % 1_000_000_000) as i64,
        }
    }
    /// As nanoseconds, saturating; `None` if it is negative or its nanoseconds are out of range.
    pub fn nanos(self) -> Option<u64> {
        let seconds = u64::try_from(self.seconds).ok()?;
        let nanoseconds = u64::try_from(self.nanoseconds)
            .ok()
            .filter(|&n| n < 1_000_000_000)?;
        Some(
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanoseconds),
        )
    }
}

/// What `stat` tells of a file, independent of any layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub mode: u32,
    pub nlink: u64,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u64,
    pub size: u64,
    pub block_size: u32,
    pub blocks: u64,
    pub atime: Timespec,
    pub mtime: Timespec,
    pub ctime: Timespec,
    pub btime: Timespec,
}

impl Stat {
    /// `struct stat`, 128 bytes, asm-generic (not x86-64's).
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .u64(self.dev)
            .u64(self.ino)
            .u32(self.mode)
            .u32(self.nlink as u32)
            .u32(self.uid)
            .u32(self.gid)
            .u64(self.rdev)
            .u64(0)
            .u64(self.size)
            .u32(self.block_size)
            .u32(0)
            .u64(self.blocks)
            .bytes(&self.atime.encode())
            .bytes(&self.mtime.encode())
            .bytes(&self.ctime.encode())
            .pad_to(128)
            .0
    }

    /// `struct statx`, 256 bytes, with the basic statistics and the birth time.
    pub fn encode_statx(&self) -> Vec<u8> {
        let time = |writer: Writer, time: Timespec| {
            writer.i64(time.seconds).u32(time.nanoseconds as u32).u32(0)
        };
        let (dev, rdev) = (device_numbers(self.dev), device_numbers(self.rdev));
        let has_btime = self.btime != Timespec::default();
        let mut writer = Writer::new()
            .u32(if has_btime { 0xfff } else { 0x7ff })
            .u32(self.block_size)
            .u64(0)
            .u32(self.nlink as u32)
            .u32(self.uid)
            .u32(self.gid)
            .u16(self.mode as u16)
            .u16(0)
            .u64(self.ino)
            .u64(self.size)
            .u64(self.blocks)
            .u64(0);
        for stamp in [self.atime, self.btime, self.ctime, self.mtime] {
            writer = time(writer, stamp);
        }
        writer
            .u32(rdev.0)
            .u32(rdev.1)
            .u32(dev.0)
            .u32(dev.1)
            .pad_to(256)
            .0
    }
}

/// Major and minor number of a Linux `dev_t` as user space has it.
pub fn device_numbers(dev: u64) -> (u32, u32) {
    let major = (dev >> 8 & 0xfff) | (dev >> 32 & 0xffff_f000);
    let minor = (dev & 0xff) | (dev >> 12 & 0xffff_ff00);
    (major as u32, minor as u32)
}

/// The inverse of [`device_numbers`].
pub fn device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32
}

/// What `statfs` tells, independent of any layout.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatFs {
    pub kind: u64,
    pub block_size: u64,
    pub blocks: u64,
    pub free: u64,
    pub available: u64,
    pub files: u64,
    pub files_free: u64,
    pub name_max: u64,
    pub fragment_size: u64,
    pub flags: u64,
}

impl StatFs {
    /// `struct statfs`, 120 bytes.
    pub fn encode(&self) -> Vec<u8> {
        [
            self.kind,
            self.block_size,
            self.blocks,
            self.free,
            self.available,
            self.files,
            self.files_free,
            0,
            self.name_max,
            self.fragment_size,
            self.flags,
        ]
        .into_iter()
        .fold(Writer::new(), Writer::u64)
        .pad_to(120)
        .0
    }
}

/// `struct flock`, 32 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Flock {
    pub kind: u16,
    pub whence: u16,
    pub start: i64,
    pub len: i64,
    pub pid: i32,
}

impl Flock {
    /// From its 32 bytes.
    pub fn decode(bytes: &[u8]) -> Flock {
        let reader = Reader(bytes);
        Flock {
            kind: reader.u16(0),
            whence: reader.u16(2),
            start: reader.i64(8),
            len: reader.i64(16),
            pid: reader.i32(24),
        }
    }
    /// Its 32 bytes.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .u16(self.kind)
            .u16(self.whence)
            .u32(0)
            .i64(self.start)
            .i64(self.len)
            .i32(self.pid)
            .u32(0)
            .0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernel_s_sizes() {
        assert_eq!(Stat::default().encode().len(), 128);
        assert_eq!(Stat::default().encode_statx().len(), 256);
        assert_eq!(StatFs::default().encode().len(), 120);
        assert_eq!(Timespec::default().encode().len(), 16);
    }

    #[test]
    fn device_numbers_survive_a_round_trip() {
        for (major, minor) in [(0, 0), (1, 3), (259, 1048575), (0xfff_ffff, 0xff_ffff)] {
            assert_eq!(device_numbers(device(major, minor)), (major, minor));
        }
    }

    #[test]
    fn negative_and_overlong_times_are_invalid() {
        assert_eq!(
            Timespec {
                seconds: -1,
                nanoseconds: 0
            }
            .nanos(),
            None
        );
        assert_eq!(
            Timespec {
                seconds: 0,
                nanoseconds: 1_000_000_000
            }
            .nanos(),
            None
        );
        assert_eq!(
            Timespec {
                seconds: 2,
                nanoseconds: 5
            }
            .nanos(),
            Some(2_000_000_005)
        );
        assert_eq!(
            Timespec {
                seconds: i64::MAX,
                nanoseconds: 0
            }
            .nanos(),
            Some(u64::MAX)
        );
    }
}
