/* Searches on a CPU: the smallest or largest value of every row and where it is.
 *
 * A better value is rare, about log N times a row. So the pairs of a block of columns are compared
 * with the best values alone, an instruction each, and only where one is not behind them are they
 * computed again and taken up one by one, by tf_arg_extremum, which knows about ties and NaN.
 *
 * Included by cpu_rows.h.
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
  /* Of the lanes in `behind`, those where bar is at or before x. */
  TF_FN tf_behind at_or_before(tf_behind behind, V bar, V x) {
#if TF_LEVEL == 4
    asm("vcmp" TF_PS " %3, %2, %1, %0%{%0%}"
        : "+Yk"(behind) : "v"(bar), "v"(x), "i"(S > 0 ? 18 : 29));
    return behind;
#else
    return behind & (S > 0 ? bar <= x : bar >= x);
#endif
  }
  TF_METHOD void add(int e, int r, V x, int) {
    behind[e][r] = at_or_before(behind[e][r], bar[e][r], x);
  }
  /* What the mask leaves out is behind. */
  TF_METHOD void add_if(int e, int r, V x, V mask, int) {
    const V left_out = tf_sel(mask != tf_c(0.0), tf_c(S), tf_c(0.0));
    behind[e][r] = at_or_before(behind[e][r], left_out, tf_c(0.0)) |
                   at_or_before(behind[e][r], bar[e][r], x);
  }
  /* Whether a lane passes. */
  TF_METHOD bool passes(int r) const {
    tf_behind all = behind[0][r];
    for (int e = 1; e < E; ++e) all &= behind[e][r];
#if TF_LEVEL == 4
    return all != (tf_behind)-1;
#else
    return tf_mask_bits(all) != (1u << W) - 1;
#endif
  }
};

} // namespace
#endif
