//! Threads. Goes in: how many, and work. Comes out: the work's result. It never decides how the
//! work is cut, so that results do not depend on it.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Error;
use crate::words;

/// More threads than this are not started, whatever is asked.
const MOST: usize = 1024;

/// Runs `work` where rayon's iterators use that many threads; `None` is rayon's current pool.
pub(super) fn install<R: Send>(
    threads: Option<usize>,
    work: impl FnOnce() -> R + Send,
) -> Result<R, Error> {
    match threads {
        Some(threads) => Ok(pool(threads.min(MOST))?.install(work)),
        None => {
            global()?;
            Ok(work())
        }
    }
}

/// One pool for each size that was ever asked for; idle threads sleep.
fn pool(threads: usize) -> Result<Arc<ThreadPool>, Error> {
    static POOLS: Mutex<BTreeMap<usize, Arc<ThreadPool>>> = Mutex::new(BTreeMap::new());
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pools.get(&threads) {
        return Ok(pool.clone());
    }
    let name = move |index| format!("tilefold-{threads}-{index}");
    let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
    let pool = Arc::new(pool.map_err(|why| words::threads(threads, why))?);
    pools.insert(threads, pool.clone());
    Ok(pool)
}

/// Starts rayon's own pool, which would panic on first use if its threads cannot start.
fn global() -> Result<(), Error> {
    static STARTED: OnceLock<Result<(), Error>> = OnceLock::new();
    if rayon::current_thread_index().is_some() {
        return Ok(());
    }
    STARTED
        .get_or_init(|| match ThreadPoolBuilder::new().build_global() {
            // An error without a cause says that the pool is already there.
            Err(why) if why.source().is_some() => Err(words::threads(MOST, why)),
            _ => Ok(()),
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn pools_have_the_asked_size_and_are_kept() {
        for threads in [2, 3] {
            assert_eq!(install(Some(threads), rayon::current_num_threads).unwrap(), threads);
        }
        assert!(Arc::ptr_eq(&pool(2).unwrap(), &pool(2).unwrap()));
        let inside = install(Some(3), || install(None, rayon::current_num_threads));
        assert_eq!(inside.unwrap().unwrap(), 3, "a call inside of a pool stays there");
    }

    #[test]
    fn a_failed_start_is_an_error() {
        let failed = ThreadPoolBuilder::new()
            .num_threads(2)
            .spawn_handler(|_| Err(std::io::Error::other("no threads left")))
            .build();
        let error = words::threads(2, failed.unwrap_err());
        assert_eq!(error.code(), Code::Threads);
        assert!(error.message().contains("cannot start 2 threads: no threads left"), "{error}");
    }
}
