/* Exact integers in the code of every stage, in lanes of reals.
 *
 * An integer is cut into limbs of 23 bits, lowest first; the top limb has the sign. Each limb is
 * exact in float, and so are the sums and differences of two: limbs travel through packed rows and
 * columns as any real does, and one text serves float, double, CPU and CUDA. Row numbers, at most
 * 45 bits, take two limbs; 64-bit inputs take three. The compiler bounds every sum, so that a top
 * limb never leaves 24 bits.
 *
 * Included by kernel.h, after a prelude. It never reads arrays.
 */
#ifndef TF_INT_H
#define TF_INT_H

/* 2^23, 2^-23 */
#define TF_LIMB 8388608.0
#define TF_LIMB_INV 0x1p-23

/* Laid out differently in each dtype and instruction level, whose objects are linked together. */
namespace {

struct tf_int2 {
  V limb[2];
  TF_METHOD tf_int2() : limb{tf_c(0.0), tf_c(0.0)} {}
  TF_METHOD tf_int2(V low, V top) : limb{low, top} {}
};

struct tf_int3 {
  V limb[3];
  TF_METHOD tf_int3() : limb{tf_c(0.0), tf_c(0.0), tf_c(0.0)} {}
  TF_METHOD tf_int3(V low, V mid, V top) : limb{low, mid, top} {}
  TF_METHOD tf_int3(const tf_int2 &a) {
    const V top = tf_floor(a.limb[1] * tf_c(TF_LIMB_INV));
    limb[0] = a.limb[0];
    limb[1] = a.limb[1] - top * tf_c(TF_LIMB);
    limb[2] = top;
  }
};

} // namespace

/* ---- one lane from and to int64 ---- */

TF_FN T tf_low_limb(i64 a) { return (T)(a & 0x7fffff); }

TF_FN void tf_set_lane(tf_int2 &v, int l, i64 a) {
  tf_set_lane(v.limb[0], l, tf_low_limb(a));
  tf_set_lane(v.limb[1], l, (T)(a >> 23));
}
TF_FN void tf_set_lane(tf_int3 &v, int l, i64 a) {
  tf_set_lane(v.limb[0], l, tf_low_limb(a));
  tf_set_lane(v.limb[1], l, tf_low_limb(a >> 23));
  tf_set_lane(v.limb[2], l, (T)(a >> 46));
}

/* Modulo 2^64, as int64 wraps. */
TF_FN i64 tf_lane(const tf_int3 &v, int l) {
  const uint64_t low = (uint64_t)(i64)tf_lane(v.limb[0], l);
  const uint64_t mid = (uint64_t)(i64)tf_lane(v.limb[1], l) << 23;
  return (i64)(((uint64_t)(i64)tf_lane(v.limb[2], l) << 46) + mid + low);
}

/* The same integer in every lane. */
template <class I> TF_FN I tf_int_c(i64 a) {
  I v;
  TF_LANES(l) tf_set_lane(v, l, a);
  return v;
}

/* ---- sums ---- */

/* Brings a limb back to [0, 2^23); what it held above is the result. */
TF_FN V tf_carry(V &limb) {
  const V above = tf_floor(limb * tf_c(TF_LIMB_INV));
  limb = limb - above * tf_c(TF_LIMB);
  return above;
}
TF_FN tf_int2 tf_carried(V low, V top) {
  const V above = tf_carry(low);
  return tf_int2(low, top + above);
}
TF_FN tf_int3 tf_carried(V low, V mid, V top) {
  mid = mid + tf_carry(low);
  const V above = tf_carry(mid);
  return tf_int3(low, mid, top + above);
}

TF_FN tf_int2 operator+(const tf_int2 &a, const tf_int2 &b) {
  return tf_carried(a.limb[0] + b.limb[0], a.limb[1] + b.limb[1]);
}
TF_FN tf_int3 operator+(const tf_int3 &a, const tf_int3 &b) {
  return tf_carried(a.limb[0] + b.limb[0], a.limb[1] + b.limb[1], a.limb[2] + b.limb[2]);
}
TF_FN tf_int2 operator-(const tf_int2 &a, const tf_int2 &b) {
  return tf_carried(a.limb[0] - b.limb[0], a.limb[1] - b.limb[1]);
}
TF_FN tf_int3 operator-(const tf_int3 &a, const tf_int3 &b) {
  return tf_carried(a.limb[0] - b.limb[0], a.limb[1] - b.limb[1], a.limb[2] - b.limb[2]);
}
TF_FN tf_int2 operator-(const tf_int2 &a) { return tf_int2() - a; }
TF_FN tf_int3 operator-(const tf_int3 &a) { return tf_int3() - a; }

/* ---- comparisons ---- */

/* A real with the sign of a - b, 0 where they are equal: the differences of limbs are exact, the
 * product is, and a sum of two is rounded to 0 only where it is 0. Three limbs are not summed: the
 * lower two can round up to one unit of the top one. */
TF_FN V tf_gap(const tf_int2 &a, const tf_int2 &b) {
  return (a.limb[1] - b.limb[1]) * tf_c(TF_LIMB) + (a.limb[0] - b.limb[0]);
}
TF_FN V tf_gap(const tf_int3 &a, const tf_int3 &b) {
  const V top = a.limb[2] - b.limb[2];
  const V rest = (a.limb[1] - b.limb[1]) * tf_c(TF_LIMB) + (a.limb[0] - b.limb[0]);
  return tf_where(top, top, rest);
}

#define TF_COMPARE(name)                                                                           \
  TF_FN V name(const tf_int2 &a, const tf_int2 &b) { return name(tf_gap(a, b), tf_c(0.0)); }       \
  TF_FN V name(const tf_int3 &a, const tf_int3 &b) { return name(tf_gap(a, b), tf_c(0.0)); }
TF_COMPARE(tf_eq)
TF_COMPARE(tf_ne)
TF_COMPARE(tf_lt)
TF_COMPARE(tf_le)
#undef TF_COMPARE

/* ---- the nearest real, rounded once ---- */

TF_FN V tf_to_real(const tf_int2 &a) { return a.limb[1] * tf_c(TF_LIMB) + a.limb[0]; }

/* The double nearest to top 2^46 + low. For float it is rounded to odd instead, so that the
 * rounding to float that follows is the only one (Boldo and Melquiond, Emulation of FMA and
 * correctly rounded sums: proved algorithms using rounding to odd, 2008). */
TF_FN double tf_join(double top, double low) {
  const double high = top * 0x1p46;
  double sum = high + low;
#if !TF_DOUBLE
  const double rest = low - (sum - high); /* exact: high is 0, or at least as large as low */
  i64 bits;
  __builtin_memcpy(&bits, &sum, 8);
  if (rest != 0.0 && (bits & 1) == 0) bits += (rest > 0.0) == (sum > 0.0) ? 1 : -1;
  __builtin_memcpy(&sum, &bits, 8);
#endif
  return sum;
}

TF_FN V tf_to_real(const tf_int3 &a) {
  V v = tf_c(0.0);
  TF_LANES(l) {
    const double low = (double)tf_lane(a.limb[1], l) * TF_LIMB + (double)tf_lane(a.limb[0], l);
    tf_set_lane(v, l, (T)tf_join((double)tf_lane(a.limb[2], l), low));
  }
  return v;
}
#endif
