//! Locks and atomics that the threads of a process share. Knows nothing of what they guard.
//!
//! In a test build with `--cfg cache_loom` they are those of loom, which tries the orders in which
//! threads may come to them, and what a weak memory may show them. `cargo xtask interleavings` runs
//! these tests. They stand beside what they are about.

#[cfg(all(test, cache_loom))]
pub(crate) use self::of_loom::*;
#[cfg(not(all(test, cache_loom)))]
pub(crate) use self::of_std::*;

#[cfg(not(all(test, cache_loom)))]
mod of_std {
    pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, atomic};
    pub(crate) use std::thread_local as per_thread;

    /// A static that is made with its first use.
    macro_rules! lazy_static {
        ($(#[$doc:meta])* static ref $name:ident: $type:ty = $init:expr;) => {
            $(#[$doc])*
            static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $init);
        };
    }
    pub(crate) use lazy_static;
}

#[cfg(all(test, cache_loom))]
mod of_loom {
    pub(crate) use loom::lazy_static;
    pub(crate) use loom::sync::{Mutex, MutexGuard, RwLock, atomic};

    /// As loom's, which does not know of `const`.
    macro_rules! per_thread {
        () => {};
        (static $name:ident: $type:ty = const $init:block $(; $($rest:tt)*)?) => {
            loom::thread_local!(static $name: $type = $init);
            $($crate::sync::per_thread!($($rest)*);)?
        };
        (static $name:ident: $type:ty = $init:expr $(; $($rest:tt)*)?) => {
            loom::thread_local!(static $name: $type = $init);
            $($crate::sync::per_thread!($($rest)*);)?
        };
    }
    pub(crate) use per_thread;
}

#[cfg(all(test, cache_loom))]
pub(crate) use self::orders::{Crossing, JoinHandle, block_on, explore, spawn};

/// What tests need to try the orders of threads.
#[cfg(all(test, cache_loom))]
mod orders {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use loom::sync::{Condvar, Mutex};
    pub(crate) use loom::thread::JoinHandle;

    /// So often a thread is interrupted that could have gone on.
    const INTERRUPTIONS_MAX: usize = 3;
    const BRANCHES_MAX: usize = 100_000;
    /// In words. loom's own are too small for what a cache is made of.
    const STACK: usize = 0x1_0000;

    /// Tries every order of what the threads of `program` do here, with [`INTERRUPTIONS_MAX`]. A
    /// program that waits for ever has failed.
    pub(crate) fn explore(program: impl Fn() + Send + Sync + 'static) {
        let (tried, program) = (Arc::new(AtomicU64::new(0)), Arc::new(program));
        let mut model = loom::model::Builder::new();
        (model.preemption_bound, model.max_branches) = (Some(INTERRUPTIONS_MAX), BRANCHES_MAX);
        let count = tried.clone();
        model.check(move || {
            count.fetch_add(1, Ordering::Relaxed);
            let program = program.clone();
            spawn(move || program()).join().unwrap();
        });
        let (name, tried) = (std::thread::current().name().map(str::to_owned), tried.load(Ordering::Relaxed));
        println!("{tried} orders: {}", name.unwrap_or_default());
        assert!(tried > 1, "there is nothing to try");
    }

    pub(crate) fn spawn<T: Send + 'static>(thread: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        loom::thread::Builder::new().stack_size(STACK).spawn(thread).unwrap()
    }

    /// A place at which threads may overtake each other. Where they meet in an `Arc` or a channel
    /// of tokio's alone, loom sees no reason to try another order.
    #[derive(Clone, Default)]
    pub(crate) struct Crossing(Arc<Mutex<()>>);

    impl Crossing {
        pub(crate) fn pass(&self) {
            drop(self.0.lock().unwrap());
        }
    }

    #[derive(Default)]
    struct Bell {
        is_rung: Mutex<bool>,
        heard: Condvar,
    }

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            *self.is_rung.lock().unwrap() = true;
            self.heard.notify_one();
        }
    }

    /// As loom's, whose waker takes a second ringing amiss.
    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        let (mut future, bell) = (pin!(future), Arc::<Bell>::default());
        let waker = Waker::from(bell.clone());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            let mut is_rung = bell.is_rung.lock().unwrap();
            while !*is_rung {
                is_rung = bell.heard.wait(is_rung).unwrap();
            }
            *is_rung = false;
        }
    }
}
