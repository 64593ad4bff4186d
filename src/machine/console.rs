//! The console on stdin and stdout: raw if it is a terminal, with an escape key.

use super::build::Wires;
use super::host::Raw;
use super::signal::{Command, Signal};
use devices::Bell;
use devices::stream::ByteQueue;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ctrl-A: the next key is for us.
const ESCAPE: u8 = 1;

/// What the keys behind the escape key do.
pub const KEYS: &str = "Ctrl-A x ends, s saves, r resets, i tells where the harts are, \
                        Ctrl-A sends itself";

/// Stdin and stdout as a machine's console.
pub struct Terminal {
    /// Keeps the terminal raw.
    raw: Option<Raw>,
    input: ByteQueue,
    open: Arc<AtomicBool>,
}

impl Terminal {
    /// Starts reading stdin, raw if it is a terminal.
    pub fn open(signal: &Arc<Signal>) -> Terminal {
        let stdin = std::io::stdin();
        let raw = stdin
            .is_terminal()
            .then(|| Raw::new(stdin.as_fd()))
            .flatten();
        let (input, open) = (ByteQueue::default(), Arc::new(AtomicBool::new(true)));
        let terminal = Terminal {
            raw,
            input: input.clone(),
            open: open.clone(),
        };
        let (signal, escapes) = (signal.clone(), terminal.raw.is_some());
        std::thread::spawn(move || {
            let mut keys = Keys {
                escapes,
                escaped: false,
            };
            let mut bytes = [0; 256];
            loop {
                match std::io::stdin().lock().read(&mut bytes) {
                    Ok(count) if count > 0 => {
                        for &byte in &bytes[..count] {
                            match keys.press(byte) {
                                Key::Guest(byte) => input.push(&[byte]),
                                Key::Command(command) => signal.command(command),
                                Key::Nothing => {}
                            }
                        }
                        signal.ring();
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Ok(_) | Err(_) => {
                        open.store(false, Ordering::Release);
                        return signal.ring();
                    }
                }
            }
        });
        terminal
    }

    /// What a machine is connected to.
    pub fn wires(&self) -> Wires {
        Wires {
            input: Box::new(self.input.clone()),
            output: Box::new(Stdout),
            debug: Box::new(Stdout),
        }
    }

    /// Whether anything can still be typed.
    pub fn is_open(&self) -> Arc<AtomicBool> {
        self.open.clone()
    }

    /// Whether it is a terminal, with an escape key.
    pub fn is_terminal(&self) -> bool {
        self.raw.is_some()
    }
}

/// Tells keys for us from keys for the guest.
struct Keys {
    escapes: bool,
    escaped: bool,
}

enum Key {
    Guest(u8),
    Command(Command),
    Nothing,
}

impl Keys {
    fn press(&mut self, byte: u8) -> Key {
        if !std::mem::take(&mut self.escaped) {
            if self.escapes && byte == ESCAPE {
                self.escaped = true;
                return Key::Nothing;
            }
            return Key::Guest(byte);
        }
        match byte {
            b'x' | b'q' => Key::Command(Command::Quit),
            b'r' => Key::Command(Command::Reset),
            b'i' => Key::Command(Command::Info),
            b's' => Key::Command(Command::Save),
            ESCAPE => Key::Guest(ESCAPE),
            _ => {
                eprint!("\r\n[{KEYS}]\r\n");
                Key::Nothing
            }
        }
    }
}

/// Writes to stdout at once.
struct Stdout;

impl devices::Output for Stdout {
    fn put(&mut self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        // A reader who has gone does not stop the machine: its console is unplugged.
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_key_is_for_us_on_terminals_only() {
        let press = |escapes, text: &[u8]| {
            let mut keys = Keys {
                escapes,
                escaped: false,
            };
            let mut log = String::new();
            for &byte in text {
                match keys.press(byte) {
                    Key::Guest(byte) => log.push_str(&format!("{byte:x} ")),
                    Key::Command(command) => log.push_str(&format!("{command:?} ")),
                    Key::Nothing => {}
                }
            }
            log
        };
        assert_eq!(press(true, b"a\x01xb\x01\x01\x01r"), "61 Quit 62 1 Reset ");
        assert_eq!(press(false, b"a\x01x"), "61 1 78 ");
    }
}
