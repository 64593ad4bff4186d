//! Device-tree nodes as values, and the flattened form that firmware and kernels read.

use crate::device::Place;
use crate::layout;
use vm_fdt::{FdtReserveEntry, FdtWriter};

/// A node of the device tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its name, with `@` and the unit address where it has one.
    pub name: String,
    /// In order.
    pub properties: Vec<(&'static str, Value)>,
    /// In order.
    pub children: Vec<Node>,
}

/// A property's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Present, no more.
    Empty,
    /// 32-bit cells.
    Cells(Vec<u32>),
    /// 64-bit numbers, two cells each.
    Wide(Vec<u64>),
    /// A string.
    Text(String),
    /// A list of strings.
    Texts(Vec<&'static str>),
    /// Bytes as they are.
    Bytes(Vec<u8>),
}

/// The tree can't be written: a name or value that has no flattened form.
#[derive(Debug, thiserror::Error)]
#[error("device tree: {0}")]
pub struct TreeError(#[from] vm_fdt::Error);

impl Node {
    /// A node without properties.
    pub fn new(name: impl Into<String>) -> Node {
        Node {
            name: name.into(),
            properties: Vec::new(),
            children: Vec::new(),
        }
    }

    /// A node of a device: name, `reg`, `compatible`, and its interrupt if it has one.
    pub fn device(name: &str, compatible: Vec<&'static str>, place: &Place) -> Node {
        let node = Node::new(format!("{name}@{:x}", place.pa))
            .with("compatible", Value::Texts(compatible))
            .with("reg", Value::Wide(vec![place.pa, place.size]));
        match place.interrupt {
            Some(source) => node
                .with("interrupt-parent", Value::Cells(vec![layout::PLIC_PHANDLE]))
                .with("interrupts", Value::Cells(vec![source])),
            None => node,
        }
    }

    /// With one more property.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Node {
        self.properties.push((name, value));
        self
    }

    /// With one more property of one cell.
    #[must_use]
    pub fn cell(self, name: &'static str, value: u32) -> Node {
        self.with(name, Value::Cells(vec![value]))
    }

    /// With one more child.
    #[must_use]
    pub fn child(mut self, child: Node) -> Node {
        self.children.push(child);
        self
    }

    /// The flattened tree with this root. `boot_hart` is the one that starts the kernel.
    pub fn flatten(&self, boot_hart: u32) -> Result<Vec<u8>, TreeError> {
        let mut writer = FdtWriter::new_with_mem_reserv(&[] as &[FdtReserveEntry])?;
        writer.set_boot_cpuid_phys(boot_hart);
        self.write(&mut writer)?;
        Ok(writer.finish()?)
    }

    fn write(&self, writer: &mut FdtWriter) -> Result<(), TreeError> {
        let node = writer.begin_node(&self.name)?;
        for (name, value) in &self.properties {
            match value {
                Value::Empty => writer.property_null(name)?,
                Value::Cells(cells) => writer.property_array_u32(name, cells)?,
                Value::Wide(numbers) => writer.property_array_u64(name, numbers)?,
                Value::Text(text) => writer.property_string(name, text)?,
                Value::Texts(texts) => {
                    let texts = texts.iter().map(ToString::to_string).collect();
                    writer.property_string_list(name, texts)?;
                }
                Value::Bytes(bytes) => writer.property(name, bytes)?,
            }
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.end_node(node)?;
        Ok(())
    }
}
