/* What NVRTC has no headers for: takes the place of <stdint.h> when kernels are compiled with it.
 * The compilers of the other targets have the builtins. */
#ifndef TF_NVRTC_H
#define TF_NVRTC_H
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#define __builtin_inf() __longlong_as_double(0x7ff0000000000000LL)
#define __builtin_nan(text) __longlong_as_double(0x7ff8000000000000LL)
#define __builtin_memcpy memcpy
#endif
