//! `--gdb PORT`: a debugger at a machine or a program, by GDB's remote protocol.
//!
//! Breakpoints are not written into memory: whoever decodes code finds `ebreak` there, and the
//! guest reads what it always did. Watchpoints are looked at after each instruction.
//!
//! | what | where |
//! |---|---|
//! | what GDB asks of a debuggee | `target.rs` |
//! | registers as GDB numbers them | `registers.rs` |
//! | a machine, its harts as threads | `machine.rs` |
//! | a program | `program.rs` |

mod machine;
mod program;
mod registers;
mod target;

use crate::Error;
use gdbstub::conn::ConnectionExt;
use gdbstub::stub::{DisconnectReason, GdbStub, MultiThreadStopReason, run_blocking};
use hart::HartState;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use target::{Resume, Session};

pub use machine::MachineDebuggee;
pub use program::ProgramDebuggee;

/// Instructions between two looks at what the debugger says.
const CHUNK: u64 = 1_000_000;
/// Single steps between two looks.
const STEPS: u32 = 2_000;

/// Something that a debugger can hold.
pub trait Debuggee {
    /// Numbers of its threads, or harts; from 1 on.
    fn threads(&self) -> Vec<usize>;
    /// The one that ran last.
    fn current(&self) -> usize;
    /// What lists of threads say of one.
    fn describe(&self, thread: usize) -> String;
    /// The registers of one.
    fn state(&mut self, thread: usize) -> Option<&mut HartState>;
    /// Reads memory as a thread sees it; how many bytes could be read.
    fn read(&mut self, thread: usize, va: u64, into: &mut [u8]) -> usize;
    /// Writes memory, code too: whether all of it could be written.
    fn write(&mut self, thread: usize, va: u64, from: &[u8]) -> bool;
    /// Has threads stop at these addresses, and no others.
    fn set_breakpoints(&mut self, breakpoints: &BTreeSet<u64>);
    /// Runs until something happens or so many more instructions have retired.
    fn run(&mut self, instructions: u64) -> Result<Happened, Error>;
    /// Runs this thread for one instruction, others as little as that takes. [`Happened::Nothing`]
    /// if it has not got so far yet.
    fn step(&mut self, thread: usize) -> Result<Happened, Error>;
}

/// What a run came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happened {
    /// As many instructions as were asked for.
    Nothing,
    /// The thread that runs is at a breakpoint.
    Breakpoint,
    /// It has ended, with this code.
    Exited(u8),
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// The debugger let go: the debuggee is to run on.
    Running,
    /// The debugger asked for its end.
    Killed,
    /// The debuggee has ended by itself.
    Ended,
}

/// Waits for a debugger at a port of this host alone, and does what it asks for. Port 0 is any that
/// is free; it is printed.
pub fn serve<D: Debuggee>(debuggee: &mut D, port: u16) -> Result<Left, Error> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        let what = format!("cannot {what} a debugger at port {port}: {error}");
        Error::usage(
            what,
            "give --gdb a port that nothing else listens at, or 0 for any",
        )
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = listener.map_err(|error| failed("wait for", &error))?;
    let address = listener.local_addr();
    let address = address.map_err(|error| failed("wait for", &error))?;
    eprint!("bhv: waiting for gdb: target remote {address}\r\n");
    let (stream, _) = listener
        .accept()
        .map_err(|error| failed("wait for", &error))?;
    let mut session = Session::new(debuggee);
    let result = GdbStub::new(stream).run_blocking::<Loop<'_, D>>(&mut session);
    session.debuggee.set_breakpoints(&BTreeSet::new());
    match result {
        Ok(DisconnectReason::Disconnect) => Ok(Left::Running),
        Ok(DisconnectReason::Kill) => Ok(Left::Killed),
        Ok(DisconnectReason::TargetExited(_) | DisconnectReason::TargetTerminated(_)) => {
            Ok(Left::Ended)
        }
        Err(error) if error.is_target_error() => match error.into_target_error() {
            Some(error) => Err(error),
            None => Ok(Left::Running),
        },
        // It has gone without a word.
        Err(error) if error.is_connection_error() => Ok(Left::Running),
        Err(error) => Err(failed("go on with", &error)),
    }
}

/// Runs the debuggee, with an ear to the debugger.
struct Loop<'a, D>(PhantomData<&'a D>);

impl<'a, D: Debuggee> run_blocking::BlockingEventLoop for Loop<'a, D> {
    type Target = Session<'a, D>;
    type Connection = TcpStream;
    type StopReason = MultiThreadStopReason<u64>;

    fn wait_for_stop_reason(
        session: &mut Session<'a, D>,
        connection: &mut TcpStream,
    ) -> Result<
        run_blocking::Event<MultiThreadStopReason<u64>>,
        run_blocking::WaitForStopReasonError<Error, std::io::Error>,
    > {
        use run_blocking::{Event, WaitForStopReasonError};
        loop {
            if let Some(reason) = session.go_on().map_err(WaitForStopReasonError::Target)? {
                return Ok(Event::TargetStopped(reason));
            }
            let heard = connection
                .peek()
                .map_err(WaitForStopReasonError::Connection)?;
            if heard.is_some() {
                let byte = ConnectionExt::read(connection);
                return Ok(Event::IncomingData(
                    byte.map_err(WaitForStopReasonError::Connection)?,
                ));
            }
        }
    }

    fn on_interrupt(
        session: &mut Session<'a, D>,
    ) -> Result<Option<MultiThreadStopReason<u64>>, Error> {
        session.resume = Resume::Continue;
        Ok(Some(session.stopped(gdbstub::common::Signal::SIGINT)))
    }
}
