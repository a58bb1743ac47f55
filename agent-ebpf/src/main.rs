//! The gate: what happens in the kernel when a tracked task attempts an
//! operation.
//!
//! Thin entry points: what is judged one by one in [`exec`], [`arguments`],
//! [`connect`] and [`send`]; what is barred in [`sockets`], [`protect`] and
//! [`files`]; who is tracked, and until when an answer counts, in [`tracking`] and
//! [`finish`]. The decision in one place, [`judge`]; what is told of operations
//! that were settled without a hold in [`observe`]. No program here may let a tracked task pass
//! because something could not be read, stored or sent: every such failure is a
//! refusal. Untracked tasks pay one task-storage lookup and nothing else.
#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "eBPF programs read kernel memory through helpers"
)]
#![expect(
    clippy::inline_always,
    reason = "the verifier follows inlined code better than calls"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "the program macros want their context by value"
)]

mod arguments;
mod connect;
mod exec;
mod files;
mod finish;
mod judge;
mod kernel;
mod local;
mod maps;
mod netlink;
mod observe;
mod options;
mod peer;
mod protect;
mod send;
mod sockets;
mod tracking;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// GPL-only helpers (task storage, signals) are lent to GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
