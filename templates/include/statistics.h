/* The states of means, variances, products and counts. Included by reduce.h, which says what a
 * state is made of.
 */
#ifndef TF_STATISTICS_H
#define TF_STATISTICS_H

namespace {

/* Sums and means: the sum and the number of rows that take part. Field 0: the sum; 1: the mean. */
template <int E, int R, bool EACH> struct tf_mean {
  struct State {
    typename tf_sum<E, R, EACH>::State sum;
    i64 rows[R * W];
  };
  tf_sum<E, R, EACH> sum;
  VI rows[R]; /* in this tile */

  TF_FN void init(State &s) {
    tf_sum<E, R, EACH>::init(s.sum);
    for (int l = 0; l < R * W; ++l) s.rows[l] = 0;
  }
  TF_METHOD void open(const State &s) {
    sum.open(s.sum);
    TF_ROWS(r) rows[r] = tf_splat_i(0);
  }
  TF_METHOD void add(int e, int r, V x) { sum.add(e, r, x); }
  TF_METHOD void count(int r) { rows[r] = rows[r] + tf_splat_i(1); }
  TF_METHOD void count_if(int r, V mask) {
    rows[r] = rows[r] + tf_sel_i(mask != tf_c(0.0), tf_splat_i(1), tf_splat_i(0));
  }
  TF_METHOD void flush(State &s) { sum.flush(s.sum); }
  TF_METHOD void close(State &s, i64 tile) {
    sum.close(s.sum, tile);
    TF_ROWS(r) TF_LANES(l) s.rows[r * W + l] += tf_lane_i(rows[r], l);
  }
  TF_FN void merge(State &s, int l, const State &o, int m) {
    tf_sum<E, R, EACH>::merge(s.sum, l, o.sum, m);
    s.rows[l] += o.rows[m];
  }
  TF_FN V value(const State &s, int field, int e, int r) {
    if (field == 0) return tf_sum<E, R, EACH>::value(s.sum, 0, e, r);
    V v = tf_c(0.0);
    TF_LANES(l) {
      const int n = r * W + l;
      tf_set_lane(v, l, (T)(tf_sum<E, R, EACH>::total(s.sum, e, n) / (double)s.rows[n]));
    }
    return v;
  }
};

/* Variances: number of rows, mean and sum of squared distances from the mean. Parts are merged by
 * Chan, Golub and LeVeque (1983). Within a part, sums of distances from a number near the values
 * (the mean so far, or the first value) and of their squares, all in double: what the values have
 * in common does not cancel. A part ends when it has as many rows as there were before it, so that
 * no more rows are measured from the first value than it deserves; or with its tile. */
template <int E, int R> struct tf_var {
  struct State {
    double mean[E][R * W], squares[E][R * W];
    i64 rows[R * W];
  };
  double near_[E][R * W], sum[E][R * W], square[E][R * W];
  VI rows[R];   /* in this part */
  VI before[R]; /* rows before it, or many */

  TF_FN void init(State &s) {
    for (int e = 0; e < E; ++e)
      for (int l = 0; l < R * W; ++l) s.mean[e][l] = s.squares[e][l] = 0.0;
    for (int l = 0; l < R * W; ++l) s.rows[l] = 0;
  }
  TF_METHOD void begin(const State &s, int r) {
    for (int e = 0; e < E; ++e)
      TF_LANES(l) {
        /* What is not finite would make every distance NaN. */
        const double mean = s.mean[e][r * W + l];
        near_[e][r * W + l] = mean - mean == 0.0 ? mean : 0.0;
        sum[e][r * W + l] = square[e][r * W + l] = 0.0;
      }
    VI past = tf_splat_i(0);
    TF_LANES(l) {
      const i64 n = s.rows[r * W + l];
      tf_set_lane_i(past, l, n < 1 << 20 ? n : 1 << 20);
    }
    rows[r] = tf_splat_i(0);
    before[r] = past;
  }
  TF_METHOD void end(State &s, int r) {
    TF_LANES(l) {
      const int n = r * W + l;
      const i64 count = tf_lane_i(rows[r], l);
      for (int e = 0; e < E; ++e) {
        const double mean = sum[e][n] / (double)count;
        double rest = square[e][n] - sum[e][n] * mean;
        if (rest < 0.0) rest = 0.0;
        join(s, e, n, near_[e][n] + mean, rest, count);
      }
      s.rows[n] += count;
    }
  }
  TF_METHOD void open(const State &s) { TF_ROWS(r) begin(s, r); }
  TF_METHOD void close(State &s, i64) { TF_ROWS(r) end(s, r); }

  /* Distances are measured from the first value that a row has. */
  TF_METHOD void start(int e, int r, V x, M first) {
    TF_LANES(l) {
      const double v = (double)tf_lane(x, l);
      if (tf_lane_m(first, l) && v - v == 0.0) near_[e][r * W + l] = v;
    }
  }
  TF_METHOD M is_first(int r) { return (rows[r] | before[r]) == tf_splat_i(0); }
  TF_METHOD void add(int e, int r, V x) {
    const M first = is_first(r);
    if (__builtin_expect(tf_any(first), 0)) start(e, r, x, first);
    TF_LANES(l) {
      const double d = (double)tf_lane(x, l) - near_[e][r * W + l];
      sum[e][r * W + l] += d;
      square[e][r * W + l] += d * d;
    }
  }
  TF_METHOD void add_if(int e, int r, V x, V mask) {
    const M taken = mask != tf_c(0.0), first = tf_and_m(taken, is_first(r));
    if (__builtin_expect(tf_any(first), 0)) start(e, r, x, first);
    TF_LANES(l) {
      const double v = (double)tf_lane(x, l) - near_[e][r * W + l];
      const double d = tf_lane_m(taken, l) ? v : 0.0;
      sum[e][r * W + l] += d;
      square[e][r * W + l] += d * d;
    }
  }
  /* One column is folded, all its components. */
  TF_METHOD void count(State &s, int r, VI by) {
    rows[r] = rows[r] + by;
    const M due = tf_and_m(rows[r] >= before[r], rows[r] != tf_splat_i(0));
    if (__builtin_expect(tf_any(due), 0)) end(s, r), begin(s, r);
  }
  TF_METHOD void count(State &s, int r) { count(s, r, tf_splat_i(1)); }
  TF_METHOD void count_if(State &s, int r, V mask) {
    count(s, r, tf_sel_i(mask != tf_c(0.0), tf_splat_i(1), tf_splat_i(0)));
  }
  TF_FN void join(State &s, int e, int n, double mean, double squares, i64 count) {
    if (count == 0) return;
    if (s.rows[n] == 0) {
      s.mean[e][n] = mean, s.squares[e][n] = squares;
      return;
    }
    const double before = (double)s.rows[n], share = (double)count / (double)(s.rows[n] + count);
    const double gap = mean - s.mean[e][n];
    s.mean[e][n] += gap * share;
    s.squares[e][n] += squares + gap * gap * share * before;
  }
  TF_FN void merge(State &s, int l, const State &o, int m) {
    for (int e = 0; e < E; ++e) join(s, e, l, o.mean[e][m], o.squares[e][m], o.rows[m]);
    s.rows[l] += o.rows[m];
  }
  TF_FN V value(const State &s, int, int e, int r) {
    V v = tf_c(0.0);
    TF_LANES(l) {
      const int n = r * W + l;
      tf_set_lane(v, l, (T)(s.squares[e][n] / (double)s.rows[n]));
    }
    return v;
  }
};

/* x = significand 2^exponent with a significand in [1, 2); zeros, infinities and NaN are their own
 * significands. */
TF_FN V tf_significand(V x, VI &exponent) {
  const int digits = TF_DOUBLE ? 52 : 23, bias = TF_DOUBLE ? 1023 : 127;
  const M small = tf_abs(x) < tf_c(TF_DOUBLE ? 0x1p-1022 : 0x1p-126);
  const V scaled = tf_sel(small, x * tf_c(0x1p64), x);
  VI bits;
  __builtin_memcpy(&bits, &scaled, sizeof bits);
  const VI field = (bits >> digits) & tf_splat_i(2 * bias + 1);
  const M same = tf_or_m(field == tf_splat_i(0), field == tf_splat_i(2 * bias + 1));
  bits = (bits & tf_splat_i(~((i64)(2 * bias + 1) << digits))) | tf_splat_i((i64)bias << digits);
  V significand;
  __builtin_memcpy(&significand, &bits, sizeof bits);
  const VI shift = tf_sel_i(small, tf_splat_i(bias + 64), tf_splat_i(bias));
  exponent = tf_sel_i(same, tf_splat_i(0), field - shift);
  return tf_sel(same, scaled, significand);
}
/* The same for one double that is not subnormal; adds to the exponent. */
TF_FN double tf_normal(double x, i64 &exponent) {
  i64 bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  const i64 field = (bits >> 52) & 2047;
  if (field == 0 || field == 2047) return x;
  exponent += field - 1023;
  bits = (bits & ~((i64)2047 << 52)) | (i64)1023 << 52;
  __builtin_memcpy(&x, &bits, sizeof bits);
  return x;
}

/* Products, component by component: significands in double, exponents apart. Nothing overflows or
 * underflows before the end, so a zero among finite factors gives zero in any order, and parts can
 * be merged. */
template <int E, int R, int TILE> struct tf_prod {
  static_assert(TILE <= 1000, "the product of a tile's significands, each below 2, is finite");
  struct State {
    double significand[E][R * W];
    i64 exponent[E][R * W];
  };
  double part[E][R * W];
  VI exponent[E][R];

  TF_FN void init(State &s) {
    for (int e = 0; e < E; ++e)
      for (int l = 0; l < R * W; ++l) s.significand[e][l] = 1.0, s.exponent[e][l] = 0;
  }
  TF_METHOD void open(const State &) {
    for (int e = 0; e < E; ++e) {
      for (int l = 0; l < R * W; ++l) part[e][l] = 1.0;
      TF_ROWS(r) exponent[e][r] = tf_splat_i(0);
    }
  }
  TF_METHOD void add(int e, int r, V x) {
    VI by;
    tf_widen_scale(&part[e][r * W], tf_significand(x, by));
    exponent[e][r] = exponent[e][r] + by;
  }
  TF_METHOD void close(State &s, i64) {
    for (int e = 0; e < E; ++e)
      TF_ROWS(r) TF_LANES(l) {
        const int n = r * W + l;
        join(s, e, n, part[e][n], tf_lane_i(exponent[e][r], l));
      }
  }
  TF_FN void join(State &s, int e, int n, double factor, i64 by) {
    s.exponent[e][n] += by;
    const double normal = tf_normal(factor, s.exponent[e][n]);
    s.significand[e][n] = tf_normal(s.significand[e][n] * normal, s.exponent[e][n]);
  }
  TF_FN void merge(State &s, int l, const State &o, int m) {
    for (int e = 0; e < E; ++e) join(s, e, l, o.significand[e][m], o.exponent[e][m]);
  }
  TF_FN V value(const State &s, int, int e, int r) {
    V v = tf_c(0.0);
    TF_LANES(l) {
      const i64 n = s.exponent[e][r * W + l];
      const int by = n > 5000 ? 5000 : n < -5000 ? -5000 : (int)n;
      tf_set_lane(v, l, (T)TF_LDEXP(s.significand[e][r * W + l], by));
    }
    return v;
  }
};

/* How many values are true (not 0) and how many are not. Field 0 (an index): how many; 1: whether
 * any is; 2: whether all are. */
template <int E, int R> struct tf_count {
  struct State {
    i64 hits[E][R * W], misses[E][R * W];
  };
  VI hits[E][R], misses[E][R]; /* in this tile */

  TF_FN void init(State &s) {
    for (int e = 0; e < E; ++e)
      for (int l = 0; l < R * W; ++l) s.hits[e][l] = s.misses[e][l] = 0;
  }
  TF_METHOD void open(const State &) {
    for (int e = 0; e < E; ++e) TF_ROWS(r) hits[e][r] = misses[e][r] = tf_splat_i(0);
  }
  TF_METHOD void add(int e, int r, V x) {
    const M hit = x != tf_c(0.0);
    hits[e][r] = hits[e][r] + tf_sel_i(hit, tf_splat_i(1), tf_splat_i(0));
    misses[e][r] = misses[e][r] + tf_sel_i(hit, tf_splat_i(0), tf_splat_i(1));
  }
  TF_METHOD void add_if(int e, int r, V x, V mask) {
    const M hit = x != tf_c(0.0), taken = mask != tf_c(0.0);
    const VI one = tf_sel_i(taken, tf_splat_i(1), tf_splat_i(0));
    hits[e][r] = hits[e][r] + tf_sel_i(hit, one, tf_splat_i(0));
    misses[e][r] = misses[e][r] + tf_sel_i(hit, tf_splat_i(0), one);
  }
  TF_METHOD void close(State &s, i64) {
    for (int e = 0; e < E; ++e)
      TF_ROWS(r) TF_LANES(l) {
        s.hits[e][r * W + l] += tf_lane_i(hits[e][r], l);
        s.misses[e][r * W + l] += tf_lane_i(misses[e][r], l);
      }
  }
  TF_FN void merge(State &s, int l, const State &o, int m) {
    for (int e = 0; e < E; ++e)
      s.hits[e][l] += o.hits[e][m], s.misses[e][l] += o.misses[e][m];
  }
  TF_FN V value(const State &s, int field, int e, int r) {
    V v = tf_c(0.0);
    TF_LANES(l) {
      const bool any = s.hits[e][r * W + l] != 0, all = s.misses[e][r * W + l] == 0;
      tf_set_lane(v, l, (field == 1 ? any : all) ? (T)1 : (T)0);
    }
    return v;
  }
  TF_FN i64 index(const State &s, int e, int lane) { return s.hits[e][lane]; }
};

} // namespace
#endif
