/* Checks the conversions of half.h against double arithmetic: every half to a float, and floats to
 * halves: every half itself, every midpoint of neighbours and the floats beside it, NaN of all
 * kinds, and floats of all sizes.
 *
 *   g++ -O2 -std=c++17 -march=x86-64-v3 -DTF_VB=32 -DTF_REAL_T=float -DTF_STORE_F16=1
 *       -I templates/include tests/cpp/half.cpp
 *
 * -DTF_STORE_BF16=1 checks bfloat16; -DTF_HALF_PORTABLE=1 the integer code where the CPU has
 * instructions; with `-include tests/emulation/tf_emulate.h` it checks the CUDA code.
 * Exit status: 0 if all is right; else 1, with a line for each of the first that are not.
 */
#ifdef TF_EMULATED
#include "tf_cuda.cuh"
#else
#include "tf_cpu.h"
#endif
#include "tf_abi.h"
#include "half.h"

#include <cmath>
#include <cstdio>
#include <cstring>

namespace {

#ifdef TF_STORE_BF16
const int DIGITS = 7, LEAST = -126, MOST = 127;
#else
const int DIGITS = 10, LEAST = -14, MOST = 15;
#endif
const int BIAS = MOST;

int failures = 0;

void fail(const char *what, unsigned from, unsigned got, unsigned wanted) {
  if (++failures <= 20) std::printf("%s of %#x is %#x, not %#x\n", what, from, got, wanted);
}

unsigned bits_of(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
float float_of(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

bool is_nan(unsigned half) {
  return (half >> DIGITS & (2 * BIAS + 1)) == 2 * BIAS + 1 && (half & ((1 << DIGITS) - 1)) != 0;
}

/* The value of a half that is not NaN, from its fields. */
double value(unsigned half) {
  const int field = half >> DIGITS & (2 * BIAS + 1), rest = half & ((1 << DIGITS) - 1);
  double size = field == 0 ? std::ldexp(rest, LEAST - DIGITS)
                           : std::ldexp((1 << DIGITS) + rest, field - BIAS - DIGITS);
  if (field == 2 * BIAS + 1) size = HUGE_VAL;
  return half & 0x8000 ? -size : size;
}

/* The half nearest to a number that is not NaN, by rounding in double and packing the fields. */
unsigned nearest(double x) {
  const unsigned sign = std::signbit(x) ? 0x8000 : 0;
  const double size = std::fabs(x);
  if (size == 0.0) return sign;
  const unsigned infinite = (2 * BIAS + 1) << DIGITS;
  if (std::isinf(size)) return sign | infinite;
  const int exponent = std::ilogb(size) < LEAST ? LEAST : std::ilogb(size);
  const double units = std::nearbyint(std::ldexp(size, DIGITS - exponent));
  const double rounded = std::ldexp(units, exponent - DIGITS);
  if (rounded >= std::ldexp(1.0, MOST + 1)) return sign | infinite;
  /* Units of a subnormal are its bits; a carry into the exponent is one too. */
  return sign | (((unsigned)(exponent - LEAST) << DIGITS) + (unsigned)units);
}

float widened(unsigned half) { return tf_lane(tf_from_half(tf_splat_i(half)), W - 1); }
unsigned narrowed(float x) { return (tf_half)tf_lane_i(tf_to_half(tf_splat(x)), W - 1); }

void check_narrowing(float x) {
  const unsigned got = narrowed(x), bits = bits_of(x);
  if (x != x) {
    if (!is_nan(got) || (got ^ bits >> 16) & 0x8000) fail("the half", bits, got, 0x7e00);
  } else if (got != nearest(x)) {
    fail("the half", bits, got, nearest(x));
  }
}

void check_half(unsigned half) {
  const float wide = widened(half);
  const unsigned back = narrowed(wide);
  if (is_nan(half)) {
    if (wide == wide || !is_nan(back) || (half ^ back) & 0x8000) {
      fail("the float of NaN", half, bits_of(wide), 0x7fc00000);
    }
    return;
  }
  const float wanted = (float)value(half);
  if (bits_of(wide) != bits_of(wanted)) fail("the float", half, bits_of(wide), bits_of(wanted));
  if (back != half) fail("the way back", half, back, half);
}

}  // namespace

int main() {
  for (unsigned half = 0; half < 0x10000; ++half) {
    check_half(half);
    if (is_nan(half) || is_nan(half + 1)) continue;
    /* The midpoint beyond the greatest half is where infinity begins. */
    const double low = value(half);
    const bool last = std::isinf(value(half + 1)) && !std::isinf(low);
    const double high = last ? std::copysign(std::ldexp(1.0, MOST + 1), low) : value(half + 1);
    if (std::isinf(low)) continue;
    const float middle = (float)((low + high) / 2);
    check_narrowing(middle);
    check_narrowing(float_of(bits_of(middle) + 1));
    check_narrowing(float_of(bits_of(middle) - 1));
  }
  for (unsigned n = 0; n < 430000; ++n) check_narrowing(float_of(n * 9973u));
  const unsigned special[] = {0x7f800000, 0xff800000, 0x7f800001, 0xff800001, 0x7fffffff,
                              0xffffffff, 0x7f7fffff, 0x00000001, 0x80000001, 0x7fc00000};
  for (unsigned bits : special) check_narrowing(float_of(bits));
  if (failures > 20) std::printf("and %d more\n", failures - 20);
  return failures != 0;
}
