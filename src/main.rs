//! The `bhv` command.

fn main() -> std::process::ExitCode {
    baby_hypervisor::cli::main()
}
