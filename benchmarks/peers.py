"""Runs the cases of `cargo xtask bench` with another library, one command a line of standard input.

In: the name of the library, a folder, a number of threads, and `cpu` or `cuda`; then the commands
`prepare CASE DTYPE ROWS DIM SIGNAL G`, which runs once and writes the first rows of the result to
FOLDER/NAME.out, and `run`. Out: one line a command, `ok SECONDS` or `no REASON`. Formulas are
spelled the way the documentation of each library does, but for `keops-tuned` and `torch-compile`,
which do what experts do with them; a case that a library does not have is a `no`. With `cuda`,
arrays and results stay on the GPU, and only keops, torch and torch-compile have cases.
"""

import math
import os
import sys
import time

NAME, FOLDER, THREADS = sys.argv[1], sys.argv[2], int(sys.argv[3])
DEVICE = sys.argv[4] if len(sys.argv) > 4 else "cpu"
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = str(THREADS)
if NAME == "keops-tuned":
    os.environ["CXXFLAGS"] = "-march=native -ffast-math -mprefer-vector-width=512"

import numpy as np  # noqa: E402  (after the numbers of threads)

SAMPLE = 40
SQDIST = "SqDist(x,y)"


def keops(case, dtype, dim, signal, g, **scheme):
    """Genred, as the documentation has it: no options beyond the defaults."""
    if DEVICE == "cuda":
        # Before KeOps, so that both have the CUDA libraries of torch.
        import torch as library
    import pykeops

    pykeops.set_verbose(False)
    if DEVICE == "cuda":
        from pykeops.torch import Genred
    else:
        from pykeops.numpy import Genred

    r = f"(g*Sqrt({SQDIST}))"
    s3, s5 = "IntInv(1)*Sqrt(IntCst(3))", "IntInv(1)*Sqrt(IntCst(5))"
    gauss = f"Exp(-g*{SQDIST})*b"
    sums = {
        "gauss_d3": gauss,
        "gauss_d3_e3": gauss,
        "gauss_d100": gauss,
        "gauss_d3_grad": f"Grad({gauss},x,e)",
        "laplace_d3": f"Exp(-{r})*b",
        "cauchy_d3": f"b/(IntCst(1)+g*{SQDIST})",
        "matern32_d3": f"(IntCst(1)+{s3}*{r})*Exp(-{s3}*{r})*b",
        "matern52_d3": f"(IntCst(1)+{s5}*{r}+IntCst(5)*{r}*{r}*IntInv(3))*Exp(-{s5}*{r})*b",
    }
    x, y, b, e = load(dtype, dim, signal)
    g = np.array([g or 0.0], dtype)
    points = [f"x=Vi(0,{dim})", f"y=Vj(1,{dim})"]
    if case in sums:
        aliases = points + [f"b=Vj(2,{signal})", "g=Pm(3,1)"]
        arrays = [x, y, b, g]
        if case.endswith("_grad"):
            aliases, arrays = aliases + ["e=Vi(4,1)"], arrays + [e]
        call = Genred(sums[case], aliases, reduction_op="Sum", axis=1, **scheme)
    elif case == "lse_d3":
        call = Genred(f"-g*{SQDIST}", points + ["g=Pm(2,1)"], "LogSumExp", axis=1)
        arrays = [x, y, g]
    elif case in ("argmin_d2", "knn10_d3", "knn10_d50", "knn10_d784"):
        k = {} if case == "argmin_d2" else {"opt_arg": 10}
        kind = "ArgMin" if case == "argmin_d2" else "ArgKMin"
        call = Genred(SQDIST, points, kind, axis=1, **k)
        arrays = [x, y]
    elif case == "attention_d64":
        call = Genred("g*(x|y)", points + [f"b=Vj(2,{signal})", "g=Pm(3,1)"],
                      "SumSoftMaxWeight", axis=1, formula2="b")
        arrays = [x, y, b, g]
    else:
        return None
    if DEVICE == "cuda":
        arrays = tensors(library, arrays)
        return lambda: call(*arrays, backend="GPU")
    return lambda: call(*arrays, backend="CPU")


def keops_tuned(case, dtype, dim, signal, g):
    """Vector code, and sums without blocks: faster, and less exact. Libraries of its own."""
    import pykeops

    pykeops.set_verbose(False)
    build = os.path.join(FOLDER, "keops-tuned")
    os.makedirs(build, exist_ok=True)
    pykeops.set_build_folder(build)
    return keops(case, dtype, dim, signal, g, sum_scheme="direct_sum")


