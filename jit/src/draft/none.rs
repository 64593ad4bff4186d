//! Hosts that no drafts are made for yet: the interpreter is their first tier.

use super::{Known, Space};
use frontend::Insn;

/// See `x86_64/mod.rs`, also for the others.
#[derive(Clone, Copy)]
pub enum Exit {
    Hot,
}

#[derive(Clone, Copy, Default)]
pub struct Common {
    pub enter: usize,
    pub door: usize,
    pub to_region: usize,
}

impl Common {
    pub fn of(&self, exit: Exit) -> usize {
        exit as usize
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum After {
    Next,
    Ends,
}

pub struct Draft<'a> {
    pub hot: &'a [u8],
    pub cold: &'a [u8],
    pub sites: &'a [(u32, u64)],
    pub links: Vec<u64>,
}

/// There is none.
pub enum Drafter {}

impl Drafter {
    pub fn new(_: Space) -> Option<Drafter> {
        None
    }
    pub fn common(&mut self, _: usize) -> Option<(Vec<u8>, Common)> {
        match *self {}
    }
    pub fn known(&self, _: u64) -> Option<Known> {
        match *self {}
    }
    pub fn learn(&mut self, _: u64, _: Known) {
        match *self {}
    }
    pub fn forget(&mut self, _: u64) {
        match *self {}
    }
    pub fn forget_all(&mut self) {
        match *self {}
    }
    pub fn begin(&mut self, _: usize) {
        match *self {}
    }
    pub fn head(&mut self, _: u64, _: u64, _: usize) -> usize {
        match *self {}
    }
    pub fn instruction(&mut self, _: u64, _: u8, _: Insn) -> After {
        match *self {}
    }
    pub fn fall_through(&mut self, _: u64) {
        match *self {}
    }
    pub fn finish(&mut self, _: usize, _: usize) -> Option<Draft<'_>> {
        match *self {}
    }
}
