//! Encoding: instructions of Cranelift's assembler into two buffers, with labels.
//!
//! What usually runs goes into the hot buffer, what rarely does into the cold one. Both end up in the
//! same arena, far from each other.

use cranelift_assembler_x64::{
    Amode, AmodeOffset, AmodeOffsetPlusKnownOffset, CodeSink, DeferredTarget, KnownOffset,
    NonRspGpr, Registers, Scale, TrapCode,
};

/// A host register, by its number.
pub type Reg = u8;

pub const RAX: Reg = 0;
pub const RCX: Reg = 1;
pub const RDX: Reg = 2;
pub const RBX: Reg = 3;
pub const RSI: Reg = 6;
pub const RDI: Reg = 7;
pub const RSP: Reg = 4;
pub const RBP: Reg = 5;
pub const R8: Reg = 8;
pub const R9: Reg = 9;
pub const R10: Reg = 10;
pub const R11: Reg = 11;
pub const R14: Reg = 14;
pub const R15: Reg = 15;

/// Registers are numbers.
pub struct Host;

impl Registers for Host {
    type ReadGpr = Reg;
    type ReadWriteGpr = Reg;
    type WriteGpr = Reg;
    type ReadXmm = Reg;
    type ReadWriteXmm = Reg;
    type WriteXmm = Reg;
}

/// A place in the code, perhaps not known yet.
#[derive(Clone, Copy)]
pub struct Label(usize);

/// Where a label is.
#[derive(Clone, Copy)]
enum Place {
    Unknown,
    Hot(usize),
    Cold(usize),
    At(usize),
}

/// One buffer.
#[derive(Default)]
pub struct Buffer {
    pub bytes: Vec<u8>,
    /// Where the 32-bit distance to a label is to be put.
    fixups: Vec<(usize, Label)>,
}

