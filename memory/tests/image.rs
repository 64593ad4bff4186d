//! Memory images: what is copied out and mapped in again is what was there.

use memory::{
    Backing, Error, FaultKind, FileInfo, LIMIT, PAGE, Piece, Place, Protection, Sharing, UserSpace,
    Vma,
};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

const AT: u64 = 0x30_0000;

fn tempfile(name: &str) -> File {
    let path = std::env::temp_dir().join(format!("bhv-image-{name}-{}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// The pages of a mapping as contents() hands them over.
fn pages_of(space: &UserSpace, vma: &Vma) -> (Vec<(u64, Vec<u8>)>, u64) {
    let mut pages = Vec::new();
    let reach = space
        .contents::<Error>(vma, |va, bytes| {
            for (i, page) in bytes.chunks(PAGE as usize).enumerate() {
                pages.push((va + i as u64 * PAGE, page.to_vec()));
            }
            Ok(())
        })
        .unwrap();
    (pages, reach)
}

/// Copies a space out into a file and into a new space.
fn through_image(space: &UserSpace, name: &str) -> UserSpace {
    let file = tempfile(name);
    let copy = UserSpace::reserve().unwrap();
    let mut offset = 0;
    for vma in space.vmas() {
        let (pages, reach) = pages_of(space, &vma);
        let mut pieces = Vec::new();
        for (va, bytes) in pages {
            file.write_all_at(&bytes, offset).unwrap();
            pieces.push(Piece {
                va,
                length: PAGE,
                offset,
            });
            offset += PAGE;
        }
        copy.restore(&vma, &pieces, reach, file.as_fd()).unwrap();
    }
    copy
}

#[test]
fn every_kind_of_private_mapping_survives() {
    let space = UserSpace::reserve().unwrap();
    let mut file = tempfile("backing");
    file.write_all(&vec![9; 2 * PAGE as usize + 5]).unwrap();
    let info = Arc::new(FileInfo {
        path: b"/lib/x".to_vec(),
        device: 1,
        inode: 2,
        steady: 0,
    });
    let (rw, r) = (Protection::READ_WRITE, Protection::READ);
    let anonymous = |va, pages, protection| {
        let place = Place::Fixed(va);
        space
            .map_anonymous(place, pages * PAGE, protection, Sharing::Private, None)
            .unwrap();
    };
    anonymous(AT, 400, rw);
    space.store(AT + 3 * PAGE, 1_u64).unwrap();
    space.store(AT + 200 * PAGE + 8, 2_u64).unwrap();
    space.store(AT + 399 * PAGE, 3_u64).unwrap();
    // Written, then closed to the guest; and execute-only.
    anonymous(AT << 1, 2, rw);
    space.store(AT << 1, 0x8082_u16).unwrap();
    space.store((AT << 1) + PAGE, 4_u64).unwrap();
    space.protect(AT << 1, PAGE, Protection::EXECUTE).unwrap();
    space
        .protect((AT << 1) + PAGE, PAGE, Protection::NONE)
        .unwrap();
    // Mapped from a file, one page of it changed, and reaching beyond its end.
    let place = Place::Fixed(AT << 2);
    space
        .map_file(
            place,
            5 * PAGE,
            rw,
            Sharing::Private,
            file.as_fd(),
            0,
            info.clone(),
        )
        .unwrap();
    space.store(AT << 2, 5_u8).unwrap();

    let copy = through_image(&space, "survives");
    file.set_len(0).unwrap();
    drop(file);
    assert_eq!(copy.vmas(), space.vmas());
    for page in 0..400 {
        let expected = match page {
            3 => [1, 0],
            200 => [0, 2],
            399 => [3, 0],
            _ => [0, 0],
        };
        let found = [0, 8].map(|at| copy.load::<u64>(AT + page * PAGE + at).unwrap());
        assert_eq!(found, expected, "page {page}");
    }
    assert_eq!(copy.fetch(AT << 1), Ok(0x8082));
    assert_eq!(
        copy.load::<u16>(AT << 1).unwrap_err().kind,
        FaultKind::Protected
    );
    copy.protect((AT << 1) + PAGE, PAGE, r).unwrap();
    assert_eq!(copy.load::<u64>((AT << 1) + PAGE), Ok(4));
    assert_eq!(copy.load::<u16>(AT << 2), Ok(0x0905));
    assert_eq!(copy.load::<u64>((AT << 2) + 2 * PAGE), Ok(0x09_0909_0909));
    for page in 3..5 {
        let fault = copy.load::<u8>((AT << 2) + page * PAGE).unwrap_err();
        assert_eq!(fault.kind, FaultKind::BeyondFile);
    }
    let Backing::File { file, .. } = copy.vma_at(AT << 2).unwrap().backing else {
        panic!()
    };
    assert_eq!(file, info);
}

#[test]
fn a_restored_space_can_be_saved_again_and_discarded() {
    let space = UserSpace::reserve().unwrap();
    let rw = Protection::READ_WRITE;
    space
        .map_anonymous(Place::Fixed(AT), 8 * PAGE, rw, Sharing::Private, None)
        .unwrap();
    for page in 0..4 {
        space.store(AT + page * PAGE, page + 1).unwrap();
    }
    let once = through_image(&space, "once");
    // Page 0 is read, 1 written, 2 discarded, 3 never touched before it is saved again.
    assert_eq!(once.load::<u64>(AT), Ok(1));
    once.store(AT + PAGE, 20_u64).unwrap();
    once.discard(AT + 2 * PAGE, PAGE).unwrap();
    assert_eq!(
        once.load::<u64>(AT + 2 * PAGE),
        Ok(0),
        "discarded memory is zero, not the image"
    );
    once.remap(AT, 8 * PAGE, 8 * PAGE, Some(Place::Fixed(AT << 1)))
        .unwrap();
    let twice = through_image(&once, "twice");
    let words: Vec<u64> = (0..5)
        .map(|p| twice.load((AT << 1) + p * PAGE).unwrap())
        .collect();
    assert_eq!(words, [1, 20, 0, 4, 0]);
}

#[test]
fn untouched_memory_is_not_visited() {
    let space = UserSpace::reserve().unwrap();
    let none = Protection::NONE;
    space
        .map_anonymous(Place::Fixed(AT), 1 << 30, none, Sharing::Private, None)
        .unwrap();
    space.protect(AT, PAGE, Protection::READ_WRITE).unwrap();
    space.store(AT, 1_u8).unwrap();
    for vma in space.vmas() {
        let (pages, reach) = pages_of(&space, &vma);
        assert_eq!(reach, vma.end);
        assert_eq!(pages.len(), usize::from(vma.start == AT));
    }
}

#[test]
fn forged_images_are_refused() {
    let file = tempfile("forged");
    file.set_len(0x10_0000).unwrap();
    let vma = |start, end| Vma {
        start,
        end,
        protection: Protection::READ_WRITE,
        sharing: Sharing::Private,
        backing: Backing::Anonymous,
        name: None,
    };
    let piece = |va, length, offset| Piece { va, length, offset };
    let end = AT + 4 * PAGE;
    let bad: Vec<(Vma, Vec<Piece>, u64)> = vec![
        (vma(0, PAGE), vec![], PAGE),
        (vma(AT + 1, end), vec![], end),
        (vma(end, AT), vec![], AT),
        (vma(AT, AT), vec![], AT),
        (vma(AT, LIMIT + PAGE), vec![], LIMIT),
        (vma(AT, !0xfff), vec![], AT),
        (vma(AT, end), vec![], end + PAGE),
        (vma(AT, end), vec![], AT - PAGE),
        (vma(AT, end), vec![piece(AT - PAGE, PAGE, 0)], end),
        (vma(AT, end), vec![piece(AT, 5 * PAGE, 0)], end),
        (vma(AT, end), vec![piece(AT, !0xfff, 0)], end),
        (vma(AT, end), vec![piece(AT, PAGE, 1)], end),
        (vma(AT, end), vec![piece(AT, PAGE, !0xfff)], end),
        (
            vma(AT, end),
            vec![piece(AT, PAGE, 0), piece(AT, PAGE, 0)],
            end,
        ),
        (vma(AT, end), vec![piece(AT, 2 * PAGE, 0)], AT + PAGE),
        // Memory that is no file's and still ends early.
        (vma(AT, end), vec![], AT + PAGE),
        (
            Vma {
                sharing: Sharing::Shared,
                ..vma(AT, end)
            },
            vec![],
            end,
        ),
    ];
    let space = UserSpace::reserve().unwrap();
    for (vma, pieces, reach) in bad {
        let result = space.restore(&vma, &pieces, reach, file.as_fd());
        assert!(result.is_err(), "{vma:?} {pieces:?} {reach:#x}");
        assert!(space.vmas().is_empty());
    }
    space
        .restore(&vma(AT, end), &[], end, file.as_fd())
        .unwrap();
    let again = space.restore(&vma(AT, end), &[], end, file.as_fd());
    assert!(matches!(again, Err(Error::Exists { .. })));
}
