/* Accumulators of CUDA threads that decide once a block of columns what those of reduce.h decide
 * once a column. States, merges and results are those of reduce.h.
 *
 * A block is COLS columns that are written out: `add` keeps their values in registers, at their
 * slot, and `flush` looks at all of them if any matters. A column alone has slot -1: it is folded
 * at once.
 */
#ifndef TF_CUDA_REDUCE_CUH
#define TF_CUDA_REDUCE_CUH
#include "kernel.h"

namespace {

/* Whether the accumulators of a stage take a block as it was done; those without an opinion do. It
 * is the same for a whole warp: one whose threads part ways would do both. */
template <class S>
TF_FN auto tf_sound(const typename S::Acc &a, int) -> decltype(S::sound(a)) {
  return tf_all_of_warp(S::sound(a));
}
template <class S> TF_FN bool tf_sound(const typename S::Acc &, long) { return true; }

/* Functions of a block in float that have a short way for most arguments: these are watched, and a
 * block with others is done again. The instruction for powers of two gives 0 where the power is
 * subnormal; what it saves to take it as it is are three instructions of ten. Roots and reciprocals
 * save a branch each, which keeps pairs from being done side by side, and are as exact as ever.
 *
 * Of arguments of powers those below -126 have the largest bits, but for NaN, of all floats; the
 * other arguments count from the first that has the short way on. */
struct tf_watch {
  uint32_t most_power, most_root, most_inverse;

  TF_METHOD void clear() { most_power = most_root = most_inverse = 0; }
  TF_METHOD bool sound() const {
    return TF_DOUBLE || (most_power <= 0xc2fc0000u && most_root <= TF_ROOTS_NORMAL &&
                         most_inverse <= TF_INVERSES_NORMAL);
  }
  TF_METHOD void see(uint32_t &most, uint32_t bits) const { most = most < bits ? bits : most; }
};
struct tf_watched {
  tf_watch &watch;
  int slot;

  TF_METHOD V operator()(V x) const {
    if (TF_DOUBLE || slot < 0) return tf_exp2(x);
    watch.see(watch.most_power, tf_float_bits(x));
    return tf_exp2_normal(x);
  }
};
struct tf_watched_root {
  tf_watch &watch;
  int slot;

  TF_METHOD V operator()(V x) const {
    if (TF_DOUBLE || slot < 0) return tf_sqrt(x);
    watch.see(watch.most_root, tf_float_bits(x) - TF_ROOTS_FROM);
    return tf_sqrt_normal(x);
  }
};
struct tf_watched_rsqrt {
  tf_watch &watch;
  int slot;

  TF_METHOD V operator()(V x) const {
    if (TF_DOUBLE || slot < 0) return tf_rsqrt(x);
    watch.see(watch.most_root, tf_float_bits(x) - TF_ROOTS_FROM);
    return tf_rsqrt_normal(x);
  }
};
struct tf_watched_inverse {
  tf_watch &watch;
  int slot;