def sklearn(case, dtype, dim, signal, g):
    """Brute force, which is what the others do; trees are another algorithm."""
    x, y, b, _ = load(dtype, dim, signal)
    if case == "argmin_d2":
        from sklearn.metrics import pairwise_distances_argmin

        return lambda: pairwise_distances_argmin(x, y)
    if case.startswith("knn10"):
        from sklearn.neighbors import NearestNeighbors

        model = NearestNeighbors(n_neighbors=10, algorithm="brute", n_jobs=THREADS).fit(y)
        return lambda: model.kneighbors(x, return_distance=False)
    if case in ("gauss_d3", "gauss_d3_e3", "gauss_d100"):
        from sklearn.metrics.pairwise import rbf_kernel

        # In slabs of rows: the whole matrix would not be in anybody's cache.
        return lambda: np.concatenate(
            [rbf_kernel(x[i:i + 500], y, gamma=g) @ b for i in range(0, len(x), 500)]
        )
    return None


def faiss(case, dtype, dim, signal, g):
    """The exact flat index."""
    import faiss as library

    if dtype != np.float32 or not (case.startswith("knn10") or case == "argmin_d2"):
        return None
    library.omp_set_num_threads(THREADS)
    x, y, _, _ = load(dtype, dim, signal)
    k = 1 if case == "argmin_d2" else 10

    def run():
        index = library.IndexFlatL2(dim)
        index.add(y)
        return index.search(x, k)[1]

    return run


