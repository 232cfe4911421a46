/* The states of reductions: neutral element, fold, merge, finished value.
 *
 * Each accumulator has two parts. `State` lives in memory, one entry a row, and is merged, entry by
 * entry, and finished. The accumulator itself lives in registers for one tile of columns: `open`
 * reads what it needs from the state, `add` folds one column into R vectors of rows, `close` hands
 * the tile to the state. Sums also have `flush`, once a block of columns. CPU: W lanes; CUDA: one.
 *
 * Included after a prelude (tf_cpu.h or tf_cuda.cuh). Row numbers are i64; ties go to the lowest
 * row; NaN comes before every number.
 */
#ifndef TF_REDUCE_H
#define TF_REDUCE_H

#if defined(__CUDACC__)
#define TF_METHOD __device__ __forceinline__
#define TF_LOGD(x) log(x)
#define TF_EXPD(x) exp(x)
#define TF_LDEXP(x, n) ldexp(x, n)
#else
#define TF_METHOD inline __attribute__((always_inline))
#define TF_LOGD(x) __builtin_log(x)
#define TF_EXPD(x) __builtin_exp(x)
#define TF_LDEXP(x, n) __builtin_ldexp(x, n)
#endif
/* Code that runs rarely: a call on the CPU, so that it is compiled once. A GPU's local arrays need
 * it inlined. */
#if defined(__CUDACC__) || defined(TF_EMULATED)
#define TF_RARE TF_FN
#else
#define TF_RARE static __attribute__((noinline, cold, unused))
#endif
#if defined(__CUDACC__)
#define TF_ROWS(r) _Pragma("unroll") for (int r = 0; r < R; ++r)
#define TF_ROLLED _Pragma("unroll 1")
#define TF_IN_MEMORY(components) false
#else
#define TF_ROLLED _Pragma("GCC unroll 1")
#define TF_ROWS(r) _Pragma("GCC unroll 16") for (int r = 0; r < R; ++r)
#define TF_IN_MEMORY(components) ((components) > 8) /* of a CPU, whose loops stay loops */
#endif
/* See tf_cuda.cuh. */
#ifndef TF_FAST_DOUBLE
#define TF_FAST_DOUBLE 0
#endif
/* Columns that are added up plainly; what the error of a sum may be follows from it. */
#define TF_CHAIN 8
/* The E components of a sum; many of them live in a GPU's local memory, and stay a loop. A CPU
 * keeps a few of them in registers, where there are 32, if no loop counts them. */
#if defined(__CUDACC__)
#define TF_COMPONENTS(e) _Pragma("unroll (E > 13 ? 2 : E)") for (int e = 0; e < E; ++e)
#elif defined(TF_LEVEL) && (TF_LEVEL == 4 || TF_LEVEL == 1)
#define TF_COMPONENTS(e) _Pragma("GCC unroll 8") for (int e = 0; e < E; ++e)
#else
#define TF_COMPONENTS(e) for (int e = 0; e < E; ++e)
#endif
/* The G vectors of a group, where R counts those of a block. */
#if defined(__CUDACC__)
#define TF_GROUP(r) _Pragma("unroll") for (int r = 0; r < G; ++r)
#else
#define TF_GROUP(r) _Pragma("GCC unroll 16") for (int r = 0; r < G; ++r)
#endif
#define TF_LANES(l) for (int l = 0; l < W; ++l)
/* All of n entries of a state, which on a GPU are registers. */
#if defined(__CUDACC__)
#define TF_ENTRIES(l, n) _Pragma("unroll") for (int l = 0; l < (n); ++l)
#else
#define TF_ENTRIES(l, n) for (int l = 0; l < (n); ++l)
#endif

/* States differ between dtypes and instruction levels though their names do not, and all are linked
 * into one library: no function of this file may be shared between files. */
