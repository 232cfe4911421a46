/* Searches on a CPU: the smallest or largest value of every row and where it is.
 *
 * A better value is rare, about log N times a row. So the pairs of a block of columns are compared
 * with the best values alone, an instruction each, and only where one is not behind them are they
 * computed again and taken up one by one, by tf_arg_extremum, which knows about ties and NaN.
 *
 * Included by cpu_rows.h; cpu_filter.h compares bounds of values the same way.
 */
#ifndef TF_CPU_SEARCH_H
#define TF_CPU_SEARCH_H

namespace {

/* A bit for each lane that was behind so far; without AVX-512, a mask. */
#if TF_LEVEL == 4
typedef TF_K(unsigned short, unsigned char) tf_behind;
#else
typedef M tf_behind;
#endif

/* Of the lanes in `behind`, those where bar is at or before x. */
template <int S> TF_FN tf_behind tf_at_or_before(tf_behind behind, V bar, V x) {
#if TF_LEVEL == 4
  asm("vcmp" TF_PS " %3, %2, %1, %0%{%0%}"
      : "+Yk"(behind) : "v"(bar), "vm"(x), "i"(S > 0 ? 18 : 29));
  return behind;
#else
  return behind & (S > 0 ? bar <= x : bar >= x);
#endif
}
/* Whether a lane is not behind. */
TF_FN bool tf_any_ahead(tf_behind behind) {
#if TF_LEVEL == 4
  return behind != (tf_behind)-1;
#else
  return tf_mask_bits(behind) != (1u << W) - 1;
#endif
}

/* What the accumulator A of a search compares a block with. */
template <class A> struct tf_look;
template <int E, int R, int S, bool MASKED> struct tf_look<tf_arg_extremum<E, R, S, MASKED>> {
  typedef tf_arg_extremum<E, R, S, MASKED> A;
  /* The best value, which nothing but NaN passes if it is NaN; while a row has no candidate, what
   * everything passes. */
  V bar[E][R];
  tf_behind behind[E][R];

  TF_METHOD void open(const A &a, int r) {
    for (int e = 0; e < E; ++e) {
      const V best = a.best[e][r];
      bar[e][r] = tf_sel(best == best, best, tf_c(S * -TF_INF));
      if (MASKED) bar[e][r] = tf_sel(a.none[e][r] != tf_splat_i(0), tf_c(TF_NAN), bar[e][r]);
      behind[e][r] = ~tf_behind{};
    }
  }
  TF_METHOD void add(int e, int r, V x, int) {
    behind[e][r] = tf_at_or_before<S>(behind[e][r], bar[e][r], x);
  }
  /* What the mask leaves out is behind. */
  TF_METHOD void add_if(int e, int r, V x, V mask, int) {
    const V left_out = tf_sel(mask != tf_c(0.0), tf_c(S), tf_c(0.0));
    behind[e][r] = tf_at_or_before<S>(behind[e][r], left_out, tf_c(0.0)) |
                   tf_at_or_before<S>(behind[e][r], bar[e][r], x);
  }
  /* Whether a lane passes. */
  TF_METHOD bool passes(int r) const {
    tf_behind all = behind[0][r];
    for (int e = 1; e < E; ++e) all &= behind[e][r];
    return tf_any_ahead(all);
  }
  /* A bit for each lane that passes. */
  TF_METHOD unsigned passing(int r) const {
    unsigned bits = 0;
    for (int e = 0; e < E; ++e) {
#if TF_LEVEL == 4
      bits |= (tf_behind)~behind[e][r];
#else
      bits |= tf_mask_bits(~behind[e][r]);
#endif
    }
    return bits;
  }
};

/* The same where nothing but the value is kept, and for lists. Who asks whether any lane passes
 * does not ask which ones, and the compiler drops what is not asked for. */
template <int E, int R, int S> struct tf_bars {
  V bar[E][R];
  tf_behind behind;
  unsigned bits[R];

  TF_METHOD void open(int e, int r, V x) {
    if (e + r == 0) behind = ~tf_behind{};
    bar[e][r] = x, bits[r] = 0;
  }
  TF_METHOD void add(int e, int r, V x) {
    behind = tf_at_or_before<S>(behind, bar[e][r], x);
    bits[r] |= tf_passing<S>(x, bar[e][r]);
  }
  /* Of all vectors at once, with the first. */
  TF_METHOD bool passes(int r) const { return r == 0 && tf_any_ahead(behind); }
  TF_METHOD unsigned passing(int r) const { return bits[r]; }
};
template <int E, int R, int S> struct tf_look<tf_extremum<E, R, S>> : tf_bars<E, R, S> {
  TF_METHOD void open(const tf_extremum<E, R, S> &a, int r) {
    for (int e = 0; e < E; ++e) tf_bars<E, R, S>::open(e, r, a.best[e][r]);
  }
};
/* A list that is full of NaN, which nothing is before, lets all pass. */
template <int E, int K, int R, int S, bool MASKED>
struct tf_look<tf_k_lanes<E, K, R, S, MASKED>> : tf_bars<E, R, S> {
  typedef tf_bars<E, R, S> Bars;
  typedef typename tf_k_lanes<E, K, R, S, MASKED>::State State;
  TF_METHOD void open(const State &s, int r) {
    for (int e = 0; e < E; ++e) Bars::open(e, r, tf_load(&s.bar[e][r * W]));
  }
  TF_METHOD void add(const State &, int e, int r, V x, i64, int) { Bars::add(e, r, x); }
};

} // namespace
#endif
