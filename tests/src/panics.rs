//! Panics that nobody would hear of: those of tasks, and those that are caught.

use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! { static PANICS: Cell<u32> = const { Cell::new(0) }; }

/// Counts the panics of this thread from now on. On a current-thread runtime all tasks run on it.
pub fn count_panics() -> impl Fn() -> u32 {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
    let before = PANICS.get();
    move || PANICS.get() - before
}