  TF_METHOD V operator()(V x) const {
    if (TF_DOUBLE || slot < 0) return tf_inv(x);
    watch.see(watch.most_inverse, 2 * tf_float_bits(x) - TF_INVERSES_FROM);
    return tf_inv_normal(x);
  }
};

/* Functions of relaxed formulas, in float: one instruction, within 2 units for powers and 1 for the
 * others, which takes subnormal numbers for 0. */
struct tf_flushed {
  TF_METHOD V operator()(V x) const { return TF_DOUBLE ? tf_exp2(x) : tf_exp2_normal(x); }
};
struct tf_flushed_root {
  TF_METHOD V operator()(V x) const { return TF_DOUBLE ? tf_sqrt(x) : tf_sqrt_flushed(x); }
};
struct tf_flushed_inverse {
  TF_METHOD V operator()(V x) const { return TF_DOUBLE ? tf_inv(x) : tf_inv_flushed(x); }
};

/* Leaves what a thread holds of an accumulator in its home, where that is another type. */
template <class A, class Home>
TF_FN auto tf_leave(Home &to, const typename A::State &s) -> decltype(A::leave(to, s)) {
  A::leave(to, s);
}
template <class A> TF_FN void tf_leave(typename A::State &to, const typename A::State &s) {
  to = s;
}

/* The values of a block. */
template <int E, int R, int B> struct tf_kept {
  V value[E][R][B];
  int count;

  TF_METHOD void keep(int e, int r, V x, int slot) {
    value[e][r][slot] = x;
    count = slot + 1;
  }
};

/* Smallest (S = 1) or largest (S = -1) value and its row: a block is looked at if its best value is
 * not behind the best so far. */
template <int E, int R, int S, int B> struct tf_arg_block : tf_arg_extremum<E, R, S, false> {
  typedef tf_arg_extremum<E, R, S, false> Plain;
  typedef typename Plain::State State;
  tf_kept<E, R, B> kept;
  V least[E][R];
  int last; /* column of the block's last value, within the tile */

  TF_METHOD void open(const State &s) {
    Plain::open(s);
    for (int e = 0; e < E; ++e) TF_ROWS(r) least[e][r] = this->best[e][r];
  }
  TF_METHOD void add(int e, int r, V x, int slot, int jj) {
    if (slot < 0) {
      Plain::add(e, r, x, jj);
      least[e][r] = this->best[e][r];
      kept.count = 0;
      last = jj;
      return;
    }
    least[e][r] = slot == 0 ? x : S > 0 ? tf_min(least[e][r], x) : tf_max(least[e][r], x);
    kept.keep(e, r, x, slot);
    last = jj;
  }
  TF_METHOD bool is_behind(int e, int r, V x) const {
    return S > 0 ? x >= this->best[e][r] : x <= this->best[e][r];
  }
  TF_METHOD void flush(State &) {
    bool any = false;
    for (int e = 0; e < E; ++e) TF_ROWS(r) any = any || !is_behind(e, r, least[e][r]);
    if (__builtin_expect(any, 0)) look();
  }
  TF_METHOD void look() {
    for (int e = 0; e < E; ++e)
      TF_ROWS(r) {
        TF_UNROLL
        for (int q = 0; q < B; ++q)
          if (q < kept.count) Plain::add(e, r, kept.value[e][r][q], last + 1 - kept.count + q);
      }
  }
};

/* The K smallest (S = 1) or largest (S = -1): a block is looked at if a value of it is not behind a
 * row's K-th. `limit` is that K-th value, or NaN while the row has fewer: nothing is behind it.
 *
 * An insertion is long, and a warp whose threads insert one after the other takes as long as all of
 * them. So what a block has waits until a thread of the warp might have no more room, or the tile
 * ends; then all threads insert side by side. Limits are older than they could be until then. */
template <int E, int K, int R, int S, int B> struct tf_k_block : tf_kmin<E, K, R, S> {
  typedef tf_kmin<E, K, R, S> Plain;
  /* Rows whose values are looked at together, and how many values those are. */
  static constexpr int AT_ONCE = 32 / B < R ? 32 / B : R, VALUES = AT_ONCE * B;
  static constexpr int LIST_BITS = 16;
  static_assert(B <= 32 && E * R <= 1 << LIST_BITS, "lists have a number each");
  struct State : Plain::State {
    V waiting[2 * VALUES];
    uint32_t from[2 * VALUES]; /* the list, and above it the column from `base` on */
    i64 base;
    int count;
  };
  tf_kept<E, R, B> kept;
  V limit[E][R];
  bool any;
  i64 newest; /* row of the block's last value */

  TF_FN void init(State &s) {
    Plain::init(s);
    s.count = 0;
  }
  template <class Home> TF_FN void leave(Home &to, const State &s) { to = s; }
  TF_METHOD void open(const State &s) {
    Plain::open(s);
    any = false;
    for (int e = 0; e < E; ++e) TF_ROWS(r) bound(e, r);
  }
  TF_METHOD void bound(int e, int r) {
    limit[e][r] = this->open_[e][r] != 0 ? (V)TF_NAN : this->last[e][r];
  }
  TF_METHOD void add(State &s, int e, int r, V x, int slot, i64 j) {
    if (slot < 0) {
      Plain::add(s, e, r, x, j);
      bound(e, r);
      any = false; /* as it is: no value of a block is left */
      return;
    }
    any = any || !is_behind(e, r, x);
    kept.keep(e, r, x, slot);
    newest = j;
  }
  TF_METHOD bool is_behind(int e, int r, V x) const {
    return S > 0 ? x >= limit[e][r] : x <= limit[e][r];
  }
  TF_METHOD void flush(State &s) {
    if (__builtin_expect(tf_any_of_warp(any), 0)) look(s);
    any = false;
  }
  TF_METHOD void close(State &s, i64) {
    if (tf_any_of_warp(s.count > 0)) insert_waiting(s);
  }
  TF_METHOD void look(State &s) {
    const i64 first = newest + 1 - B;
    for (int e = 0; e < E; ++e) {
      TF_UNROLL
      for (int r0 = 0; r0 < R; r0 += AT_ONCE) {
        if (tf_any_of_warp(s.count > VALUES)) insert_waiting(s);
        if (s.count == 0) s.base = first;
        const uint32_t column = (uint32_t)(first - s.base);
        int count = s.count;
        TF_UNROLL
        for (int n = 0; n < VALUES; ++n) {
          const int r = r0 + n / B, q = n % B;
          if (r >= R || is_behind(e, r, kept.value[e][r][q])) continue;
          s.waiting[count] = kept.value[e][r][q];
          s.from[count++] = (column + q) << LIST_BITS | (uint32_t)(e * R + r);
        }
        s.count = count;
      }
    }
  }
  /* Values that came alone meanwhile may be of later columns: ties go by the column. */
  TF_METHOD void insert_waiting(State &s) {
    TF_NO_UNROLL
    for (int n = 0; n < s.count; ++n) {
      const int list = (int)(s.from[n] & ((1u << LIST_BITS) - 1)), e = list / R, r = list % R;
      const V x = s.waiting[n];
      const i64 j = s.base + (i64)(s.from[n] >> LIST_BITS), last = s.at[e][K - 1][r];
      if (last < 0 || tf_before<S>(x, j, s.best[e][K - 1][r], last)) Plain::insert(s, e, r, x, j);
    }
    s.count = 0;
    open(s);
  }
};

template <int E, int R, int S>
TF_FN bool tf_is_behind(const tf_extremum<E, R, S> &a, int e, int r, V x) {
  return S > 0 ? x >= a.best[e][r] : x <= a.best[e][r];
}
template <class A> TF_FN bool tf_is_behind(const A &a, int e, int r, V x) {
  return a.is_behind(e, r, x);
}

/* What bounds of values are compared with, in one row of a search of one component: whether one is
 * not behind what the accumulator A has so far. */
template <class A> struct tf_look {
  const A *of;
  bool any;
  TF_METHOD void open(const A &a, int) { of = &a, any = false; }
  TF_METHOD void add(int, int, V x) { any = any || !tf_is_behind(*of, 0, 0, x); }
  TF_METHOD void add(int e, int r, V x, int, int) { add(e, r, x); }
  TF_METHOD void add(const typename A::State &, int e, int r, V x, int, i64) { add(e, r, x); }
  TF_METHOD bool passes(int) const { return any; }
};

/* Shifted sums whose shift is compared with the terms once a block. A block is summed with the
 * shift as it is, and refused if it comes to more than 2 a column; then, and where the shift is not
 * set yet, it is done column by column, which raises the shift. */
template <int E, int R, bool TOP, int B> struct tf_exp_block : tf_shifted_exp<E, R, TOP, false> {
  typedef tf_shifted_exp<E, R, TOP, false> Plain;
  typedef typename Plain::State State;
  V scale[R]; /* the shift as the terms need it, or NaN: refuse */

  TF_METHOD void open(const State &s) {
    Plain::open(s);
    TF_ROWS(r) set_scale(r);
  }
  TF_METHOD void set_scale(int r) {
    const V m = this->shift_[r];
#if TF_DOUBLE
    scale[r] = m;
#else
    scale[r] = tf_is_huge(m) ? (V)TF_NAN : m * TF_LOG2E;
#endif
  }
  template <int G> TF_METHOD void terms(State &s, int g, V (&q)[G], int slot) {
    if (slot < 0) {
      Plain::terms(s, g, q);
      TF_GROUP(r) set_scale(g + r);
      return;
    }
    if (TOP) TF_GROUP(r) this->top_[g + r] = q[r] > this->top_[g + r] ? q[r] : this->top_[g + r];
#if TF_DOUBLE
    TF_GROUP(r) q[r] = tf_exp(q[r] - scale[g + r]);
#else
    TF_GROUP(r) q[r] = tf_exp2_normal(fmaf(q[r], TF_LOG2E, -scale[g + r]));
#endif
    TF_GROUP(r) this->parts.add(0, g + r, q[r], slot);
  }
  /* Scores -ln2 q, where q is a sum of squares that begins at `from`: in float it then ends as the
   * exponent of the term, negated. */
  TF_METHOD V from(int r, int slot) const { return TF_DOUBLE || slot < 0 ? T(0) : scale[r]; }
  template <int G> TF_METHOD void measured(State &s, int g, V (&q)[G], int slot) {
    if (TF_DOUBLE || slot < 0) {
      TF_GROUP(r) q[r] = tf_c(-0x1.62e42fefa39efp-1) * q[r];
      return terms(s, g, q, slot);
    }
    TF_GROUP(r) q[r] = tf_exp2_normal(-q[r]);
    TF_GROUP(r) this->parts.add(0, g + r, q[r], slot);
  }
  TF_METHOD bool sound() const {
    bool all = true;
    TF_ROWS(r) all = all && this->parts.block(0, r) <= T(2 * B);
    return all;
  }
};

} // namespace
#endif
