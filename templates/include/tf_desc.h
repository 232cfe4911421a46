/* Macros of descriptor files. Each is compiled once a dtype with
 *   TF_DOUBLE   0 or 1: whether it computes in double
 *   TF_STORE_F16, TF_STORE_BF16   one of them if arrays hold 16-bit reals
 *   TF_HAS_V2, TF_HAS_V3, TF_HAS_V4, TF_HAS_NEON   defined for the levels that were compiled
 *   TF_HAS_IMAGE   the size of the CUDA image in bytes, when one is linked
 * so one text serves every build.
 */
#ifndef TF_DESC_H
#define TF_DESC_H
#include "tf_abi.h"

#define TF_PASTE_(a, b) a##b
#define TF_PASTE(a, b) TF_PASTE_(a, b)
#if TF_DOUBLE
#define TF_DTYPE TF_F64
#define TF_DTYPE_ _f64
#define TF_DTYPE_TEXT "_f64_"
#define TF_PICK(f32, f64) (f64)
#else
#define TF_PICK(f32, f64) (f32)
#if defined(TF_STORE_F16)
#define TF_DTYPE TF_F16
#define TF_DTYPE_ _f16
#define TF_DTYPE_TEXT "_f16_"
#elif defined(TF_STORE_BF16)
#define TF_DTYPE TF_BF16
#define TF_DTYPE_ _bf16
#define TF_DTYPE_TEXT "_bf16_"
#else
#define TF_DTYPE TF_F32
#define TF_DTYPE_ _f32
#define TF_DTYPE_TEXT "_f32_"
#endif
#endif

#define TF_KERNEL(symbol) TF_PASTE(symbol, TF_DTYPE_)
#define TF_ENTRY(symbol, stage) symbol TF_DTYPE_TEXT stage
#define TF_LEVEL_OF(symbol, level) TF_PASTE(TF_KERNEL(symbol), level)

/* What other objects hold of a kernel: its image, and each stage for each level. */
#define TF_DECLARE_IMAGE(symbol) extern const uint8_t TF_LEVEL_OF(symbol, _image)[];
#define TF_DECLARE_STAGE(symbol, stage)                                                            \
  extern const tf_cpu_stage TF_LEVEL_OF(symbol, _v2_##stage);                                      \
  extern const tf_cpu_stage TF_LEVEL_OF(symbol, _v3_##stage);                                      \
  extern const tf_cpu_stage TF_LEVEL_OF(symbol, _v4_##stage);                                      \
  extern const tf_cpu_stage TF_LEVEL_OF(symbol, _neon_##stage);

#ifdef TF_HAS_V2
#define TF_V2_(symbol, stage) &TF_LEVEL_OF(symbol, _v2_##stage)
#else
#define TF_V2_(symbol, stage) 0
#endif
#ifdef TF_HAS_V3
#define TF_V3_(symbol, stage) &TF_LEVEL_OF(symbol, _v3_##stage)
#else
#define TF_V3_(symbol, stage) 0
#endif
#ifdef TF_HAS_V4
#define TF_V4_(symbol, stage) &TF_LEVEL_OF(symbol, _v4_##stage)
#else
#define TF_V4_(symbol, stage) 0
#endif
#ifdef TF_HAS_NEON
#define TF_NEON_(symbol, stage) &TF_LEVEL_OF(symbol, _neon_##stage)
#else
#define TF_NEON_(symbol, stage) 0
#endif
#ifdef TF_HAS_IMAGE
#define TF_IMAGE(symbol) TF_LEVEL_OF(symbol, _image)
#define TF_IMAGE_BYTES TF_HAS_IMAGE
#else
#define TF_IMAGE(symbol) 0
#define TF_IMAGE_BYTES 0
#endif
#define TF_CPU_LEVELS(symbol, stage)                                                               \
  {TF_V2_(symbol, stage), TF_V3_(symbol, stage), TF_V4_(symbol, stage), TF_NEON_(symbol, stage)}
#endif