def torch(case, dtype, dim, signal, g):
    """Eager tensors, in slabs of rows; attention by the function of that name."""
    import torch as library

    library.set_num_threads(THREADS)
    library.backends.cuda.matmul.allow_tf32 = False  # the default, but for some environments
    x, y, b, e = tensors(library, load(dtype, dim, signal))

    def direct(rows):
        return ((rows[:, None, :] - y[None, :, :]) ** 2).sum(2)

    def product(rows):
        norms = (rows * rows).sum(1)[:, None] + (y * y).sum(1)[None, :]
        return (norms - 2 * rows @ y.T).clamp_min(0)

    d2 = product if dim > 16 else direct
    slabs = kernels(d2, lambda k: k @ b, g) | {
        "knn10_d3": lambda rows: d2(rows).topk(10, 1, largest=False).indices,
    }
    slabs["knn10_d50"] = slabs["knn10_d784"] = slabs["knn10_d3"]
    slab = slabs.get(case)
    # On the GPU, as many rows as give temporaries of 2e8 numbers.
    width = dim if d2 is direct else 1
    height = 500 if DEVICE == "cpu" else max(1, 200_000_000 // (len(y) * width))
    if case == "attention_d64":
        attend = library.nn.functional.scaled_dot_product_attention

        def call():
            # It wants a batch and heads.
            return attend(x[None, None], y[None, None], b[None, None], scale=g)[0, 0]
    elif slab:
        def call():
            return library.cat([slab(x[i:i + height]) for i in range(0, len(x), height)])
    else:
        return None
    return without_gradients(library, call)


def torch_compile(case, dtype, dim, signal, g):
    """One loop over pairs from torch.compile: distances and sums written out, nothing stored.

    On the GPU, the loop takes slabs of rows of at most 2**30 pairs: with more than 2**31, indices
    would have 64 bits, and where a reduction reads pairs twice, what is stored would not fit.
    """
    import torch as library

    library.set_num_threads(THREADS)
    x, y, b, e = tensors(library, load(dtype, dim, signal))

    def d2(rows):
        return sum((rows[:, k, None] - y[None, :, k]) ** 2 for k in range(dim))

    def signals(k):
        return library.stack([(k * b[None, :, c]).sum(1) for c in range(signal)], 1)

    def gradient(rows, e):
        k = (-g * d2(rows)).exp() * b[None, :, 0]
        sums = [(k * (rows[:, c, None] - y[None, :, c])).sum(1) for c in range(dim)]
        return -2 * g * e * library.stack(sums, 1)

    loop = (kernels(d2, signals, g) | {"gauss_d3_grad": gradient}).get(case)
    if loop is None or dim > 16:
        return None
    if DEVICE == "cuda":
        # It keeps only so many versions of a function; those of earlier cases are not needed.
        library.compiler.reset()
    loop = library.compile(loop, dynamic=False)
    arrays = [x, e] if case == "gauss_d3_grad" else [x]
    if DEVICE == "cpu":
        return without_gradients(library, lambda: loop(*arrays))
    # Slabs of one height, but for the last, in a multiple of four rows: starts are aligned.
    count = -(-len(x) * len(y) // 2**30)
    height = -(-len(x) // (4 * count)) * 4

    def call():
        slabs = zip(*(a.split(height) for a in arrays))
        return library.cat([loop(*slab) for slab in slabs])

    return without_gradients(library, call)


def kernels(d2, signals, g):
    """What torch computes of rows: `signals` adds up the signals of columns, times a matrix."""
    s3, s5 = math.sqrt(3), math.sqrt(5)

    def matern52(rows):
        r = s5 * g * d2(rows).sqrt()
        return signals((1 + r + r * r / 3) * (-r).exp())

    def matern32(rows):
        r = s3 * g * d2(rows).sqrt()
        return signals((1 + r) * (-r).exp())

    def gauss(rows):
        return signals((-g * d2(rows)).exp())

    return {
        "gauss_d3": gauss,
        "gauss_d3_e3": gauss,
        "gauss_d100": gauss,
        "lse_d3": lambda rows: (-g * d2(rows)).logsumexp(1, keepdim=True),
        "laplace_d3": lambda rows: signals((-g * d2(rows).sqrt()).exp()),
        "cauchy_d3": lambda rows: signals(1 / (1 + g * d2(rows))),
        "matern32_d3": matern32,
        "matern52_d3": matern52,
        "argmin_d2": lambda rows: d2(rows).argmin(1),
    }


def without_gradients(library, call):
    """The call, of which torch keeps no record for derivatives."""

    def run():
        with library.no_grad():
            result = call()
            return result.numpy() if DEVICE == "cpu" else result

    return run


def tensors(library, arrays):
    """The arrays as tensors on the device."""
    return [library.from_numpy(array).to(DEVICE) for array in arrays]


def load(dtype, dim, signal):
    """x, y, b and e as the cases have them."""
    def read(name, width):
        flat = np.fromfile(os.path.join(FOLDER, name + ".bin"), "<f8")
        return flat.reshape(-1, width).astype(dtype) if width else flat.astype(dtype)

    return read("x", dim), read("y", dim), read("b", signal), read("e", 1)


def prepare(words):
    """Makes the call of a case, runs it once, and writes what came out."""
    if DEVICE == "cuda" and NAME not in ("keops", "torch", "torch-compile"):
        return None
    case, dtype, _, dim, signal, g = words
    g = None if g == "-" else float(g)
    types = {"f32": np.float32, "f64": np.float64}
    call = globals()[NAME.replace("-", "_")](case, types[dtype], int(dim), int(signal), g)
    if call is None:
        return None
    result = call()
    if DEVICE == "cuda":
        result = result[:SAMPLE].cpu()
    rows = np.asarray(result)[:SAMPLE]
    np.ascontiguousarray(rows, dtype="<f8").tofile(os.path.join(FOLDER, NAME + ".out"))
    return call


def clock():
    """Processor time on one thread, the time of a clock on several."""
    return time.process_time() if THREADS == 1 else time.perf_counter()


def measure(call):
    """Seconds of a call; on the GPU, the mean of as many as take 0.1 s, each until it is done."""
    if DEVICE == "cpu":
        start = clock()
        call()
        return clock() - start
    import torch as library

    library.cuda.synchronize()
    calls, passed, start = 0, 0.0, time.perf_counter()
    while passed < 0.1:
        call()
        library.cuda.synchronize()
        calls, passed = calls + 1, time.perf_counter() - start
    return passed / calls


def main():
    # Whatever libraries print goes where people see it, not into the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    call = None
    for line in sys.stdin:
        words = line.split()
        try:
            if words[0] == "prepare":
                call = prepare(words[1:])
                print("ok" if call else "no has no such case", file=answers, flush=True)
            else:
                print("ok", measure(call), file=answers, flush=True)
        except Exception as why:  # a peer that fails is a line of the table, not the end
            print("no", f"{type(why).__name__}: {why}".replace("\n", " "), file=answers, flush=True)


main()
