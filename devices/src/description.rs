//! The device tree of a whole machine.

use crate::bus::Bus;
use crate::clock::TICKS_PER_SECOND;
use crate::layout;
use crate::tree::{Node, TreeError, Value};
use std::ops::Range;

/// What the tree says apart from devices, which say it themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// Physical addresses of RAM.
    pub memory: Range<u64>,
    /// One for each hart, numbered from 0.
    pub harts: Vec<Hart>,
    /// The kernel's command line.
    pub command_line: String,
    /// Where the initial RAM disk lies.
    pub initrd: Option<Range<u64>>,
    /// Random bytes for the kernel's generator.
    pub rng_seed: Vec<u8>,
}

/// What the tree says of a hart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hart {
    /// The ISA string, such as `rv64imafdc_zicsr_zifencei`.
    pub isa: String,
    /// The same as a list, such as `i`, `m`, `zicsr`.
    pub extensions: Vec<&'static str>,
    /// `riscv,sv39`, `riscv,sv48` or `riscv,none`.
    pub mmu: &'static str,
    /// Bytes that cbo.zero and its relatives work on, if the hart has them.
    pub cache_block: Option<u32>,
}

/// The flattened tree of a machine with these devices. Hart 0 boots.
pub fn blob(description: &Description, bus: &Bus) -> Result<Vec<u8>, TreeError> {
    tree(description, bus).flatten(0)
}

/// The same as nodes.
pub fn tree(description: &Description, bus: &Bus) -> Node {
    let Range { start, end } = description.memory;
    let memory = Node::new(format!("memory@{start:x}"))
        .with("device_type", text("memory"))
        .with("reg", Value::Wide(vec![start, end.saturating_sub(start)]));
    let mut soc = Node::new("soc")
        .cell("#address-cells", 2)
        .cell("#size-cells", 2)
        .with("compatible", text("simple-bus"))
        .with("ranges", Value::Empty);
    soc.children = bus.nodes();
    let mut root = Node::new("")
        .cell("#address-cells", 2)
        .cell("#size-cells", 2)
        .with("compatible", text("riscv-virtio"))
        .with("model", text("riscv-virtio,bhv"))
        .child(chosen(description, bus))
        .child(memory)
        .child(cpus(&description.harts));
    if bus.places().any(|place| place == layout::SYSCON) {
        root = root
            .child(power("poweroff", 0x5555))
            .child(power("reboot", 0x7777));
    }
    root.child(soc)
}

/// The kernel writes `value` to the syscon to get this done.
fn power(action: &str, value: u32) -> Node {
    Node::new(action)
        .with("compatible", Value::Text(format!("syscon-{action}")))
        .cell("regmap", layout::SYSCON_PHANDLE)
        .cell("offset", 0)
        .cell("value", value)
}

fn chosen(description: &Description, bus: &Bus) -> Node {
    let mut node = Node::new("chosen");
    if bus.places().any(|place| place == layout::UART) {
        let path = format!("/soc/serial@{:x}", layout::UART.pa);
        node = node.with("stdout-path", Value::Text(path));
    }
    if !description.command_line.is_empty() {
        node = node.with("bootargs", Value::Text(description.command_line.clone()));
    }
    if let Some(initrd) = &description.initrd {
        node = node
            .with("linux,initrd-start", Value::Wide(vec![initrd.start]))
            .with("linux,initrd-end", Value::Wide(vec![initrd.end]));
    }
    if description.rng_seed.is_empty() {
        return node;
    }
    node.with("rng-seed", Value::Bytes(description.rng_seed.clone()))
}

fn cpus(harts: &[Hart]) -> Node {
    let mut cluster = Node::new("cluster0");
    let mut cpus = Node::new("cpus")
        .cell("#address-cells", 1)
        .cell("#size-cells", 0)
        .cell("timebase-frequency", TICKS_PER_SECOND as u32);
    for (number, hart) in harts.iter().enumerate() {
        let core = Node::new(format!("core{number}"));
        cluster = cluster.child(core.cell("cpu", layout::hart_phandle(number)));
        cpus = cpus.child(cpu(number, hart));
    }
    cpus.child(Node::new("cpu-map").child(cluster))
}

fn cpu(number: usize, hart: &Hart) -> Node {
    let mut node = Node::new(format!("cpu@{number:x}"))
        .with("device_type", text("cpu"))
        .cell("reg", number as u32)
        .cell("phandle", layout::hart_phandle(number))
        .with("status", text("okay"))
        .with("compatible", text("riscv"))
        .with("riscv,isa-base", text("rv64i"))
        .with(
            "riscv,isa-extensions",
            Value::Texts(hart.extensions.clone()),
        )
        .with("riscv,isa", Value::Text(hart.isa.clone()))
        .with("mmu-type", text(hart.mmu));
    if let Some(bytes) = hart.cache_block {
        for name in [
            "riscv,cbom-block-size",
            "riscv,cbop-block-size",
            "riscv,cboz-block-size",
        ] {
            node = node.cell(name, bytes);
        }
    }
    node.child(
        Node::new("interrupt-controller")
            .cell("#interrupt-cells", 1)
            .with("interrupt-controller", Value::Empty)
            .with("compatible", text("riscv,cpu-intc"))
            .cell("phandle", layout::hart_intc_phandle(number)),
    )
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
