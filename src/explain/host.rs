//! Host code as text.

use yaxpeax_arch::{Decoder, LengthedInstruction, U8Reader};

/// A machine whose code can be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host {
    /// x86-64.
    X86_64,
    /// AArch64.
    Aarch64,
}

/// One instruction of a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostInstruction {
    /// Where it is.
    pub address: u64,
    /// Its text.
    pub text: String,
}

impl Host {
    /// The machine that this is compiled for.
    pub const fn here() -> Host {
        if cfg!(target_arch = "aarch64") {
            Host::Aarch64
        } else {
            Host::X86_64
        }
    }

    /// What Cranelift calls a Linux machine of this kind.
    pub const fn triple(self) -> &'static str {
        match self {
            Host::X86_64 => "x86_64-unknown-linux-gnu",
            Host::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The instructions in `code`, which lies at `address`. What cannot be decoded is shown as
    /// bytes.
    pub fn decode(self, code: &[u8], address: u64) -> Vec<HostInstruction> {
        let mut instructions = Vec::new();
        let mut at = 0;
        while at < code.len() {
            let (text, length) = self.one(&code[at..]);
            instructions.push(HostInstruction {
                address: address + at as u64,
                text,
            });
            at += length;
        }
        instructions
    }

    /// The first instruction and its length.
    fn one(self, code: &[u8]) -> (String, usize) {
        let mut reader = U8Reader::new(code);
        let decoded = match self {
            Host::X86_64 => {
                let decoder = yaxpeax_x86::amd64::InstDecoder::default();
                let decoded = decoder.decode(&mut reader).ok();
                decoded.map(|insn| (insn.to_string(), insn.len().to_const() as usize))
            }
            Host::Aarch64 => {
                let decoder = yaxpeax_arm::armv8::a64::InstDecoder::default();
                let decoded = decoder.decode(&mut reader).ok();
                decoded.map(|insn| (insn.to_string(), 4))
            }
        };
        match decoded {
            Some((text, length)) if length > 0 && length <= code.len() => (text, length),
            _ => {
                let length = if self == Host::X86_64 {
                    1
                } else {
                    code.len().min(4)
                };
                let bytes: Vec<String> =
                    code[..length].iter().map(|b| format!("{b:02x}")).collect();
                (format!(".byte {}", bytes.join(" ")), length)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(host: Host, code: &[u8]) -> Vec<String> {
        host.decode(code, 0x1000)
            .into_iter()
            .map(|insn| insn.text)
            .collect()
    }

    #[test]
    fn both_hosts_are_shown() {
        assert_eq!(
            texts(Host::X86_64, &[0x48, 0x01, 0xd8, 0xc3]),
            ["add rax, rbx", "ret"]
        );
        assert_eq!(texts(Host::Aarch64, &[0xc0, 0x03, 0x5f, 0xd6]), ["ret"]);
    }

    #[test]
    fn what_is_no_code_is_shown_as_bytes() {
        assert_eq!(texts(Host::X86_64, &[0x48]), [".byte 48"]);
        assert_eq!(texts(Host::Aarch64, &[0, 0]), [".byte 00 00"]);
    }
}
