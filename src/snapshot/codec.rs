//! The one place that turns typed state into bytes and back: serde through bincode 2.
//!
//! The encoding does not depend on the host: integers are little-endian of variable length, a
//! `usize` is a `u64`. It is not self-describing, so a section's version goes up whenever its type
//! changes, and the old type stays to be read.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of state that a section may decode to. Registers, descriptors and lists of mappings take
/// kilobytes; pages are not typed state.
pub const MOST: usize = 64 << 20;

fn config() -> impl bincode::config::Config {
    bincode::config::standard()
        .with_little_endian()
        .with_variable_int_encoding()
        .with_limit::<MOST>()
}

/// The bytes of a value; the error says why it has none.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    bincode::serde::encode_to_vec(value, config()).map_err(|error| error.to_string())
}

/// The value of these bytes, all of them; the error says why there is none.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bincode::serde::decode_from_slice(bytes, config()) {
        Ok((value, read)) if read == bytes.len() => Ok(value),
        Ok((_, read)) => Err(format!("{} bytes are left over", bytes.len() - read)),
        Err(error) => Err(error.to_string()),
    }
}
