use crate::support::{Hand, Wire, harts};
use devices::description::{self, Description, Hart};
use devices::stream::ByteQueue;
use devices::{Bus, Clint, Plic, Power, PowerSwitch, Rtc, Syscon, Uart, blob, layout};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

struct NoPower;

impl PowerSwitch for NoPower {
    fn request(&self, _: Power) {}
}

fn machine() -> (Description, Bus) {
    let (clock, harts, wire) = (
        Arc::new(Hand::default()),
        harts(2),
        Arc::new(Wire::default()),
    );
    let mut bus = Bus::default();
    let (input, output) = (
        Box::new(ByteQueue::default()),
        Box::new(ByteQueue::default()),
    );
    let devices: [(devices::Place, Box<dyn devices::Device>); 5] = [
        (layout::SYSCON, Box::new(Syscon::new(Arc::new(NoPower)))),
        (
            layout::RTC,
            Box::new(Rtc::new(clock.clone(), wire.clone(), 0)),
        ),
        (layout::CLINT, Box::new(Clint::new(clock, harts.clone()))),
        (layout::PLIC, Box::new(Plic::new(harts))),
        (layout::UART, Box::new(Uart::new(wire, input, output))),
    ];
    for (place, device) in devices {
        bus.attach(place, device)
            .expect("the layout has no overlaps");
    }
    let hart = Hart {
        isa: "rv64imafdc_zicsr".into(),
        extensions: vec!["i", "m", "a", "f", "d", "c", "zicsr"],
        mmu: "riscv,sv39",
        cache_block: Some(64),
    };
    let description = Description {
        memory: layout::RAM..layout::RAM + (1 << 30),
        harts: vec![hart.clone(), hart],
        command_line: "console=ttyS0".into(),
        initrd: Some(0x8800_0000..0x8900_0000),
        rng_seed: vec![1, 2, 3],
    };
    (description, bus)
}

#[test]
fn the_tree_names_each_device_once_and_all_handles_lead_somewhere() {
    let (description, bus) = machine();
    let root = description::tree(&description, &bus);
    let text = format!("{root:?}");
    for name in [
        "serial@10000000",
        "plic-1.0.0",
        "clint@2000000",
        "rtc@101000",
        "test@100000",
    ] {
        assert_eq!(
            text.matches(name).count(),
            1 + usize::from(name.starts_with("serial")),
            "{name}"
        );
    }
    let handle = |handle: u32| format!("(\"phandle\", Cells([{handle}]))");
    for number in [
        layout::PLIC_PHANDLE,
        layout::SYSCON_PHANDLE,
        layout::hart_intc_phandle(1),
    ] {
        assert_eq!(text.matches(&handle(number)).count(), 1);
    }
}

#[test]
fn a_command_line_with_a_zero_byte_is_an_error() {
    let (mut description, bus) = machine();
    description.command_line = "a\0b".into();
    assert!(blob(&description, &bus).is_err());
}

/// dtc reads the blob and has nothing to say against it. Without dtc the blob's header is checked.
#[test]
fn the_blob_is_what_the_device_tree_compiler_accepts() {
    let (description, bus) = machine();
    let blob = blob(&description, &bus).expect("a tree");
    assert_eq!(blob[..4], [0xd0, 0x0d, 0xfe, 0xed]);
    assert_eq!(blob[4..8], (blob.len() as u32).to_be_bytes());
    let child = Command::new("dtc")
        .args(["-q", "-I", "dtb", "-O", "dts", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return };
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(&blob)
        .expect("dtc reads");
    let output = child.wait_with_output().expect("dtc ends");
    let source = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(source.contains("bootargs = \"console=ttyS0\""), "{source}");
    assert!(source.contains("interrupts-extended = <0x100 0x0b 0x100 0x09 0x102 0x0b 0x102 0x09>"));
}
