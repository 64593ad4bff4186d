//! What a snapshot is of, in a few words: all that lists need.

use serde::{Deserialize, Serialize};

/// What a snapshot is of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// Different for each snapshot; a child names its parent by it.
    pub id: u64,
    /// What was saved.
    pub subject: Subject,
    /// The program's arguments, or the machine's name.
    pub title: Vec<Vec<u8>>,
    /// The bhv that wrote it.
    pub writer: String,
    /// When, in seconds since 1970.
    pub created: u64,
    /// Instructions retired by then.
    pub instructions: u64,
    /// For an incremental snapshot, the one whose pages it leaves out.
    pub parent: Option<Parent>,
}

/// What can be saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Subject {
    /// A user-mode process.
    Process,
    /// A machine.
    Machine,
}

/// Another snapshot that this one needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parent {
    /// Its [`Meta::id`].
    pub id: u64,
    /// Its file name, in the same directory.
    pub file: String,
}
