//! A pipeline in Rust on hz3: one thread makes messages, another drops them, and so every free is a remote one.
//!
//!     cargo run        (hz3-config has to be in PATH; see build.rs)

use std::alloc::{alloc, dealloc, realloc, Layout};
use std::sync::mpsc;
use std::thread;

#[global_allocator]
static GLOBAL: hz3::Hz3 = hz3::Hz3;

/// Alignments of more than malloc promises, with sizes that do not bring them by themselves, kept by realloc.
fn aligned_blocks() {
    for align in [64, 256, 4096] {
        let mut blocks = Vec::new();
        for size in 1..200 {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            let p = unsafe { alloc(layout) };
            assert!(!p.is_null() && p as usize % align == 0);
            unsafe { p.write_bytes(size as u8, size) };
            let larger = Layout::from_size_align(3 * size, align).expect("a layout");
            let p = unsafe { realloc(p, layout, larger.size()) };
            assert!(!p.is_null() && p as usize % align == 0);
            blocks.push((p, larger));
        }
        for (p, layout) in blocks {
            let size = layout.size() / 3;
            assert!((0..size).all(|i| unsafe { *p.add(i) } == size as u8));
            unsafe { dealloc(p, layout) };
        }
    }
}

fn zeroed_blocks() {
    for bytes in [1, 100, 5000, 100_000, 3_000_000] {
        drop(vec![0xff_u8; bytes]);
        assert!(vec![0_u8; bytes].iter().all(|&b| b == 0));
    }
}

fn pipeline(count: usize) -> usize {
    let (sender, receiver) = mpsc::channel::<Vec<String>>();
    let producer = thread::spawn(move || {
        for i in 0..count {
            let message = (0..1 + i % 7).map(|k| format!("message {i}, line {k}")).collect();
            sender.send(message).expect("somebody to receive");
        }
        hz3::thread_idle();
    });
    let lines = receiver.into_iter().map(|message| message.len()).sum();
    producer.join().expect("no panic");
    lines
}

fn main() {
    let before = hz3::statistic("stats.blocks_allocated").expect("a statistic");
    aligned_blocks();
    zeroed_blocks();
    let count = 70_000;
    assert_eq!(pipeline(count), count / 7 * 28);
    hz3::thread_flush();
    let after = hz3::statistic("stats.blocks_allocated").expect("a statistic");
    println!(
        "hz3 {}: {} blocks, {} remote frees, sent as {} chains",
        hz3::version(),
        after - before,
        hz3::statistic("stats.remote.blocks").unwrap_or(0),
        hz3::statistic("stats.remote.chains").unwrap_or(0)
    );
    hz3::purge();
}
