//! The same work over and over, with a look at what the process holds. Goes in: how long, a seed,
//! how much work a pass is. Comes out: what was held after the second pass and after the last, or
//! what has grown between. It never looks at results: other tests do.
//!
//! A pass runs programs of `LazyTensor` (mistakes and batches among them), ranges, random formulas
//! in the interpreter, every shipped formula as linked code, and one as code compiled at run time,
//! with one to three threads and in random order. After the second pass every cache is as full as
//! it gets, so that whatever grows from then on is a leak.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use tilefold::{Dtype, Interpreted, Kernel, Options, Policy, jit};
use tilefold_compiler::ir::{self, Storage};
use tilefold_tests::generate::{self, Wish};
use tilefold_tests::interpreted;
use tilefold_tests::native::run_kernel;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;
use tilefold_tests::sanitized::trials::shipped_formulas;

use crate::{Target, memory};

/// What a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes that were allocated and not freed.
    pub live: usize,
    /// Bytes that lie in memory, as the kernel counts; 0 where it does not say.
    pub resident: usize,
    /// Open files.
    pub handles: usize,
    /// Threads.
    pub threads: usize,
}

/// A leak of less is not seen. Work that is done again allocates and frees the same bytes; maps
/// that threads share may be halfway through a step.
const LIVE: usize = 4 << 10;
/// What a thread of the runtime keeps of buffers, at most; how long they are depends on its last
/// work. So a leak shows in a short run only if it is larger.
const KEPT: usize = 192 << 10;
/// Pages that allocators keep.
const RESIDENT: usize = 8 << 20;

impl Held {
    fn now() -> Held {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Held {
            live: memory::live(),
            resident: number("VmRSS:") << 10,
            handles: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            threads: number("Threads:"),
        }
    }

    /// What has grown since, if anything.
    fn growth(self, since: Held) -> Option<String> {
        let parts = [
            ("allocated bytes", self.live, since.live, LIVE + KEPT * self.threads),
            ("resident bytes", self.resident, since.resident, RESIDENT + since.resident / 100),
            ("open files", self.handles, since.handles, 0),
            ("threads", self.threads, since.threads, 0),
        ];
        let grown = parts.iter().filter(|(_, now, then, slack)| *now > then + slack);
        let lines: Vec<String> =
            grown.map(|(what, now, then, _)| format!("{what} grew from {then} to {now}")).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }
}

/// What came of a soak.
#[derive(Clone, Copy, Debug)]
pub struct Soaked {
    /// Passes.
    pub passes: u64,
    /// Pieces of work.
    pub calls: u64,
    /// After the second pass.
    pub first: Held,
    /// After the last.
    pub last: Held,
}

type Work = Box<dyn Fn(&mut Rng)>;

/// Runs passes until the time is up, three at least. `size` scales the work of a pass.
///
/// # Errors
/// What has grown.
///
/// # Panics
/// When work fails that must not.
pub fn soak(time: Duration, seed: u64, size: u64) -> Result<Soaked, String> {
    let mut rng = Rng::new(seed);
    let mut work = work(seed, size);
    let start = Instant::now();
    let (mut passes, mut first) = (0, Held::default());
    while passes < 3 || start.elapsed() < time {
        rng.shuffle(&mut work);
        work.iter().for_each(|piece| piece(&mut rng));
        passes += 1;
        if passes == 2 {
            first = Held::now();
        }
    }
    let last = Held::now();
    let calls = passes * work.len() as u64;
    let soaked = Soaked { passes, calls, first, last };
    last.growth(first).map_or(Ok(soaked), |why| Err(format!("after {passes} passes {why}")))
}

fn options(rng: &mut Rng) -> Options<'static> {
    Options::new().executor(Policy::Cpu).threads(1 + rng.below(3))
}

fn work(seed: u64, size: u64) -> Vec<Work> {
    let mut all: Vec<Work> = Vec::new();
    let mut rng = Rng::new(seed);
    for name in ["lazy", "ranges"] {
        let target = Target::named(name).expect("a target");
        for _ in 0..size * 8 {
            let bytes: Vec<u8> = (0..10 + rng.below(90)).map(|_| rng.bits() as u8).collect();
            all.push(Box::new(move |_| {
                (target.run)(&bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
            }));
        }
    }
    for number in seed..seed + size {
        let problem = generate::problem(number, Wish::Any);
        all.push(Box::new(move |rng| {
            let made = Interpreted::new(&problem.formula, Storage::F64).expect("short enough");
            let found = interpreted::run_made(&made, &problem, Storage::F64, &options(rng));
            found.unwrap_or_else(|e| panic!("{}: {e}", problem.formula.name));
        }));
    }
    compiled(&mut all, &mut rng);
    all
}

/// Linked code of every shipped formula in f32, and one of them compiled here.
fn compiled(all: &mut Vec<Work>, rng: &mut Rng) {
    let instances = tilefold_kernels::FORMULAS.iter().copied().flatten().flat_map(|f| f.instances);
    let single = instances.filter(|instance| instance.dtype() == Dtype::F32);
    let kernels = single.map(|instance| instance.kernel().expect("a sound descriptor"));
    let kernels: HashMap<[u8; 32], &Kernel> = kernels.map(|k| (*k.key(), k)).collect();
    let formulas = shipped_formulas(Storage::F32);
    let folder = std::env::temp_dir().join(format!("tilefold-soak-{}", std::process::id()));
    let made = jit::Jit::new().cache(&folder).kernel(&formulas[0], Storage::F32, &options(rng));
    let _ = fs::remove_dir_all(folder);
    // Without a compiler there is one piece of work less.
    let jit = made.ok().map(|ready| (formulas[0].clone(), ready.kernel));
    let linked = formulas.into_iter().map(|f| {
        let kernel = kernels[ir::key(&f).bytes()];
        (f, kernel)
    });
    for (formula, kernel) in linked.chain(jit) {
        let problem = Problem::between(formula, 67, 411, rng, 0.1, 1.1);
        all.push(Box::new(move |rng| {
            let found = run_kernel(kernel, Storage::F32, options(rng), None, &problem);
            found.unwrap_or_else(|e| panic!("{}: {e}", problem.formula.name));
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_named_and_shrinking_is_none() {
        let first = Held { live: 1 << 20, resident: 1 << 24, handles: 5, threads: 3 };
        assert_eq!(first.growth(first), None);
        let fewer = Held { handles: 4, threads: 1, ..first };
        assert_eq!(fewer.growth(first), None);
        let grown = Held { live: (1 << 20) + LIVE + 3 * KEPT + 1, handles: 6, ..first };
        let why = grown.growth(first).expect("it has grown");
        assert!(why.contains("allocated bytes") && why.contains("open files grew from 5 to 6"));
        let resident = Held { resident: 1 << 26, threads: 4, ..first };
        let why = resident.growth(first).expect("it has grown");
        assert!(why.contains("resident bytes") && why.contains("threads grew from 3 to 4"));
    }
}
