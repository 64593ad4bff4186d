//! Faults roll back to the last checkpoint, and no further: what was stored before it is not stored
//! again, however many times a loop has gone round since.

mod support;

use frontend::*;
use support::*;

/// Counts in memory how often the outer loop goes round. The inner one only loads, goes further each
/// time, and in the end beyond the data.
fn loads_after_a_store() -> Vec<Insn> {
    vec![
        addi(13, 0, 3),
        // The outer loop.
        ld(6, 10, 0),
        addi(6, 6, 1),
        sd(6, 10, 0),
        add(7, 10, 0),
        add(12, 13, 0),
        // The inner loop.
        ld(11, 7, 8),
        add(8, 8, 11),
        addi(7, 7, 1024),
        addi(12, 12, -1),
        bne(12, 0, -16),
        addi(13, 13, 13),
        jump(-44),
    ]
}

#[test]
fn a_store_before_a_loop_that_only_loads_is_not_done_again_when_the_loop_faults() {
    let outcome = check(&loads_after_a_store(), &start());
    let trap = outcome.trap.expect("the loop leaves the data");
    assert_eq!(trap.tval, DATA + DATA_SIZE + 8);
    let count = u64::from_le_bytes(outcome.data[..8].try_into().unwrap());
    assert_eq!(count, 6, "3, 16, 29, 42, 55 and then 68 rounds of 1 KiB");
}

#[test]
fn every_limit_is_exact_in_loops_that_share_a_checkpoint() {
    let code = assemble(&loads_after_a_store());
    for limit in 1..700 {
        check_bytes(&code, &start(), limit);
    }
}

/// Two loops inside each other without a store, which follow one: they share a checkpoint, and what
/// comes behind them makes its own.
#[test]
fn nested_loops_share_the_checkpoint_before_the_outer_one() {
    let program = [
        ld(6, 10, 0),
        addi(6, 6, 1),
        sd(6, 10, 0),
        addi(13, 0, 5),
        add(7, 10, 0),
        // The outer loop.
        addi(12, 0, 4),
        // The inner loop.
        ld(11, 7, 8),
        add(8, 8, 11),
        addi(7, 7, 1000),
        addi(12, 12, -1),
        bne(12, 0, -16),
        addi(13, 13, -1),
        bne(13, 0, -28),
        // Behind both: a store, then a load that faults in the end.
        sd(8, 10, 16),
        ld(11, 7, 0),
        addi(13, 0, 5),
        jump(-44),
    ];
    let outcome = check(&program, &start());
    assert!(outcome.trap.is_some());
    let count = u64::from_le_bytes(outcome.data[..8].try_into().unwrap());
    assert_eq!(count, 1);
}
