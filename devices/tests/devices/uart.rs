use crate::support::{Wire, copy, refuses_others};
use devices::stream::ByteQueue;
use devices::{AccessFault, Device, State, Uart, Width};
use std::sync::Arc;

struct Port {
    uart: Uart,
    wire: Arc<Wire>,
    input: ByteQueue,
    output: ByteQueue,
}

fn port() -> Port {
    let (wire, input, output) = (
        Arc::new(Wire::default()),
        ByteQueue::default(),
        ByteQueue::default(),
    );
    let uart = Uart::new(
        wire.clone(),
        Box::new(input.clone()),
        Box::new(output.clone()),
    );
    Port {
        uart,
        wire,
        input,
        output,
    }
}

impl Port {
    fn get(&mut self, register: u64) -> u8 {
        self.uart.read(register, Width::Byte).expect("a register") as u8
    }
    fn set(&mut self, register: u64, value: u8) {
        let stored = self.uart.write(register, Width::Byte, u64::from(value));
        stored.expect("a register");
    }
    fn type_in(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
        self.uart.service(0);
    }
}

#[test]
fn what_is_written_goes_out_and_the_transmitter_is_always_empty() {
    let mut port = port();
    for byte in b"hello" {
        assert_eq!(port.get(5), 0x60);
        port.set(0, *byte);
    }
    assert_eq!(port.output.drain(), b"hello");
}

#[test]
fn no_input_is_lost_however_much_arrives() {
    let mut port = port();
    let sent: Vec<u8> = (0..1000).map(|i| i as u8).collect();
    port.set(2, 1);
    port.type_in(&sent);
    let mut received = Vec::new();
    while port.get(5) & 1 != 0 {
        received.push(port.get(0));
    }
    assert_eq!(received, sent);
    assert_eq!(port.get(0), 0, "nothing is left");
}

#[test]
fn received_data_interrupts_until_it_is_read() {
    let mut port = port();
    port.set(2, 0x81);
    port.type_in(b"a");
    assert!(!port.wire.level());
    port.set(1, 1);
    assert!(port.wire.level());
    assert_eq!(port.get(2), 0xcc, "below the trigger level: timeout");
    port.type_in(b"bcdefgh");
    assert_eq!(port.get(2), 0xc4, "8 bytes: the trigger level");
    for _ in 0..8 {
        assert!(port.wire.level());
        port.get(0);
    }
    assert!(!port.wire.level());
    assert_eq!(port.get(2), 0xc1);
}

#[test]
fn an_empty_transmitter_interrupts_once_it_is_enabled_and_after_each_byte() {
    let mut port = port();
    port.set(1, 2);
    assert!(port.wire.level());
    assert_eq!(port.get(2), 2);
    assert!(!port.wire.level(), "reading IIR acknowledges it");
    assert_eq!(port.get(2), 1);
    port.set(0, b'x');
    assert!(port.wire.level());
    port.set(1, 0);
    assert!(!port.wire.level());
}

#[test]
fn received_data_comes_before_the_empty_transmitter() {
    let mut port = port();
    port.set(1, 3);
    port.type_in(b"a");
    assert_eq!(port.get(2), 4);
    assert_eq!(port.get(0), b'a');
    assert_eq!(port.get(2), 2, "reading the other did not acknowledge it");
}

#[test]
fn the_divisor_latch_hides_data_and_interrupt_enable() {
    let mut port = port();
    port.set(3, 0x83);
    port.set(0, 0x12);
    port.set(1, 0x34);
    assert_eq!((port.get(0), port.get(1), port.get(3)), (0x12, 0x34, 0x83));
    port.set(3, 3);
    assert_eq!((port.get(0), port.get(1)), (0, 0));
    assert!(port.output.drain().is_empty());
}

#[test]
fn the_fifo_can_be_emptied_and_turned_off() {
    let mut port = port();
    port.set(2, 1);
    assert_eq!(port.get(2) & 0xc0, 0xc0);
    port.type_in(b"abc");
    port.set(2, 3);
    assert_eq!(port.get(5) & 1, 0);
    port.set(2, 0);
    assert_eq!(port.get(2) & 0xc0, 0);
    port.set(2, 0xc0);
    assert_eq!(
        port.get(2) & 0xc0,
        0,
        "without the enable bit the others do nothing"
    );
}

#[test]
fn loopback_turns_modem_control_into_modem_status_and_output_into_input() {
    let mut port = port();
    assert_eq!(port.get(6), 0xb0);
    port.set(4, 0x1a);
    assert_eq!(port.get(6), 0x90, "RTS and OUT2 as CTS and DCD");
    port.set(4, 0x15);
    assert_eq!(port.get(6), 0x60, "DTR and OUT1 as DSR and RI");
    port.set(0, b'x');
    assert!(port.output.drain().is_empty());
    assert_eq!(port.get(0), b'x');
    port.set(4, 0xff);
    assert_eq!(port.get(4), 0x1f);
}

#[test]
fn the_scratch_register_holds_bytes_and_status_registers_do_not() {
    let mut port = port();
    port.set(7, 0x5a);
    assert_eq!(port.get(7), 0x5a);
    port.set(5, 0xff);
    port.set(6, 0xff);
    assert_eq!((port.get(5), port.get(6)), (0x60, 0xb0));
    port.set(1, 0xff);
    assert_eq!(port.get(1), 0xf);
    port.set(8, 0xff);
    assert_eq!(port.get(8), 0);
    for width in [Width::Half, Width::Word, Width::Double] {
        assert_eq!(port.uart.read(0, width), Err(AccessFault));
        assert_eq!(port.uart.write(0, width, 0), Err(AccessFault));
    }
}

#[test]
fn a_restored_port_has_its_input_and_its_interrupt() {
    let mut port = port();
    port.set(2, 1);
    port.set(1, 1);
    port.type_in(b"abc");
    let mut other = self::port();
    copy(&mut port.uart, &mut other.uart);
    assert!(other.wire.level());
    assert_eq!([other.get(0), other.get(0), other.get(0)], *b"abc");
    other.uart.reset();
    assert!(!other.wire.level());
    refuses_others(&mut other.uart, State::Syscon);
}
