//! Allocations of a whole call, in the steady state.
//!
//! Counted for the thread alone that runs everything, the pool's own task included: neither the server's keeper nor
//! anything else in the process gets in the way.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use mysql_async::Conn;
use mysql_retry::mysql_async;
use mysql_retry_fixture::Server;

use crate::{
    calls::{Call, Caller, repeat},
    counts::Row,
    pool_and_executor,
};

const CALLS: usize = 3_200;

/// Allocations for each call.
pub async fn measure(server: &Server) -> Vec<Row> {
    let (mut pool, mut executor) = pool_and_executor(server.opts(), 1);
    let mut held = Conn::new(server.opts()).await.expect("a connection");
    let mut rows = Vec::new();
    for call in [Call::Query, Call::Exec] {
        rows.push(Row {
            name: call,
            pool: per_call(&mut pool, call).await,
            held: per_call(&mut held, call).await,
            executor: per_call(&mut executor, call).await,
        });
    }
    executor.close().await.expect("an orderly end");
    pool.disconnect().await.expect("an orderly end");
    held.disconnect().await.expect("an orderly end");
    rows
}

async fn per_call<C: Caller>(caller: &mut C, call: Call) -> f64 {
    // connects, prepares, and grows what is kept
    repeat(caller, call, CALLS).await;
    let before = so_far();
    repeat(caller, call, CALLS).await;
    (so_far() - before) as f64 / CALLS as f64
}

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn so_far() -> u64 {
    COUNT.get()
}

fn count() {
    // also called while a thread ends, when its variables may be gone
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

/// The system's allocator, and a count of its blocks. Growing one counts: it may move.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on as it came, and counting does not allocate.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the same
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the same
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the same
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same
        unsafe { System.dealloc(block, layout) }
    }
}
