//! Who relies on a range of memory that can be read and written: harts on their stacks.
//!
//! Compiled code accesses the stack without being able to say where it was if that faults. So a hart
//! asks for the mapping around its stack pointer, and compares with its bounds. Whoever is about to take
//! permissions away from a mapping, or the mapping itself, first has all harts give up what they know
//! of it, and waits for those that may be in the midst of using it.

use crate::flags::PageFlags;
use crate::space::{Core, UserSpace};
use crate::vma::VmaMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

/// Somebody who relies on a range.
pub trait StackUser: Send + Sync {
    /// From now on does not rely on `start..end`. Whether the range may be in use until
    /// [`StackUser::has_given_up`] holds, which it shall soon.
    fn give_up(&self, start: u64, end: u64) -> bool;
    /// Whether nothing that was given up is in use any more.
    fn has_given_up(&self) -> bool;
}

/// How often to look whether others are done before time is given to them.
const PATIENCE: u32 = 100;
/// How long to wait then between two looks.
const PAUSE: Duration = Duration::from_micros(50);

impl UserSpace {
    /// Has somebody told of changes for as long as he lives.
    pub fn add_stack_user(&self, user: &Arc<impl StackUser + 'static>) {
        let user: Weak<dyn StackUser> = Arc::<_>::downgrade(user) as Weak<dyn StackUser>;
        let _vmas = self.core.vmas();
        let mut users = self.core.stack_users();
        users.retain(|user| user.strong_count() > 0);
        users.push(user);
    }

    /// In the child of a fork: the others did not come along.
    pub fn forget_stack_users(&self) {
        let _vmas = self.core.vmas();
        self.core.stack_users().clear();
    }

    /// If `va` is in a mapping all of which can be read and written, for as long as nobody changes it:
    /// tells where that begins and ends. It does not change before `tell` has returned.
    pub fn with_stack_at(&self, va: u64, tell: impl FnOnce(u64, u64)) {
        const ALL: u8 = PageFlags::R | PageFlags::W | PageFlags::STEADY;
        let vmas = self.core.vmas();
        if let Some(vma) = vmas.at(va).filter(|vma| PageFlags::of(vma).has(ALL)) {
            tell(vma.start, vma.end);
        }
    }
}

impl Core {
    /// Nobody relies on a range any more when this returns. It cannot be asked for while the list of
    /// mappings is held.
    pub(crate) fn give_up_stacks(&self, _vmas: &VmaMap, start: u64, end: u64) {
        let users = self.stack_users();
        let users = users.iter().filter_map(Weak::upgrade);
        let mut busy: Vec<Arc<dyn StackUser>> =
            users.filter(|user| user.give_up(start, end)).collect();
        let mut looks = 0;
        loop {
            busy.retain(|user| !user.has_given_up());
            if busy.is_empty() {
                return;
            }
            looks += 1;
            if looks < PATIENCE {
                std::thread::yield_now();
            } else {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// See the field.
    fn stack_users(&self) -> std::sync::MutexGuard<'_, Vec<Weak<dyn StackUser>>> {
        self.stack_users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
