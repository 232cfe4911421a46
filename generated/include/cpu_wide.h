/* Sums of many outputs on a CPU: `sum[j] w f`, with w a number a pair and f as long as the output.
 * Totals do not fit into registers, so the numbers of a block of columns are kept, and at the
 * block's end each output is read and written once for all of them.
 *
 * A stage gives the numbers to `keep`, and at the end of a block calls `numbers`, then `join` with
 * what a block comes to for each output. The bounds of the errors are those of tf_parts.
 *
 * Included by cpu_rows.h.
 */
#ifndef TF_CPU_WIDE_H
#define TF_CPU_WIDE_H

namespace {

/* tf_sum, by blocks of B columns. */
template <int E, int R, int B> struct tf_wide_sum : tf_sum<E, R, false> {
  typedef typename tf_sum<E, R, false>::State State;
  V number[B][R];

  TF_METHOD void keep(int slot, int r, V x) { number[slot][r] = x; }
  TF_METHOD void numbers(State &, int) {}
  TF_METHOD void join(State &s, int e, int r, V x) { this->parts.join_block(s.total, e, r, x); }
  TF_METHOD void flush(State &) {}
};

/* tf_shifted_exp, by blocks of B columns. What is kept are scores; the shift follows the largest of
 * a block, and rises as it does where columns come one by one. */
template <int E, int R, bool TOP, int B> struct tf_wide_exp : tf_shifted_exp<E, R, TOP, false> {
  typedef typename tf_shifted_exp<E, R, TOP, false>::State State;
  V number[B][R];

  TF_METHOD void keep(int slot, int r, V x) { number[slot][r] = x; }
  /* Scores of n columns become terms. */
  TF_METHOD void numbers(State &s, int n) {
    V most[R], over[R];
    /* A score that is not a number raises nothing: its term is none either. */
    TF_ROWS(r) most[r] = tf_c(-TF_MAX);
    for (int c = 0; c < n; ++c) TF_ROWS(r) most[r] = tf_at_least(number[c][r], most[r]);
    if (TOP) TF_ROWS(r) this->top_[r] = tf_at_least(most[r], this->top_[r]);
    TF_ROWS(r) over[r] = this->over(most[r], r);
    M higher = this->above(over[0]);
    TF_ROWS(r) higher = tf_or_m(higher, this->above(over[r]));
    const bool rare = tf_any(higher);
    if (__builtin_expect(rare, 0)) this->template raise<R>(s, 0, most, over);
    V sum[R];
    TF_ROWS(r) sum[r] = tf_c(0.0);
    for (int c = 0; c < n; ++c)
      TF_ROWS(r) {
        const V q = number[c][r];
        number[c][r] = tf_shift_term(rare ? tf_over(q, this->shift_[r]) : this->over(q, r));
        sum[r] = sum[r] + number[c][r];
      }
    TF_ROWS(r) this->parts.join_block(s.total, 0, r, sum[r]);
  }
  TF_METHOD void join(State &s, int e, int r, V x) { this->parts.join_block(s.total, 1 + e, r, x); }
  TF_METHOD void flush(State &) {}
};

} // namespace
#endif
