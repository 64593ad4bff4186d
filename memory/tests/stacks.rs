//! Who relies on a range is told before it changes, and waited for.

use memory::{PAGE, Place, Protection, Sharing, StackUser, UserSpace};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const START: u64 = 0x10_0000;
const PAGES: u64 = 16;

#[derive(Default)]
struct User {
    told: Mutex<Vec<(u64, u64)>>,
    busy: AtomicBool,
    /// Looks that were taken while it was.
    looks: AtomicU64,
}

impl StackUser for User {
    fn give_up(&self, start: u64, end: u64) -> bool {
        self.told.lock().unwrap().push((start, end));
        self.busy.load(Ordering::SeqCst)
    }

    fn has_given_up(&self) -> bool {
        self.looks.fetch_add(1, Ordering::SeqCst);
        !self.busy.load(Ordering::SeqCst)
    }
}

fn map(space: &UserSpace, place: Place, pages: u64) -> u64 {
    let protection = Protection::READ_WRITE;
    space
        .map_anonymous(place, pages * PAGE, protection, Sharing::Private, None)
        .unwrap()
}

fn used() -> (Arc<UserSpace>, Arc<User>) {
    let space = UserSpace::reserve().unwrap();
    map(&space, Place::Fixed(START), PAGES);
    let user = Arc::new(User::default());
    space.add_stack_user(&user);
    (Arc::new(space), user)
}

#[test]
fn whatever_takes_a_mapping_away_says_so_before() {
    let (space, user) = used();
    let told = || std::mem::take(&mut *user.told.lock().unwrap());
    map(&space, Place::Fixed(START + PAGES * PAGE), 1);
    assert_eq!(told(), [], "what was free");
    space.unmap(START, PAGE).unwrap();
    assert_eq!(told(), [(START, START + PAGE)]);
    space.protect(START + PAGE, PAGE, Protection::READ).unwrap();
    assert_eq!(told(), [(START + PAGE, START + 2 * PAGE)]);
    map(&space, Place::Fixed(START + 2 * PAGE), 1);
    assert_eq!(told(), [(START + 2 * PAGE, START + 3 * PAGE)]);
    let moved = Some(Place::Fixed(START + 64 * PAGE));
    space.remap(START + 4 * PAGE, PAGE, PAGE, moved).unwrap();
    assert!(told().contains(&(START + 4 * PAGE, START + 5 * PAGE)));
    space.remap(START + 6 * PAGE, 2 * PAGE, PAGE, None).unwrap();
    assert_eq!(told(), [(START + 7 * PAGE, START + 8 * PAGE)]);
}

#[test]
fn whoever_changes_a_mapping_waits_for_those_who_use_it() {
    let (space, user) = used();
    user.busy.store(true, Ordering::SeqCst);
    let theirs = space.clone();
    let thread = std::thread::spawn(move || theirs.unmap(START, PAGE).unwrap());
    while user.looks.load(Ordering::SeqCst) < 200 {
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(space.load::<u8>(START), Ok(0), "it is still there");
    }
    user.busy.store(false, Ordering::SeqCst);
    thread.join().unwrap();
    assert!(space.load::<u8>(START).is_err());
}

#[test]
fn a_stack_is_a_mapping_that_can_be_written() {
    let (space, _) = used();
    let at = |va| {
        let mut found = None;
        space.with_stack_at(va, |start, end| found = Some((start, end)));
        found
    };
    let end = START + PAGES * PAGE;
    assert_eq!(at(START), Some((START, end)));
    assert_eq!(at(end - 1), Some((START, end)));
    assert_eq!((at(START - 1), at(end)), (None, None));
    space.protect(START + PAGE, PAGE, Protection::READ).unwrap();
    assert_eq!(at(START), Some((START, START + PAGE)));
    assert_eq!(at(START + PAGE), None);
    assert_eq!(at(START + 2 * PAGE), Some((START + 2 * PAGE, end)));
    // Somebody else could take it away.
    let (protection, place) = (Protection::READ_WRITE, Place::Fixed(START));
    space
        .map_anonymous(place, PAGE, protection, Sharing::Shared, None)
        .unwrap();
    assert_eq!(at(START), None);
}

#[test]
fn who_is_gone_is_not_told() {
    let (space, user) = used();
    let gone = Arc::downgrade(&user);
    drop(user);
    assert_eq!(gone.strong_count(), 0);
    space.unmap(START, PAGE).unwrap();
    let (left, forgotten) = (Arc::new(User::default()), Arc::new(User::default()));
    space.add_stack_user(&forgotten);
    space.forget_stack_users();
    space.add_stack_user(&left);
    space.unmap(START + PAGE, PAGE).unwrap();
    assert_eq!(forgotten.told.lock().unwrap().len(), 0);
    assert_eq!(left.told.lock().unwrap().len(), 1);
}
