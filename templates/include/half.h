/* 16-bit reals of the caller's arrays: to and from T, which is float.
 *
 * Defined before inclusion: TF_STORE_F16 (IEEE 754 binary16) or TF_STORE_BF16 (the upper half of a
 * float), or neither; TF_STORES_HALVES says whether there is one. Bit patterns are the lower 16
 * bits of the lanes of a VI. To a half: to nearest, ties to even; what is too large becomes
 * infinite, subnormals are right, NaN stays NaN. From a half: exact.
 *
 * Integer arithmetic on lanes, the same on every target, unless the CPU has instructions for
 * binary16; bfloat16's flush subnormals, so they are not used.
 */
#ifndef TF_HALF_H
#define TF_HALF_H

#if defined(TF_STORE_F16) || defined(TF_STORE_BF16)
#define TF_STORES_HALVES 1
static_assert(sizeof(T) == 4, "16-bit reals are converted to float");

typedef uint16_t tf_half;

TF_FN VI tf_bits(V x) {
  VI bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}
TF_FN V tf_of_bits(VI bits) {
  V x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

#if defined(TF_STORE_BF16)

TF_FN V tf_from_half(VI h) { return tf_of_bits(h << 16); }
TF_FN VI tf_to_half(V x) {
  const VI bits = tf_bits(x), sign = (bits >> 16) & tf_splat_i(0x8000);
  const VI size = bits & tf_splat_i(0x7fffffff), odd = (size >> 16) & tf_splat_i(1);
  const VI rounded = (size + tf_splat_i(0x7fff) + odd) >> 16;
  const VI quiet = (size >> 16) | tf_splat_i(0x40);
  return sign | tf_sel_i(x != x, quiet, rounded);
}

#elif defined(TF_LEVEL) && TF_LEVEL >= 3 && !defined(TF_HALF_PORTABLE)

/* vcvtph2ps and vcvtps2ph: x86-64-v3 has F16C, x86-64-v4 its AVX-512 form. */
typedef tf_half tf_halves __attribute__((vector_size(2 * W)));

TF_FN V tf_from_half(VI h) {
  const tf_halves packed = __builtin_convertvector(h, tf_halves);
  V x;
  asm("vcvtph2ps %1, %0" : "=" TF_REG(x) : TF_REG(packed));
  return x;
}
TF_FN VI tf_to_half(V x) {
  tf_halves packed;
  asm("vcvtps2ph $0, %1, %0" : "=" TF_REG(packed) : TF_REG(x));
  return __builtin_convertvector(packed, VI);
}

#else

/* After F. Giesen, "Half to float done quick" and "Float to half done quick". */
TF_FN V tf_from_half(VI h) {
  const VI size = (h & tf_splat_i(0x7fff)) << 13, sign = (h & tf_splat_i(0x8000)) << 16;
  /* The exponent is 112 too low; the product also makes subnormals normal. */
  const VI finite = tf_bits(tf_of_bits(size) * tf_c(0x1p112));
  const M special = size >= tf_splat_i(0x7c00 << 13);
  /* A signalling NaN becomes quiet, as the instructions of CPUs make it. */
  const VI quiet = tf_sel_i(size > tf_splat_i(0x7c00 << 13), tf_splat_i(1 << 22), tf_splat_i(0));
  return tf_of_bits(sign | tf_sel_i(special, size | tf_splat_i(0x7f800000) | quiet, finite));
}
TF_FN VI tf_to_half(V x) {
  const VI bits = tf_bits(x), sign = (bits >> 16) & tf_splat_i(0x8000);
  const VI size = bits & tf_splat_i(0x7fffffff);
  /* The sum with 1/2 has its last bit where a subnormal half has it. */
  const VI small = tf_bits(tf_of_bits(size) + tf_c(0.5)) - tf_splat_i(0x3f000000);
  const VI odd = (size >> 13) & tf_splat_i(1);
  const VI normal = (size - tf_splat_i(112 << 23) + tf_splat_i(0xfff) + odd) >> 13;
  const VI nan = ((size >> 13) & tf_splat_i(0x3ff)) | tf_splat_i(0x7e00);
  const VI large = tf_sel_i(x != x, nan, tf_splat_i(0x7c00));
  const VI finite = tf_sel_i(size < tf_splat_i(0x38800000), small, normal);
  return sign | tf_sel_i(size >= tf_splat_i(0x47800000), large, finite);
}

#endif
#else
#define TF_STORES_HALVES 0
#endif
#endif
