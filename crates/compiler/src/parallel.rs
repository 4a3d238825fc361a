//! Work on many independent values, on several threads.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::thread;

/// Fewer values than this are not worth a thread, in any of the uses here: each
/// takes microseconds, a thread tens of them.
const LEAST: usize = 256;

/// Returns what `work` makes of each value, in order. On how many threads it is
/// made shows in the time alone.
///
/// # Panics
///
/// When `work` does, with its panic.
pub(crate) fn map<T: Sync, R: Send>(
    values: &[T],
    threads: NonZeroUsize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let work = &work;
    let share = values.len().div_ceil(threads.get()).max(LEAST / 2);
    if values.len() < LEAST || share >= values.len() {
        return values.iter().map(work).collect();
    }
    thread::scope(|scope| {
        let (own, others) = values.split_at(share);
        let others: Vec<_> = others
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(work).collect::<Vec<_>>()))
            .collect();
        let mut made = Vec::with_capacity(values.len());
        made.extend(own.iter().map(work));
        for other in others {
            made.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        made
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn the_order_stays_however_many_threads_there_are() {
        for length in [0, 1, LEAST - 1, LEAST, LEAST + 1, 10 * LEAST + 7] {
            let values: Vec<usize> = (0..length).collect();
            for count in [1, 2, 3, 64] {
                let made = map(&values, threads(count), |value| value * 2);
                assert_eq!(made.len(), length);
                assert!(made.iter().enumerate().all(|(at, value)| *value == at * 2));
            }
        }
    }

    #[test]
    #[should_panic(expected = "the last one")]
    fn a_panic_reaches_whoever_asked() {
        let values: Vec<usize> = (0..LEAST).collect();
        map(&values, threads(2), |value| assert!(*value != LEAST - 1, "the last one"));
    }
}