impl CodeSink for Buffer {
    fn put1(&mut self, byte: u8) {
        self.bytes.push(byte);
    }
    fn put2(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
    fn put4(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
    fn put8(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
    fn add_trap(&mut self, _: TrapCode) {}
    fn use_target(&mut self, _: DeferredTarget) {}
    fn known_offset(&self, _: KnownOffset) -> i32 {
        0
    }
}

/// Both buffers and the labels in them.
#[derive(Default)]
pub struct Assembler {
    hot: Buffer,
    cold: Buffer,
    labels: Vec<Place>,
    in_cold: bool,
}

/// Appends an instruction of Cranelift's assembler.
macro_rules! ins {
    ($t:expr, $name:ident $(, $argument:expr)* $(,)?) => {
        cranelift_assembler_x64::inst::$name::<$crate::draft::host::assembler::Host>::new($($argument),*)
            .encode($t.buffer())
    };
}
pub(super) use ins;

/// A branch condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    Equal,
    NotEqual,
    Less,
    GreaterOrEqual,
    Below,
    AboveOrEqual,
    Above,
    Negative,
    Unordered,
}

impl Assembler {
    /// Forgets everything.
    pub fn clear(&mut self) {
        for buffer in [&mut self.hot, &mut self.cold] {
            buffer.bytes.clear();
            buffer.fixups.clear();
        }
        self.labels.clear();
        self.in_cold = false;
    }

    /// The buffer that is being written.
    pub fn buffer(&mut self) -> &mut Buffer {
        match self.in_cold {
            false => &mut self.hot,
            true => &mut self.cold,
        }
    }

    /// Goes on in the cold buffer, or back in the hot one.
    pub fn set_cold(&mut self, cold: bool) {
        self.in_cold = cold;
    }

    /// Bytes in the hot buffer.
    pub fn hot_len(&self) -> usize {
        self.hot.bytes.len()
    }

    /// A label that is bound later.
    pub fn label(&mut self) -> Label {
        self.labels.push(Place::Unknown);
        Label(self.labels.len() - 1)
    }

    /// A label at a host address.
    pub fn label_at(&mut self, address: usize) -> Label {
        self.labels.push(Place::At(address));
        Label(self.labels.len() - 1)
    }

    /// Binds a label to the end of the buffer that is being written.
    pub fn bind(&mut self, label: Label) {
        self.labels[label.0] = match self.in_cold {
            false => Place::Hot(self.hot.bytes.len()),
            true => Place::Cold(self.cold.bytes.len()),
        };
    }

    /// A label at the end of the buffer that is being written.
    pub fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    /// Jumps.
    pub fn jump(&mut self, to: Label) {
        let buffer = self.buffer();
        cranelift_assembler_x64::inst::jmp_d32::new(0).encode(buffer);
        buffer.fixups.push((buffer.bytes.len() - 4, to));
    }

    /// Jumps to a host address.
    pub fn jump_to(&mut self, address: usize) {
        let label = self.label_at(address);
        self.jump(label);
    }

    /// Calls what is at a host address.
    pub fn call(&mut self, address: usize) {
        let to = self.label_at(address);
        let buffer = self.buffer();
        cranelift_assembler_x64::inst::callq_d::new(0).encode(buffer);
        buffer.fixups.push((buffer.bytes.len() - 4, to));
    }

    /// Changes a 32-bit number in the hot buffer.
    pub fn patch(&mut self, at: usize, value: u32) {
        self.hot.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Jumps if a condition holds.
    pub fn jump_if(&mut self, condition: Condition, to: Label) {
        use cranelift_assembler_x64::inst;
        let buffer = self.buffer();
        match condition {
            Condition::Equal => inst::je_d32::new(0).encode(buffer),
            Condition::NotEqual => inst::jne_d32::new(0).encode(buffer),
            Condition::Less => inst::jl_d32::new(0).encode(buffer),
            Condition::GreaterOrEqual => inst::jge_d32::new(0).encode(buffer),
            Condition::Below => inst::jb_d32::new(0).encode(buffer),
            Condition::AboveOrEqual => inst::jae_d32::new(0).encode(buffer),
            Condition::Above => inst::ja_d32::new(0).encode(buffer),
            Condition::Negative => inst::js_d32::new(0).encode(buffer),
            Condition::Unordered => inst::jp_d32::new(0).encode(buffer),
        }
        buffer.fixups.push((buffer.bytes.len() - 4, to));
    }

    /// Where a label will be, if the buffers are put at these addresses.
    pub fn address(&self, label: Label, hot: usize, cold: usize) -> Option<usize> {
        match self.labels[label.0] {
            Place::Unknown => None,
            Place::Hot(offset) => Some(hot + offset),
            Place::Cold(offset) => Some(cold + offset),
            Place::At(address) => Some(address),
        }
    }

    /// Fills in all distances for buffers that will be executed at these addresses, and gives their
    /// bytes. `None` if a label was never bound, or is too far away.
    pub fn finish(&mut self, hot: usize, cold: usize) -> Option<(&[u8], &[u8])> {
        for is_cold in [false, true] {
            let start = if is_cold { cold } else { hot };
            let buffer = if is_cold {
                &mut self.cold
            } else {
                &mut self.hot
            };
            let fixups = std::mem::take(&mut buffer.fixups);
            for &(at, label) in &fixups {
                let target = self.address(label, hot, cold)?;
                let distance = target.wrapping_sub(start + at + 4) as isize;
                let distance = i32::try_from(distance).ok()?;
                let buffer = if is_cold {
                    &mut self.cold
                } else {
                    &mut self.hot
                };
                buffer.bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
            }
        }
        Some((&self.hot.bytes, &self.cold.bytes))
    }
}

/// Memory at a register and a constant.
pub fn at(base: Reg, offset: i32) -> Amode<Reg> {
    Amode::ImmReg {
        base,
        simm32: AmodeOffsetPlusKnownOffset {
            simm32: AmodeOffset::new(offset),
            offset: None,
        },
        trap: None,
    }
}

/// Memory at the sum of a register, a multiple of another and a constant.
pub fn at_sum(base: Reg, index: Reg, scale: Scale, offset: i32) -> Amode<Reg> {
    Amode::ImmRegRegShift {
        base,
        index: NonRspGpr::new(index),
        scale,
        simm32: AmodeOffset::new(offset),
        trap: None,
    }
}
