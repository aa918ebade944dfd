//! The same small work on many items, on all processors.

use std::num::NonZeroUsize;
use std::thread;

/// Below this many items a second thread costs more than it saves.
const WORTH_IT: usize = 512;
/// More threads than this wait for each other inside the kernel.
const MOST: usize = 8;

/// Applies `work` to every item, and keeps what it gives, in the order of the items.
pub fn filter_map<T: Sync, U: Send>(items: &[T], work: impl Fn(&T) -> Option<U> + Sync) -> Vec<U> {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST);
    if items.len() < WORTH_IT || processors == 1 {
        return items.iter().filter_map(work).collect();
    }
    let share = items.len().div_ceil(processors);
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().filter_map(work).collect::<Vec<U>>()))
            .collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_items_keep_their_order() {
        for count in [0, 1, WORTH_IT - 1, WORTH_IT, 10 * WORTH_IT + 1] {
            let items: Vec<usize> = (0..count).collect();
            let odd = filter_map(&items, |n| (n % 2 == 1).then_some(*n));
            assert_eq!(odd, items.iter().copied().filter(|n| n % 2 == 1).collect::<Vec<_>>());
        }
    }
}
