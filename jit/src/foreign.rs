//! Code for hosts that this is not: to be read and counted, never run.

use crate::compiler::{self, Compiler};
use crate::{Error, Listing, Options};
use cranelift_codegen::{isa, settings};
use frontend::Region;
use memory::UserSpace;
use std::sync::Arc;
use target_lexicon::Triple;

/// What the region around `pc` becomes on the host of that name, such as `aarch64-unknown-linux-gnu`,
/// with that host's basic instruction set. Needs the feature `foreign` for any host but this.
pub fn listing(
    options: &Options,
    space: &UserSpace,
    pc: u64,
    host: &str,
) -> Result<Arc<Listing>, Error> {
    let refused = |reason: String| Error::Host(format!("{host}: {reason}"));
    let triple: Triple = host.parse().map_err(|error| refused(format!("{error}")))?;
    let flags = settings::Flags::new(compiler::flags(options)?);
    let isa = isa::lookup(triple)
        .map_err(|error| refused(error.to_string()))?
        .finish(flags)
        .map_err(|error| refused(error.to_string()))?;
    let mut options = options.clone();
    options.listings = true;
    options.code_bytes = options.code_bytes.min(16 << 20);
    let size = options.region_size;
    let region = Region::discover(&[pc], size, |_| false, |va| space.fetch(va));
    let compiled = Compiler::for_isa(&options, isa)?.compile(&region)?;
    compiled
        .listing
        .map(Arc::new)
        .ok_or_else(|| refused("there is no code".into()))
}
