//! Physical addresses and interrupt numbers of QEMU's `virt` machine.

use crate::device::Place;

/// Where RAM begins.
pub const RAM: u64 = 0x8000_0000;
/// Poweroff and reset, as SiFive's test finisher.
pub const SYSCON: Place = place(0x10_0000, 0x1000, None);
/// Goldfish real-time clock.
pub const RTC: Place = place(0x10_1000, 0x1000, Some(11));
/// Software interrupts and timers.
pub const CLINT: Place = place(0x200_0000, 0x1_0000, None);
/// Platform-level interrupt controller.
pub const PLIC: Place = place(0xc00_0000, 0x60_0000, None);
/// 16550A.
pub const UART: Place = place(0x1000_0000, 0x100, Some(10));
/// How many places there are for virtio devices.
pub const VIRTIO_SLOTS: usize = 8;
/// Interrupt sources of the PLIC, 0 left out.
pub const PLIC_SOURCES: u32 = 95;
/// Harts that the PLIC's place has room for, with two contexts each.
pub const MOST_HARTS: usize = 512;

/// The place of the nth virtio device.
pub const fn virtio(slot: usize) -> Place {
    place(
        0x1000_1000 + 0x1000 * slot as u64,
        0x1000,
        Some(1 + slot as u32),
    )
}

const fn place(pa: u64, size: u64, interrupt: Option<u32>) -> Place {
    Place {
        pa,
        size,
        interrupt,
    }
}

/// The handle by which device-tree nodes refer to the PLIC.
pub const PLIC_PHANDLE: u32 = 1;
/// The handle of the syscon.
pub const SYSCON_PHANDLE: u32 = 2;

/// The handle of a hart's own interrupt controller.
pub const fn hart_intc_phandle(hart: usize) -> u32 {
    0x100 + 2 * hart as u32
}

/// The handle of a hart.
pub const fn hart_phandle(hart: usize) -> u32 {
    0x101 + 2 * hart as u32
}