namespace {

/* dst[l] *= (double)c[l] */
TF_FN void tf_widen_scale(double *dst, V c) {
#ifdef TF_LEVEL
  typedef double wide __attribute__((vector_size(8 * W)));
  typedef wide wide_unaligned __attribute__((aligned(8), may_alias));
  *(wide_unaligned *)dst *= __builtin_convertvector(c, wide);
#else
  TF_LANES(l) dst[l] *= (double)tf_lane(c, l);
#endif
}

/* The terms of shifted sums are exp(q - m). Powers of two are cheaper, on a GPU an instruction, so
 * that where products are fused into sums the term is 2^(q L - M), with L the T next to log2 e and
 * M = m L as a T: one fused operation. All that refers to m uses M / L, exactly; the error of L is
 * that of a score by a hundred-millionth (in float) of its distance from m. On a GPU a term that is
 * subnormal beside one that was the largest when m was set counts as 0. Where m is so large that M
 * may be off by more than a tenth, as every score is, terms keep to e. */
#if defined(TF_CUDA_CUH) && !TF_DOUBLE
#define TF_LOG2E 0x1.715476p+0f
TF_FN bool tf_is_huge(V m) { return !(tf_abs(m) < 0x1p20f); }
TF_FN V tf_over(V q, V m) {
  return tf_is_huge(m) ? (q - m) * TF_LOG2E : fmaf(q, TF_LOG2E, -(m * TF_LOG2E));
}
TF_FN V tf_shift_term(V over) { return tf_exp2_normal(over); }
/* The term at m of a sum that is shifted by `to`. */
TF_FN V tf_shift_change(V m, V to) {
  const bool huge = tf_is_huge(m) || tf_is_huge(to);
  return tf_exp2_normal(huge ? (m - to) * TF_LOG2E : m * TF_LOG2E - to * TF_LOG2E);
}
/* How far M / L lies below m. */
TF_FN double tf_shift_low(T m) {
  return tf_is_huge(m) ? 0.0 : (double)m - (double)(m * TF_LOG2E) / (double)TF_LOG2E;
}
#elif !defined(TF_CUDA_CUH) && TF_FMA
/* A tile keeps what terms need of a shift beside it. */
#define TF_KEEPS_SHIFT 1
#define TF_LOG2E ((T)(TF_DOUBLE ? 0x1.71547652b82fep+0 : 0x1.715476p+0))
#define TF_HUGE ((T)(TF_DOUBLE ? 0x1p49 : 0x1p20))
TF_FN M tf_is_huge(V m) { return ~(tf_abs(m) < tf_c(TF_HUGE)); }
/* What a tile keeps of a shift: -M, or infinity where terms keep to e. */
TF_FN V tf_shift_kept(V m) { return tf_sel(tf_is_huge(m), tf_c(TF_INF), -m * TF_LOG2E); }
/* The exponent of a term, or infinity or NaN. */
TF_FN V tf_over_kept(V q, V kept) { return tf_fma(q, tf_c(TF_LOG2E), kept); }
TF_FN V tf_over(V q, V m) {
  return tf_sel(tf_is_huge(m), (q - m) * TF_LOG2E, tf_over_kept(q, -m * TF_LOG2E));
}
TF_FN V tf_shift_term(V over) { return tf_exp2(over); }
TF_FN V tf_shift_change(V m, V to) {
  const M huge = tf_is_huge(m) | tf_is_huge(to);
  return tf_exp2(tf_sel(huge, (m - to) * TF_LOG2E, m * TF_LOG2E - to * TF_LOG2E));
}
TF_FN double tf_shift_low(T m) {
  if (!(m < TF_HUGE && m > -TF_HUGE)) return 0.0;
  return __builtin_fma(m, TF_LOG2E, -(double)(m * TF_LOG2E)) / TF_LOG2E;
}
#else
TF_FN V tf_over(V q, V m) { return q - m; }
TF_FN V tf_shift_term(V over) { return tf_exp(over); }
TF_FN V tf_shift_change(V m, V to) { return tf_exp(m - to); }
TF_FN double tf_shift_low(T) { return 0.0; }
#endif

/* N totals in more digits than the terms have: float64 where T is float, and otherwise float64 with
 * the rounding errors beside it (Knuth's TwoSum). An infinite total stays infinite, since its error
 * is not looked at. */
template <int N> struct tf_totals {
  double high[N];
#if TF_DOUBLE
  double low[N];
#endif

  TF_METHOD void clear() {
    TF_ENTRIES(l, N) high[l] = 0.0;
#if TF_DOUBLE
    TF_ENTRIES(l, N) low[l] = 0.0;
#endif
  }
  /* Adds x to the W totals from `at` on. */
  TF_METHOD void add(int at, V x) {
#if TF_DOUBLE
    const V a = tf_load(&high[at]), sum = a + x, back = sum - a;
    tf_store(&low[at], tf_load(&low[at]) + ((a - (sum - back)) + (x - back)));
    tf_store(&high[at], sum);
#else
    tf_widen_add(&high[at], x);
#endif
  }
  TF_METHOD void scale(int at, V c) {
    tf_widen_scale(&high[at], c);
#if TF_DOUBLE
    tf_widen_scale(&low[at], c);
#endif
  }
  /* Total l becomes a times itself plus b times total m of `o`. */
  TF_METHOD void merge(int l, const tf_totals &o, int m, double a, double b) {
    const double x = high[l] * a, y = o.high[m] * b;
    high[l] = x + y;
#if TF_DOUBLE
    const double back = high[l] - x;
    low[l] = low[l] * a + o.low[m] * b + ((x - (high[l] - back)) + (y - back));
#endif
  }
  TF_METHOD double value(int l) const {
#if TF_DOUBLE
    return high[l] - high[l] == 0.0 ? high[l] + low[l] : high[l];
#else
    return high[l];
#endif
  }
};

/* How a tile of columns is summed.
 *
 * Terms are added up in T over a chain of B columns. `flush`, once a block of C chains, adds each
 * chain to a sum whose rounding error is kept beside it (Dekker's Fast2Sum), and `close` both to
 * the totals. With B columns a chain the error of a sum is at most B + 1 units of T's rounding
 * (2^-24 or 2^-53) times the sum of magnitudes, however many columns there are: B - 1 of the chain,
 * one where a chain exceeds what came before it, so that Fast2Sum may round, and one of the result.
 *
 * Where float64 additions are cheap, or EACH asks for it (blocks of one column), blocks go into the
 * totals directly. The error is then B - 1 units of the chain, one where two chains are added up
 * before, and one of the result. */
template <int E, int R, bool EACH, int C = 1> struct tf_parts {
  enum { DIRECT = EACH || (TF_FAST_DOUBLE && !TF_DOUBLE) };
  static_assert(C <= 2, "the bound of the error counts at most one more addition");
  typedef tf_totals<R * W> Totals[E];
  V part[C][E][R];
  V high[DIRECT ? 1 : E][R], low[DIRECT ? 1 : E][R];

  TF_FN void init(Totals &t) {
    TF_COMPONENTS(e) t[e].clear();
  }
  TF_METHOD void open() {
    TF_COMPONENTS(e)
      TF_ROWS(r) {
        clear(e, r);
        if (!DIRECT) high[e][r] = tf_c(0.0), low[e][r] = tf_c(0.0);
      }
  }
  TF_METHOD void clear(int e, int r) {
    part[0][e][r] = tf_c(0.0);
    if (C > 1) part[C - 1][e][r] = tf_c(0.0);
  }
  /* `slot` counts the columns of a block that is written out; -1 is a column alone. */
  TF_METHOD void add(int e, int r, V x, int slot) {
    V &to = part[C > 1 && slot >= TF_CHAIN ? C - 1 : 0][e][r];
    to = to + x;
  }
  /* What a block of columns comes to. */
  TF_METHOD V block(int e, int r) const {
    return C > 1 ? part[0][e][r] + part[C - 1][e][r] : part[0][e][r];
  }
  TF_METHOD void join(int e, int r, V x) {
    const V sum = high[e][r] + x;
    low[e][r] = low[e][r] + (x - (sum - high[e][r]));
    high[e][r] = sum;
  }
  /* The same of a block that was added up elsewhere. */
  TF_METHOD void join_block(Totals &t, int e, int r, V x) {
    DIRECT ? t[e].add(r * W, x) : join(e, r, x);
  }
  TF_METHOD void flush(Totals &t) {
    TF_COMPONENTS(e)
      TF_ROWS(r) {
        if (DIRECT) {
          t[e].add(r * W, block(e, r));
        } else {
          join(e, r, part[0][e][r]);
          if (C > 1) join(e, r, part[C - 1][e][r]);
        }
        clear(e, r);
      }
  }
  TF_METHOD void close(Totals &t) {
    if (TF_IN_MEMORY(E))
      TF_ROLLED for (int e = 0; e < E; ++e) close(t, e);
    else
      TF_COMPONENTS(e) close(t, e);
  }
  TF_METHOD void close(Totals &t, int e) {
    TF_ROWS(r) {
      if (DIRECT) continue;
      const V sum = high[e][r], error = low[e][r];
      t[e].add(r * W, sum);
      t[e].add(r * W, tf_sel(sum - sum == tf_c(0.0), error, tf_c(0.0)));
    }
  }
  /* Multiplies all sums of vector r by c. */
  TF_METHOD void scale(Totals &t, int r, V c) {
    TF_COMPONENTS(e) {
      part[0][e][r] = part[0][e][r] * c;
      if (C > 1) part[C - 1][e][r] = part[C - 1][e][r] * c;
      if (!DIRECT) high[e][r] = high[e][r] * c, low[e][r] = low[e][r] * c;
      t[e].scale(r * W, c);
    }
  }
};

/* Sums, component by component. */
template <int E, int R, bool EACH, int C = 1> struct tf_sum {
  typedef tf_parts<E, R, EACH, C> Parts;
  struct State {
    typename Parts::Totals total;
  };
  Parts parts;

  TF_FN void init(State &s) { Parts::init(s.total); }
  TF_METHOD void open(const State &) { parts.open(); }
  TF_METHOD void add(int e, int r, V x, int slot = 0) { parts.add(e, r, x, slot); }
  TF_METHOD void flush(State &s) { parts.flush(s.total); }
  TF_METHOD void close(State &s, i64) { parts.close(s.total); }
  TF_FN void merge(State &s, int l, const State &o, int m) {
    TF_COMPONENTS(e) s.total[e].merge(l, o.total[e], m, 1.0, 1.0);
  }
  TF_FN V value(const State &s, int, int e, int r) {
    V v = tf_c(0.0);
    TF_LANES(l) tf_set_lane(v, l, (T)total(s, e, r * W + l));
    return v;
  }
  TF_FN double total(const State &s, int e, int lane) { return s.total[e].value(lane); }
};

/* Whether a comes before b: NaN first, then the smaller (S = 1) or larger (S = -1). */
template <int S> TF_FN bool tf_first(T a, T b) {
  return (S > 0 ? a < b : a > b) || (a != a && b == b);
}
/* The same of values that rows i and j have: ties go to the lower row. */
template <int S> TF_FN bool tf_before(T a, i64 i, T b, i64 j) {
  return tf_first<S>(a, b) || (i < j && !tf_first<S>(b, a));
}

/* Smallest (S = 1) or largest (S = -1) value; NaN if any value is NaN. */
template <int E, int R, int S> struct tf_extremum {
  struct State {
    T best[E][R * W];
  };
  V best[E][R];

  TF_FN V pick(V a, V b) { return S > 0 ? tf_min(a, b) : tf_max(a, b); }
  TF_FN void init(State &s) {
    for (int e = 0; e < E; ++e)
      for (int l = 0; l < R * W; ++l) s.best[e][l] = (T)(S * TF_INF);
  }
  TF_METHOD void open(const State &s) {
    for (int e = 0; e < E; ++e) TF_ROWS(r) best[e][r] = tf_load(&s.best[e][r * W]);
  }
  TF_METHOD void add(int e, int r, V x) { best[e][r] = pick(best[e][r], x); }
  TF_METHOD void close(State &s, i64) {
    for (int e = 0; e < E; ++e) TF_ROWS(r) tf_store(&s.best[e][r * W], best[e][r]);
  }
  TF_FN void merge(State &s, int l, const State &o, int m) {
    for (int e = 0; e < E; ++e)
      if (tf_first<S>(o.best[e][m], s.best[e][l])) s.best[e][l] = o.best[e][m];
  }
  TF_FN V value(const State &s, int, int e, int r) { return tf_load(&s.best[e][r * W]); }
};

/* tf_first, lane by lane. */
template <int S> TF_FN M tf_firsts(V a, V b) {
  return tf_or_m(S > 0 ? a < b : a > b, tf_and_m(a != a, b == b));
}

/* Smallest or largest value and its row. MASKED: some pairs are left out (`add_if`), so a row may
 * have no candidate at all; its row number is then -1. */
template <int E, int R, int S, bool MASKED> struct tf_arg_extremum {
  struct State {
    T best[E][R * W];
    i64 at[E][R * W];
  };
  V best[E][R];
  VI at[E][R];   /* column within the tile, -1: none in this tile */
  VI none[E][R]; /* MASKED: -1 while the row has no candidate yet */

  TF_FN void init(State &s) {
    for (int e = 0; e < E; ++e)
      for (int l = 0; l < R * W; ++l) s.best[e][l] = (T)(S * TF_INF), s.at[e][l] = -1;
  }
  TF_METHOD void open(const State &s) {
    for (int e = 0; e < E; ++e)
      TF_ROWS(r) {
        best[e][r] = tf_load(&s.best[e][r * W]);
        at[e][r] = tf_splat_i(-1);
        VI empty = tf_splat_i(0);
        if (MASKED) TF_LANES(l) tf_set_lane_i(empty, l, s.at[e][r * W + l] < 0 ? -1 : 0);
        none[e][r] = empty;
      }
  }
  TF_METHOD void add(int e, int r, V x, int jj) {
    M first = tf_firsts<S>(x, best[e][r]);
    best[e][r] = tf_sel(first, x, best[e][r]);
    at[e][r] = tf_sel_i(first, tf_splat_i(jj), at[e][r]);
  }
  TF_METHOD void add_if(int e, int r, V x, V mask, int jj) {
    M first = tf_or_m(tf_firsts<S>(x, best[e][r]), none[e][r] != tf_splat_i(0));
    first = tf_and_m(mask != tf_c(0.0), first);
    best[e][r] = tf_sel(first, x, best[e][r]);
    at[e][r] = tf_sel_i(first, tf_splat_i(jj), at[e][r]);
    none[e][r] = tf_sel_i(first, tf_splat_i(0), none[e][r]);
  }
  TF_METHOD void close(State &s, i64 tile) {
    for (int e = 0; e < E; ++e)
      TF_ROWS(r) {
        tf_store(&s.best[e][r * W], best[e][r]);
        TF_LANES(l) {
          i64 &to = s.at[e][r * W + l];
          i64 jj = (i64)tf_lane_i(at[e][r], l);
          if (jj >= 0) to = tile + jj;
          /* Nothing came before the neutral element: every value so far equals it. */
          if (!MASKED && to < 0) to = tile;
        }
      }
  }
  TF_FN void merge(State &s, int l, const State &o, int m) {
    for (int e = 0; e < E; ++e) {
      const T x = o.best[e][m];
      const i64 j = o.at[e][m];
      if (j >= 0 && (s.at[e][l] < 0 || tf_before<S>(x, j, s.best[e][l], s.at[e][l])))
        s.best[e][l] = x, s.at[e][l] = j;
    }
  }
  TF_FN void spread(State &s, int l) {
    for (int e = 0; e < E; ++e)
      if (s.at[e][l] >= 0) s.at[e][l] = s.at[e][l] * W + l;
  }
  TF_FN V value(const State &s, int, int e, int r) { return tf_load(&s.best[e][r * W]); }
  TF_FN i64 index(const State &s, int e, int lane) { return s.at[e][lane]; }
};

/* The K smallest (S = 1) or largest (S = -1) values and their rows, sorted. A row is compared with
 * its K-th value only; insertion is rare, about K ln(N / K) times a row. Missing entries are
 * (S inf, -1). */
template <int E, int K, int R, int S = 1> struct tf_kmin {
  struct State {
    T best[E][K][R * W];
    i64 at[E][K][R * W];
  };
  V last[E][R];
  VI open_[E][R]; /* -1 while the row has fewer than K entries */

  TF_FN void init(State &s) {
    for (int e = 0; e < E; ++e)
      for (int k = 0; k < K; ++k)
        for (int l = 0; l < R * W; ++l) s.best[e][k][l] = (T)(S * TF_INF), s.at[e][k][l] = -1;
  }
  TF_METHOD void load(const State &s, int e, int r) {
    last[e][r] = tf_load(&s.best[e][K - 1][r * W]);
    VI open = tf_splat_i(0);
    TF_LANES(l) tf_set_lane_i(open, l, s.at[e][K - 1][r * W + l] < 0 ? -1 : 0);
    open_[e][r] = open;
  }
  TF_METHOD void open(const State &s) {
    for (int e = 0; e < E; ++e) TF_ROWS(r) load(s, e, r);
  }
  TF_RARE void insert(State &s, int e, int lane, T x, i64 j) {
    int k = K - 1;
    TF_ROLLED
    for (; k > 0; --k) {
      T before = s.best[e][k - 1][lane];
      i64 row = s.at[e][k - 1][lane];
      if (row >= 0 && !tf_before<S>(x, j, before, row)) break;
      s.best[e][k][lane] = before;
      s.at[e][k][lane] = row;
    }
    s.best[e][k][lane] = x;
    s.at[e][k][lane] = j;
  }
  TF_METHOD void enter(State &s, int e, int r, V x, i64 j, M wanted) {
    TF_LANES(l) if (tf_lane_m(wanted, l)) insert(s, e, r * W + l, tf_lane(x, l), j);
    load(s, e, r);
  }
  TF_METHOD void add(State &s, int e, int r, V x, i64 j) {
    M wanted = tf_or_m(tf_firsts<S>(x, last[e][r]), open_[e][r] != tf_splat_i(0));
    if (__builtin_expect(tf_any(wanted), 0)) enter(s, e, r, x, j, wanted);
  }
  TF_METHOD void add_if(State &s, int e, int r, V x, V mask, i64 j) {
    M wanted = tf_or_m(tf_firsts<S>(x, last[e][r]), open_[e][r] != tf_splat_i(0));
    wanted = tf_and_m(mask != tf_c(0.0), wanted);
    if (__builtin_expect(tf_any(wanted), 0)) enter(s, e, r, x, j, wanted);
  }
  TF_METHOD void close(State &, i64) {}
  TF_FN void merge(State &s, int l, const State &o, int m) {
    for (int e = 0; e < E; ++e)
      TF_ROLLED
      for (int k = 0; k < K; ++k) {
        const T x = o.best[e][k][m];
        const i64 j = o.at[e][k][m], last = s.at[e][K - 1][l];
        if (j < 0 || (last >= 0 && !tf_before<S>(x, j, s.best[e][K - 1][l], last))) break;
        insert(s, e, l, x, j);
      }
  }
  TF_FN void spread(State &s, int l) {
    for (int e = 0; e < E; ++e)
      for (int k = 0; k < K; ++k)
        if (s.at[e][k][l] >= 0) s.at[e][k][l] = s.at[e][k][l] * W + l;
  }
  /* Component e * dim + c of the result is entry e of component c. */
  TF_FN V value(const State &s, int, int n, int r) { return tf_load(&s.best[n % E][n / E][r * W]); }
  TF_FN i64 index(const State &s, int n, int lane) { return s.at[n % E][n / E][lane]; }
};

/* Sums of exp(x) and of exp(x) w for E weights, relative to a shift m that follows the maximum: no
 * term overflows, and the largest is from 1 to e, or to 2 where terms are powers of two. m rises
 * only where a score exceeds it by more than that: each rise rounds the sums, and rises that shrink
 * them by less would add up. m stays finite, so x - m is never inf - inf: rows of -inf give 0, a
 * +inf gives +inf. TOP: field 1, which is relative to the maximum itself, is read. */
template <int E, int R, bool TOP, bool EACH> struct tf_shifted_exp {
  typedef tf_parts<1 + E, R, EACH> Parts;
  struct State {
    T shift[R * W];
    T top[TOP ? R * W : 1];
    typename Parts::Totals total;
  };
  V shift_[R];
#if TF_KEEPS_SHIFT
  V kept_[R];
#endif
  V top_[R];
  Parts parts;

  TF_FN void init(State &s) {
    TF_ENTRIES(l, R * W) s.shift[l] = (T)-TF_MAX;
    TF_ENTRIES(l, TOP ? R * W : 1) s.top[l] = (T)-TF_MAX;
    Parts::init(s.total);
  }
  TF_METHOD void open(const State &s) {
    TF_ROWS(r) shift_[r] = tf_load(&s.shift[r * W]);
#if TF_KEEPS_SHIFT
    TF_ROWS(r) kept_[r] = tf_shift_kept(shift_[r]);
#endif
    if (TOP) TF_ROWS(r) top_[r] = tf_load(&s.top[r * W]);
    parts.open();
  }
#if TF_KEEPS_SHIFT
  TF_METHOD V over(V q, int r) const { return tf_over_kept(q, kept_[r]); }
  /* Also where the exponent is not that of a term. */
  TF_FN M above(V d) { return ~(d <= tf_c(1.0)); }
#else
  TF_METHOD V over(V q, int r) const { return tf_over(q, shift_[r]); }
  TF_FN M above(V d) { return d > tf_c(1.0); }
#endif
  /* Raises the shift to the scores q of vectors g on where they exceed it by more than 1, and
   * rescales what was summed. Their exponents d are right then. */
  template <int G> TF_METHOD void raise(State &s, int g, const V (&q)[G], V (&d)[G]) {
    TF_GROUP(r) {
      V &shift = shift_[g + r];
#if TF_KEEPS_SHIFT
      d[r] = tf_over(q[r], shift);
#endif
      M higher = d[r] > tf_c(1.0);
      V to = tf_sel(higher, tf_min(q[r], tf_c(TF_MAX)), shift);
      parts.scale(s.total, g + r, tf_sel(higher, tf_shift_change(shift, to), tf_c(1.0)));
      shift = to;
      d[r] = tf_over(q[r], to);
#if TF_KEEPS_SHIFT
      kept_[g + r] = tf_shift_kept(to);
#endif
    }
  }
  /* Replaces the scores q of vectors g on by the terms exp(q - m) and sums them. */
  template <int G> TF_METHOD void terms(State &s, int g, V (&q)[G]) {
    V d[G];
    TF_GROUP(r) d[r] = over(q[r], g + r);
    if (TOP) TF_GROUP(r) top_[g + r] = tf_sel(q[r] > top_[g + r], q[r], top_[g + r]);
    M higher = above(d[0]);
    TF_GROUP(r) higher = tf_or_m(higher, above(d[r]));
    if (__builtin_expect(tf_any(higher), 0)) raise(s, g, q, d);
    TF_GROUP(r) q[r] = tf_shift_term(d[r]);
    TF_GROUP(r) parts.add(0, g + r, q[r], 0);
  }
  TF_METHOD void add(int e, int r, V x) { parts.add(1 + e, r, x, 0); }
  TF_METHOD void flush(State &s) { parts.flush(s.total); }
  TF_METHOD void close(State &s, i64) {
    TF_ROWS(r) tf_store(&s.shift[r * W], shift_[r]);
    if (TOP) TF_ROWS(r) tf_store(&s.top[r * W], top_[r]);
    parts.close(s.total);
  }
  /* exp(a - b) for a <= b, where both may be the neutral -TF_MAX. */
  TF_FN double scale(T a, T b) {
    return a == b ? 1.0 : TF_EXPD((double)a - (double)b - (tf_shift_low(a) - tf_shift_low(b)));
  }
  TF_FN void merge(State &s, int l, const State &o, int m) {
    const T shift = s.shift[l] < o.shift[m] ? o.shift[m] : s.shift[l];
    const double a = scale(s.shift[l], shift), b = scale(o.shift[m], shift);
    for (int e = 0; e <= E; ++e) s.total[e].merge(l, o.total[e], m, a, b);
    s.shift[l] = shift;
    if (TOP && s.top[l] < o.top[m]) s.top[l] = o.top[m];
  }
  /* Field 0: log of the plain sum; 1: the plain sum; 2: log of the sum of weight e; 3: the mean of
   * weight e; 4: the sum of weight e. */
  TF_FN V value(const State &s, int field, int e, int r) {
    V v = tf_c(0.0);
    TF_LANES(l) {
      int n = r * W + l;
      double plain = s.total[0].value(n);
      double sum = field < 2 ? plain : s.total[1 + e].value(n), out = sum;
      const double shift = (double)s.shift[n], low = tf_shift_low(s.shift[n]);
      if (field == 0 || field == 2) out = shift + (TF_LOGD(sum) - low);
      if (TOP && (field == 1 || field == 4)) {
        const T top = s.top[n] > (T)TF_MAX ? (T)TF_MAX : s.top[n];
        out = sum * TF_EXPD(shift - (double)top - low);
      }
      if (field == 3) out = sum / plain;
      tf_set_lane(v, l, (T)out);
    }
    return v;
  }
};

/* Adds a block of columns to the totals, where the accumulator has any. */
template <class A>
TF_FN auto tf_flush(A &a, typename A::State &s, int) -> decltype(a.flush(s)) {
  return a.flush(s);
}
template <class A> TF_FN void tf_flush(A &, typename A::State &, long) {}

/* Lane l, whose columns were l, l + W, ... and were counted 0, 1, ..., numbers them as they are. */
template <class A>
TF_FN auto tf_spread(typename A::State &s, int l, int) -> decltype(A::spread(s, l)) {
  return A::spread(s, l);
}
template <class A> TF_FN void tf_spread(typename A::State &, int, long) {}

} // namespace
#include "statistics.h"
#endif
