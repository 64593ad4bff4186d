//! Straight runs of instructions, and how control leaves them.

use crate::decode::{self, Decoded};
use crate::registers::X;
use crate::table::Insn;

/// Where control goes after a block's last instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Flow {
    /// To the address after the block.
    Fallthrough,
    /// A jal that keeps no return address.
    Jump(u64),
    /// A conditional branch; if not taken, to the address after the block.
    Branch(u64),
    /// A jal that keeps its return address, the address after the block.
    Call(u64),
    /// A jalr that keeps its return address, the address after the block.
    IndirectCall,
    /// A jalr to the address in `ra` or `t0`. Unprivileged, "Unconditional Jumps", table of
    /// return-address stack hints.
    Return,
    /// Any other jalr.
    Indirect,
    /// ecall, ebreak, fence.i or a privileged instruction: leaves the guest's code, to come back
    /// behind it.
    System,
    /// The address after the block holds nothing that can be fetched and decoded.
    Illegal,
}

/// Instructions that run one after the other: only the last may be a control transfer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Address of the first instruction.
    pub start: u64,
    /// Address after the last instruction.
    pub end: u64,
    /// The instructions; none if the first cannot be fetched or decoded.
    pub insns: Vec<Decoded>,
    /// What comes after them.
    pub flow: Flow,
}

impl Block {
    /// Decodes the block at `start`. It ends at a control transfer, an ecall, ebreak, fence.i or
    /// CSR access (these are included), after `limit` instructions, and before any address
    /// but the first for which `stop` holds.
    pub fn decode<E>(
        start: u64,
        limit: usize,
        mut stop: impl FnMut(u64) -> bool,
        mut fetch: impl FnMut(u64) -> Result<u16, E>,
    ) -> Block {
        let mut block = Block {
            start,
            end: start,
            insns: Vec::new(),
            flow: Flow::Fallthrough,
        };
        while block.insns.len() < limit && (block.end == start || !stop(block.end)) {
            let Some(decoded) = instruction(block.end, &mut fetch) else {
                block.flow = Flow::Illegal;
                break;
            };
            let pc = block.end;
            block.insns.push(decoded);
            block.end = pc.wrapping_add(u64::from(decoded.len));
            if let Some(flow) = flow(decoded.insn, pc) {
                block.flow = flow;
                break;
            }
        }
        block
    }

    /// The instructions with their addresses.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Decoded)> {
        self.insns.iter().scan(self.start, |pc, &decoded| {
            let at = *pc;
            *pc = at.wrapping_add(u64::from(decoded.len));
            Some((at, decoded))
        })
    }

    /// Where the last instruction is, if there is one.
    pub fn last(&self) -> Option<u64> {
        let last = self.insns.last()?;
        Some(self.end.wrapping_sub(u64::from(last.len)))
    }

    /// The addresses that control goes to without leaving the function: not a callee's, but the
    /// one behind a call.
    pub fn successors(&self) -> impl Iterator<Item = u64> {
        let (first, second) = match self.flow {
            Flow::Fallthrough => (Some(self.end), None),
            Flow::Jump(target) => (Some(target), None),
            Flow::Branch(target) => (Some(target), Some(self.end)),
            Flow::Call(_) | Flow::IndirectCall | Flow::System => (None, Some(self.end)),
            Flow::Return | Flow::Indirect | Flow::Illegal => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Whether the address behind the block is reached from outside, by a return.
    pub fn returns_behind(&self) -> bool {
        matches!(self.flow, Flow::Call(_) | Flow::IndirectCall | Flow::System)
    }
}

/// The instruction at `pc`, if one can be fetched and decoded.
fn instruction<E>(pc: u64, fetch: &mut impl FnMut(u64) -> Result<u16, E>) -> Option<Decoded> {
    let low = fetch(pc).ok()?;
    let high = if decode::length(low) == 4 {
        fetch(pc.wrapping_add(2)).ok()?
    } else {
        0
    };
    decode::decode(u32::from(high) << 16 | u32::from(low))
}

/// How an instruction ends its block; `None` if it does not.
fn flow(insn: Insn, pc: u64) -> Option<Flow> {
    let target = insn.direct_target(pc);
    if let Insn::Jal(jal) = insn {
        let target = target?;
        return Some(if jal.rd == X::ZERO {
            Flow::Jump(target)
        } else {
            Flow::Call(target)
        });
    }
    if let Insn::Jalr(jalr) = insn {
        // The link registers are ra and t0.
        let link = |x: X| x == X::RA || x == X::new(5);
        return Some(if jalr.rd != X::ZERO {
            Flow::IndirectCall
        } else if link(jalr.rs1) {
            Flow::Return
        } else {
            Flow::Indirect
        });
    }
    if let Some(target) = target {
        return Some(Flow::Branch(target));
    }
    if insn.op().is_system() {
        return Some(Flow::System);
    }
    let csr = matches!(
        insn,
        Insn::Csrrw(_)
            | Insn::Csrrs(_)
            | Insn::Csrrc(_)
            | Insn::Csrrwi(_)
            | Insn::Csrrsi(_)
            | Insn::Csrrci(_)
    );
    csr.then_some(Flow::Fallthrough)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(words: &[u32], limit: usize) -> Block {
        let fetch = |pc: u64| {
            let parcel = (pc - 0x1000) as usize / 2;
            let word = words.get(parcel / 2).ok_or(())?;
            Ok::<u16, ()>((word >> (16 * (parcel % 2))) as u16)
        };
        Block::decode(0x1000, limit, |_| false, fetch)
    }

    /// addi a0, a0, 1
    const ADDI: u32 = 0x0015_0513;

    #[test]
    fn a_block_ends_behind_its_control_transfer() {
        // beq a0, zero, -4; a jump behind it belongs to the next block.
        let block = block(&[ADDI, 0xfe05_0ee3, ADDI], 10);
        assert_eq!(
            (block.insns.len(), block.end, block.flow),
            (2, 0x1008, Flow::Branch(0x1000))
        );
        assert_eq!(block.successors().collect::<Vec<_>>(), [0x1000, 0x1008]);
    }

    #[test]
    fn jumps_calls_and_returns_are_told_apart() {
        let flow = |word| block(&[word], 10).flow;
        assert_eq!(flow(0x0100_006f), Flow::Jump(0x1010)); // j +16
        assert_eq!(flow(0x0100_00ef), Flow::Call(0x1010)); // jal ra, +16
        assert_eq!(flow(0x0000_8067), Flow::Return); // ret
        assert_eq!(flow(0x0005_0067), Flow::Indirect); // jr a0
        assert_eq!(flow(0x0005_00e7), Flow::IndirectCall); // jalr ra, a0
        assert_eq!(flow(0x0000_0073), Flow::System); // ecall
        assert_eq!(flow(0x0010_2573), Flow::Fallthrough); // frflags a0
    }

    #[test]
    fn a_block_stops_before_what_cannot_be_decoded_and_at_its_limit() {
        assert_eq!(block(&[ADDI, 0], 10).flow, Flow::Illegal);
        assert_eq!(block(&[ADDI], 10).flow, Flow::Illegal);
        assert_eq!(block(&[0], 10).insns.len(), 0);
        let limited = block(&[ADDI, ADDI, ADDI], 2);
        assert_eq!((limited.end, limited.flow), (0x1008, Flow::Fallthrough));
    }
}
