/* Words of tensor cores: floats as two halves, and products of matrices of halves.
 *
 * What goes in: floats, registers of halves. What comes out: products with about the digits of
 * floats, from three products of halves: with x = h + l, both halves, x y is h_x h_y + h_x l_y +
 * l_x h_y but for a small rest. All threads of a warp have to come to tf_mma together. Needs sm_80.
 * tests/emulation/warp.h has the same words for a CPU.
 *
 * Layouts are those of PTX ("Matrix Fragments for mma.m16n8k16"): with g = lane / 4 and
 * t = lane % 4, two halves a register,
 *   A, 16 x 16:  a[0] (g, 2t)  a[1] (g + 8, 2t)  a[2] (g, 2t + 8)  a[3] (g + 8, 2t + 8)
 *   B, 16 x 8:   b[0] (2t, g)  b[1] (2t + 8, g)
 *   C, 16 x 8:   c[0], c[1] (g, 2t), (g, 2t + 1)   c[2], c[3] (g + 8, 2t), (g + 8, 2t + 1)
 * where the upper half of a register of A is one column further, of B one row further.
 */
#ifndef TF_MMA_CUH
#define TF_MMA_CUH
#include "tf_cuda.cuh"

#ifdef TF_EMULATED

TF_FN uint32_t tf_pack_halves(float lower, float upper) {
  return tf_emulate::pack_halves(lower, upper);
}
TF_FN float tf_lower_half(uint32_t packed) { return tf_emulate::lower_half(packed); }
TF_FN float tf_upper_half(uint32_t packed) { return tf_emulate::lower_half(packed >> 16); }
TF_FN void tf_mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                  const float (&c)[4], const char *file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  tf_emulate::mma(d, a, b, c, {file, line});
}

#else

/* Two floats to halves, each to nearest, ties to even; 65520 and more becomes infinite. */
TF_FN uint32_t tf_pack_halves(float lower, float upper) {
  uint32_t packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(upper), "f"(lower));
  return packed;
}
TF_FN float tf_lower_half(uint32_t packed) {
  float value;
  asm("{.reg .b16 l, u; mov.b32 {l, u}, %1; cvt.f32.f16 %0, l;}" : "=f"(value) : "r"(packed));
  return value;
}
TF_FN float tf_upper_half(uint32_t packed) {
  float value;
  asm("{.reg .b16 l, u; mov.b32 {l, u}, %1; cvt.f32.f16 %0, u;}" : "=f"(value) : "r"(packed));
  return value;
}

/* d = a b + c. */
TF_FN void tf_mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                  const float (&c)[4]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]),
        "f"(c[2]), "f"(c[3]));
}

#endif

/* Two floats as halves: x is high + low / LOW but for
 *   2^-23 |x|     where 2^-2 / LOW <= |x| < 65520,
 *   2^-25 / LOW   where |x| is less.
 * A high half has 11 bits, so that the rest is at most 2^-11 |x|; the low one has 11 bits of that,
 * and a sign, or ends at 2^-24. Where x has no half, high or low is infinite or NaN, and so is each
 * sum of tf_mma_split that has it: an infinite high half comes with the opposite low one. */
struct tf_halves {
  uint32_t high, low;
};
template <int LOW> TF_FN tf_halves tf_split(float first, float second) {
  tf_halves h;
  h.high = tf_pack_halves(first, second);
  /* Both differences are exact. */
  h.low = tf_pack_halves((first - tf_lower_half(h.high)) * LOW,
                         (second - tf_upper_half(h.high)) * LOW);
  return h;
}

/* total += a b, for 16 x 16 and 16 x 8 floats that are split by LOW.
 *
 * In units of 2^-24 times the sum of the 16 products' magnitudes, this is off by at most
 *   36    of the last tf_mma. Documented is nothing; measured was that a sum of 8 or 16 products
 *         and of what is added to is cut off at bit 24 of its largest term or further right
 *         (Fasi, Higham, Mikaitis, Pranesh, PeerJ CS 7:e330). So each of two halves of the 16 loses
 *         at most 8 times 2 units, and 2 with the bits of its result; one sum of 16 loses 34,
 *   1     of the first two, whose terms are 2^-10 of those of the last,
 *   8     of the halves: 2 by each factor's representation, 4 for l_x l_y, which is left out,
 * and by half a unit of `total` when it is added. */
template <int LOW>
TF_FN void tf_mma_split(float (&total)[4], const uint32_t (&high_a)[4], const uint32_t (&low_a)[4],
                        const uint32_t (&high_b)[2], const uint32_t (&low_b)[2]) {
  const float zero[4] = {0, 0, 0, 0};
  float sum[4];
  tf_mma(sum, low_a, high_b, zero);
  tf_mma(sum, high_a, low_b, sum);
  if (LOW != 1) {
    TF_UNROLL
    for (int n = 0; n < 4; ++n) sum[n] *= 1.0f / LOW;
  }
  tf_mma(sum, high_a, high_b, sum);
  TF_UNROLL
  for (int n = 0; n < 4; ++n) total[n] += sum[n];
}
#endif
