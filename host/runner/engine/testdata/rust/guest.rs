//! The guest of the engine's tests in Rust, without a standard library: what each
//! action does is what testdata/guest does.
#![no_std]

use core::ptr::addr_of_mut;

#[link(wasm_import_module = "extism:host/env")]
extern "C" {
    fn input_length() -> u64;
    fn input_load_u8(at: u64) -> u32;
    fn alloc(n: u64) -> u64;
    fn length(at: u64) -> u64;
    fn load_u8(at: u64) -> u32;
    fn store_u8(at: u64, v: u32);
    fn output_set(at: u64, n: u64);
    fn error_set(at: u64);
    fn var_get(name: u64) -> u64;
    fn var_set(name: u64, value: u64);
    fn log_info(at: u64);
}

#[link(wasm_import_module = "extism:host/user")]
extern "C" {
    #[link_name = "echo"]
    fn user_echo(at: u64) -> u64;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

unsafe fn put(p: &[u8]) -> u64 {
    let at = alloc(p.len() as u64);
    for (i, b) in p.iter().enumerate() {
        store_u8(at + i as u64, *b as u32);
    }
    at
}

unsafe fn output(p: &[u8]) {
    output_set(put(p), p.len() as u64)
}

#[no_mangle]
pub unsafe extern "C" fn noop() -> i32 {
    output(b"{}");
    0
}

/// copy puts the input into a block.
unsafe fn copy() -> (u64, u64) {
    let n = input_length();
    let at = alloc(n);
    for i in 0..n {
        store_u8(at + i, input_load_u8(i));
    }
    (at, n)
}

#[no_mangle]
pub unsafe extern "C" fn echo() -> i32 {
    let (at, n) = copy();
    output_set(at, n);
    0
}

#[no_mangle]
pub unsafe extern "C" fn host() -> i32 {
    let at = user_echo(copy().0);
    output_set(at, length(at));
    0
}

#[no_mangle]
pub unsafe extern "C" fn fail() -> i32 {
    error_set(put(br#"{"code":"disk_full","message":"no room","retryable":true}"#));
    1
}

#[no_mangle]
pub extern "C" fn failsilent() -> i32 {
    7
}

#[no_mangle]
pub extern "C" fn boom() -> i32 {
    panic!("boom")
}

#[no_mangle]
pub extern "C" fn spin() -> i32 {
    let mut i = 0u32;
    loop {
        unsafe { core::ptr::write_volatile(addr_of_mut!(i), i + 1) }
        if i == u32::MAX {
            i = 0
        }
    }
}

#[no_mangle]
pub extern "C" fn hog() -> i32 {
    for _ in 0..1000 {
        let at = core::arch::wasm32::memory_grow(0, 16);
        if at == usize::MAX {
            core::arch::wasm32::unreachable()
        }
        unsafe { *((at << 16) as *mut u8) = 1 }
    }
    0
}

static mut CELLS: [u8; 4096] = [0; 4096];
static mut COUNTER: u32 = 0;

#[inline(never)]
fn depth(n: u32) -> u32 {
    if n == 0 {
        return 0;
    }
    unsafe { core::ptr::read_volatile(&depth(n - 1)) + 1 }
}

/// mix: see testdata/c.
#[no_mangle]
pub unsafe extern "C" fn mix() -> i32 {
    let cells = &mut *addr_of_mut!(CELLS);
    let mut h: u64 = 14695981039346656037;
    for i in 0..input_length() {
        let b = input_load_u8(i) as u8;
        h = (h ^ b as u64).wrapping_mul(1099511628211);
        match b & 7 {
            0 | 2 => COUNTER += b as u32,
            1 => cells[(h % 4096) as usize] ^= b | 1,
            3 => h = h.wrapping_add(COUNTER as u64),
            4 => {
                for c in cells.iter() {
                    h = h.wrapping_mul(31).wrapping_add(*c as u64)
                }
            }
            5 => {
                let at = user_echo(put(&[b]));
                h = h.wrapping_add(at * 31 + length(at) + load_u8(at + length(at) - 1) as u64)
            }
            6 => {
                let name = [b'v', b'a' + (b >> 4)];
                let old = var_get(put(&name));
                h = h.wrapping_add(if old == 0 { 1 } else { load_u8(old) as u64 });
                var_set(put(&name), put(&[b]));
            }
            _ => h = h.wrapping_add(depth(b as u32) as u64),
        }
    }
    let mut text = [0u8; 16];
    for (i, c) in text.iter_mut().enumerate() {
        *c = b"0123456789abcdef"[(h >> (60 - 4 * i) & 15) as usize]
    }
    log_info(put(&text));
    output(&text);
    0
}
