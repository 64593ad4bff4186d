//! Files that are cut short, damaged, or made up.

use super::file::{Contents, segment};
use jit::{Installed, Jit, Options, Portable};
use memory::{Place, Protection, Sharing, UserSpace};
use std::sync::Arc;

const CODE: u64 = 0x1_0000;
const ADDI: u32 = 0x0015_0513; // addi a0, a0, 1
const RET: u32 = 0x0000_8067;

/// A compiler for a space with a function at each of some addresses, of so many instructions.
fn compiler(functions: &[(u64, usize)]) -> Arc<Jit> {
    let space = UserSpace::reserve().unwrap();
    let rwx = Protection::READ_WRITE | Protection::EXECUTE;
    let place = Place::Fixed(CODE);
    space
        .map_anonymous(place, 0x1000, rwx, Sharing::Private, None)
        .unwrap();
    for &(at, length) in functions {
        let words = std::iter::repeat_n(ADDI, length).chain([RET]);
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        space.write_bytes(at, &bytes).unwrap();
    }
    let options = Options {
        keep: true,
        background: false,
        code_bytes: 16 << 20,
        ..Options::default()
    };
    Jit::new(options, Arc::new(space)).unwrap()
}

fn compiled(functions: &[(u64, usize)]) -> Vec<Arc<Portable>> {
    let jit = compiler(functions);
    for &(at, _) in functions {
        jit.request(at);
    }
    let mut portables = jit.portables();
    portables.sort_by_key(|portable| portable.entries.clone());
    assert_eq!(portables.len(), functions.len());
    portables
}

#[test]
fn a_file_gives_back_what_was_put_in() {
    let regions = compiled(&[(CODE, 3), (CODE + 0x100, 5)]);
    let mut bytes = segment(&regions[..1]).unwrap();
    bytes.extend(segment(&regions[1..]).unwrap());
    let contents = Contents::parse(bytes);
    assert_eq!((contents.records.len(), contents.runs), (2, 2));
    for (number, region) in regions.iter().enumerate() {
        let back = contents.portable(number).unwrap();
        assert_eq!(format!("{back:?}"), format!("{region:?}"));
    }
    assert!(!contents.wants_rewriting());
}

#[test]
fn no_cut_and_no_flipped_bit_is_taken_for_a_segment() {
    let regions = compiled(&[(CODE, 3)]);
    let whole = segment(&regions).unwrap();
    for length in 1..whole.len() {
        let cut = Contents::parse(whole[..length].to_vec());
        assert!(cut.records.is_empty() && cut.wants_rewriting(), "{length}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        let damaged = Contents::parse(damaged);
        assert!(damaged.records.is_empty(), "byte {at}");
    }
}

#[test]
fn what_newer_regions_may_be_entered_at_too_is_left_out_when_a_file_is_written_anew() {
    let old = compiled(&[(CODE, 3), (CODE + 0x100, 5)]);
    let new = compiled(&[(CODE, 4)]);
    let contents = Contents::parse(segment(&old).unwrap());
    let bytes = contents.without(&new).unwrap();
    let rest = Contents::parse(bytes);
    assert_eq!(rest.records.len(), 1);
    assert_eq!(rest.records[0].entries, [CODE + 0x100]);
    assert_eq!(rest.runs, 1);
}

#[test]
fn code_is_installed_only_over_the_guest_code_that_it_was_made_from() {
    let kept = compiled(&[(CODE, 3)]);
    let same = compiler(&[(CODE, 3)]);
    assert_eq!(same.install(&kept[0]), Installed::Ready);
    assert!(same.contains(CODE));
    assert_eq!(
        same.install(&kept[0]),
        Installed::Refused,
        "its place is taken"
    );
    let other = compiler(&[(CODE, 4)]);
    assert_eq!(other.install(&kept[0]), Installed::Refused);
    assert!(!other.contains(CODE));
    let nothing = compiler(&[]);
    assert_eq!(nothing.install(&kept[0]), Installed::Refused);
}
