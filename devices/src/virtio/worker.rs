//! The thread that works on a disk, in the order it is asked.

use super::block::{IO_ERROR, OK};
use crate::clock::Bell;
use crate::disk::{self, Disk};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

/// Something for the disk to do, within its size.
pub(super) enum Job {
    Read {
        offset: u64,
        length: usize,
    },
    Write {
        offset: u64,
        data: Vec<u8>,
    },
    Flush,
    Discard {
        offset: u64,
        length: u64,
    },
    Zero {
        offset: u64,
        length: u64,
        unmap: bool,
    },
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub status: u8,
    pub data: Vec<u8>,
}

impl Outcome {
    pub fn status(status: u8) -> Outcome {
        Outcome {
            status,
            data: Vec::new(),
        }
    }
}

enum Message {
    Job(Job),
    Save(Sender<io::Result<disk::State>>),
    Restore(disk::State, Sender<io::Result<()>>),
}

/// A disk and its thread, which ends with this.
pub(super) struct Worker {
    /// None only while it is dropped.
    messages: Option<Sender<Message>>,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Rings the bell, if there is one, after each job.
    pub fn start(mut disk: Box<dyn Disk>, bell: Option<Arc<dyn Bell>>) -> io::Result<Worker> {
        let (messages, inbox) = mpsc::channel();
        let (outbox, outcomes) = mpsc::channel();
        let work = move || {
            for message in inbox {
                let sent = match message {
                    Message::Job(job) => outbox.send(perform(&mut *disk, job)).is_ok(),
                    Message::Save(answer) => answer.send(disk.save()).is_ok(),
                    Message::Restore(state, answer) => answer.send(disk.restore(state)).is_ok(),
                };
                if !sent {
                    return;
                }
                if let Some(bell) = &bell {
                    bell.ring();
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("bhv-disk".into())
            .spawn(work)?;
        Ok(Worker {
            messages: Some(messages),
            outcomes,
            thread: Some(thread),
        })
    }

    /// Asks for a job; its outcome comes after those of all jobs before. If the thread has died,
    /// `wait` says so.
    pub fn submit(&self, job: Job) {
        let _ = self.send(Message::Job(job));
    }

    fn send(&self, message: Message) -> Result<(), String> {
        let sent = self
            .messages
            .as_ref()
            .map(|messages| messages.send(message));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err("the disk's thread has died".into()),
        }
    }

    /// The next outcome, if it has come.
    pub fn poll(&self) -> Option<Outcome> {
        match self.outcomes.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(mpsc::TryRecvError::Empty) => None,
            Err(mpsc::TryRecvError::Disconnected) => Some(Outcome::status(IO_ERROR)),
        }
    }

    /// The next outcome.
    pub fn wait(&self) -> Outcome {
        self.outcomes
            .recv()
            .unwrap_or_else(|_| Outcome::status(IO_ERROR))
    }

    /// The disk's state after all jobs.
    pub fn save(&self) -> Result<disk::State, String> {
        let (answer, state) = mpsc::channel();
        self.send(Message::Save(answer))?;
        let state = state.recv().map_err(|error| error.to_string())?;
        state.map_err(|error| error.to_string())
    }

    /// Puts the disk into this state.
    pub fn restore(&self, state: disk::State) -> Result<(), String> {
        let (answer, done) = mpsc::channel();
        self.send(Message::Restore(state, answer))?;
        let done = done.recv().map_err(|error| error.to_string())?;
        done.map_err(|error| error.to_string())
    }
}

impl Drop for Worker {
    /// Writes that were asked for are done before the program goes on.
    fn drop(&mut self) {
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn perform(disk: &mut dyn Disk, job: Job) -> Outcome {
    let mut data = Vec::new();
    let done = match job {
        Job::Read { offset, length } => {
            data = vec![0; length];
            disk.read(offset, &mut data)
        }
        Job::Write { offset, data } => disk.write(offset, &data),
        Job::Flush => disk.flush(),
        Job::Discard { offset, length } => disk.discard(offset, length),
        Job::Zero {
            offset,
            length,
            unmap,
        } => disk.zero(offset, length, unmap),
    };
    match done {
        Ok(()) => Outcome { status: OK, data },
        Err(_) => Outcome::status(IO_ERROR),
    }
}
