//! How many random cases to draw.

/// `BHV_SOAK` per cent of a test's full number, at least one. `cargo xtask soak` sets it to 100;
/// it is 1 by default.
pub fn scaled(full: u64) -> u64 {
    let percent = std::env::var("BHV_SOAK")
        .ok()
        .and_then(|text| text.parse().ok());
    (full * percent.unwrap_or(1) / 100).max(1)
}

/// `BHV_SEED`, or a seed from the clock. A test prints it when it fails.
pub fn seed() -> u64 {
    let given = std::env::var("BHV_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // Microseconds: short enough to type.
        now.map_or(1, |now| now.as_micros() as u64)
    })
}
