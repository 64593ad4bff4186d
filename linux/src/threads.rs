//! The scheduler that gives each guest thread a host thread.

use crate::call::Wait;
use crate::host;
use crate::kernel::Kernel;
use crate::process::{Exit, exit_forked};
use crate::signal;
use crate::task::{Task, Turn};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How long to pause before a call is tried again that nothing announces.
const RETRY_NANOS: u64 = 1_000_000;

/// Guest code runs on the guest's own stack; this is for ours and the compiler's.
const STACK: usize = 1 << 20;

/// Runs the main thread on the calling one, until the whole process has ended.
pub(crate) fn run_main(task: Task) -> Exit {
    let kernel = task.kernel.clone();
    run(task);
    finish(&kernel)
}

/// Waits for the other threads' ends; how the process ended.
fn finish(kernel: &Arc<Kernel>) -> Exit {
    kernel.wait_tasks(|tasks| tasks.by_tid.is_empty());
    kernel.tasks.lock().exit.clone().unwrap_or(Exit::Code(0))
}

/// Starts a thread that clone(2) made; its number. `begin` gets the task once it has its number
/// and before either thread goes on.
pub(crate) fn spawn(mut task: Task, begin: impl FnOnce(&mut Task)) -> std::io::Result<i32> {
    let (number_out, number_in) = std::sync::mpsc::sync_channel(1);
    let (task_out, task_in) = std::sync::mpsc::sync_channel::<Task>(1);
    let builder = std::thread::Builder::new()
        .name("guest thread".into())
        .stack_size(STACK);
    builder.spawn(move || {
        // A failed send or receive means that the creator is gone, and the process with it.
        if number_out.send(host::signal::thread_id()).is_err() {
            return;
        }
        let Ok(task) = task_in.recv() else { return };
        let kernel = task.kernel.clone();
        run(task);
        if kernel.forked.load(Ordering::SeqCst) && kernel.tasks.lock().by_tid.is_empty() {
            // A child that forked off here has no other thread to report its end.
            let exit = finish(&kernel);
            exit_forked(&kernel, &exit);
        }
    })?;
    let gone = |_| std::io::Error::other("the new thread has gone");
    let number = number_in.recv().map_err(gone)?;
    task.tid = number;
    begin(&mut task);
    task_out
        .send(task)
        .map_err(|_| std::io::Error::other("the new thread has gone"))?;
    Ok(number)
}

fn run(mut task: Task) {
    task.shared.sleeper.adopt();
    let _current = signal::host::enter(&task.shared);
    loop {
        match task.turn(None) {
            Turn::Ran | Turn::Limit => {}
            Turn::Blocked(wait) => block(&task, &wait),
            // Only the exact scheduler holds.
            Turn::Ended | Turn::Held => break,
        }
    }
    let retired = task.state().instret;
    task.kernel.retired.fetch_add(retired, Ordering::Relaxed);
}

/// Sleeps until what the call waits for may have happened, or somebody wakes the thread.
fn block(task: &Task, wait: &Wait) {
    let clock = &task.kernel.clock;
    let mut deadline = wait.deadline;
    if wait.poll {
        let soon = clock.monotonic() + RETRY_NANOS;
        deadline = Some(deadline.map_or(soon, |deadline| deadline.min(soon)));
    }
    let timeout = deadline.map(|deadline| deadline.saturating_sub(clock.monotonic()));
    let shared = &task.shared;
    let stay = || !shared.attention.load(Ordering::SeqCst);
    if let Some(word) = wait.word {
        shared
            .sleeper
            .sleep_on_word(&task.kernel.space, word, timeout, stay);
    } else if wait.fds.is_empty() {
        shared.sleeper.sleep(timeout, stay);
    } else {
        shared.sleeper.sleep_on_fds(&wait.fds, timeout, stay);
    }
}
