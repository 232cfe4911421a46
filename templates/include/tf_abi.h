/* The descriptor of a compiled formula: what a generated library exports and the runtime reads.
 *
 * One `tf_kernel` a formula and dtype. It is constant data; every function is reentrant, keeps no
 * state between calls, allocates nothing and never unwinds. Only <stdint.h> is included, so that
 * bindgen needs no compiler headers.
 *
 * Values. A kernel works on a table of 2-d arrays, one entry a value: first the inputs, then the
 * temporaries (results that one stage leaves for a later one), then the outputs. Every function
 * takes the whole table. The caller has checked rows, columns and strides before any call.
 */
#ifndef TF_ABI_H
#define TF_ABI_H
#include <stdint.h>

#define TF_ABI_VERSION 4u
#define TF_MAGIC 0x444c4f46u /* "FOLD" */

/* Axis of the rows of a value, or of a stage. */
enum { TF_AXIS_I = 0, TF_AXIS_J = 1, TF_AXIS_NONE = 2 };

/* Components: reals of the kernel's dtype (of a temporary: what it computes with), or int64 labels
 * and row numbers (-1: none), or complex numbers, which are two reals each: the real part, then the
 * imaginary one. */
enum { TF_REAL = 0, TF_INDEX = 1, TF_COMPLEX = 2 };

/* Scalars of inputs and outputs. Kernels of 16-bit reals (IEEE 754 binary16, bfloat16) compute in
 * float: their packed rows, packed columns and temporaries hold floats. */
enum { TF_F32 = 0, TF_F64 = 1, TF_F16 = 2, TF_BF16 = 3 };

/* Instruction levels of CPU code, in increasing order; a kernel may lack some. */
enum { TF_LEVEL_V2 = 0, TF_LEVEL_V3 = 1, TF_LEVEL_V4 = 2, TF_LEVEL_NEON = 3, TF_LEVELS = 4 };

/* Element (r, c) is at data + r * row_stride + c * col_stride, strides counted in elements.
 * Outputs and temporaries are dense: row_stride is the dim, col_stride is 1. Elements and columns
 * of a complex value are reals, and its col_stride is 1. A launch on a GPU may have several items
 * of a batch: an array is that of the first one, and those of the others follow item_bytes apart.
 * Functions of the CPU see one item. */
typedef struct tf_array {
  void *data;
  int64_t rows;
  int64_t row_stride;
  int64_t col_stride;
  int64_t item_bytes;
} tf_array;

typedef struct tf_value {
  const char *name;
  uint32_t axis; /* TF_AXIS_*; TF_AXIS_NONE is one row */
  uint32_t dim;  /* columns; two for each complex number */
  uint32_t kind; /* TF_REAL, TF_INDEX or TF_COMPLEX */
} tf_value;

/* The CPU code of one stage at one instruction level. Rows are worked on in blocks of `lanes`;
 * packed rows, packed columns and states are private layouts, aligned to 64 bytes. Packed columns
 * take the room of a multiple of TF_GROUP columns. A fold may begin at any of them, except where
 * `lanes` is 1: there packed columns lie in groups, and a fold begins at a multiple of TF_GROUP. */
enum { TF_GROUP = 64 };
typedef struct tf_cpu_stage {
  uint32_t lanes;       /* rows a block */
  uint32_t row_words;   /* scalars a row in a packed block (block: row_words * lanes) */
  uint32_t col_words;   /* scalars a packed column */
  uint32_t param_words; /* scalars a launch */
  uint64_t state_bytes; /* accumulator of a block, a multiple of 64 */
  /* Computes the values known once a launch. */
  void (*params)(const tf_array *values, void *params);
  /* Packs rows [i0, i1), i1 - i0 <= lanes; missing rows repeat row i1 - 1. */
  void (*rows)(const tf_array *values, const void *params, int64_t i0, int64_t i1, void *rows);
  /* Packs columns [j0, j1) to `cols`, whose first entry is column j0. */
  void (*cols)(const tf_array *values, const void *params, int64_t j0, int64_t j1, void *cols);
  /* Neutral element. */
  void (*init)(void *state);
  /* Folds columns [j0, j1) into the state; `cols` points at packed column j0. i0 is the first row
   * of the block. */
  void (*block)(const void *params, const void *rows, const void *cols, int64_t i0, int64_t j0,
                int64_t j1, void *state);
  /* state = state followed by other, where other folded later columns. */
  void (*merge)(void *state, const void *other);
  /* Writes rows [i0, i1) of the stage's results; the state is of no use then. */
  void (*finish)(const tf_array *values, const void *params, const void *rows, void *state,
                 int64_t i0, int64_t i1);
  /* The same for at most `few_rows` rows, one at a time, or null: it has one lane and takes the
   * same `params`. */
  const struct tf_cpu_stage *few;
  uint32_t few_rows;
} tf_cpu_stage;

/* Some rows of a sparse launch, and what belongs to them: where they are folded, ranges of columns;
 * where they are finished, partial states. */
typedef struct tf_tile {
  int64_t row, rows_end;  /* rows [row, rows_end), at most rows_per_block */
  int64_t first, count;   /* ranges or states from number `first` on */
  int64_t col, cols_end;  /* what ranges have outside of [col, cols_end) is not folded */
} tf_tile;

/* A list of them, one a block. */
typedef struct tf_tiles {
  const tf_tile *at;     /* null: the launch is dense */
  const int64_t *ranges; /* start and end of each, in ascending order */
  int64_t states;        /* partial states that an item leaves: tiles of tiles_entry */
} tf_tiles;

/* How to launch one stage on a GPU. All entries take (tf_array values[n_values] by value,
 * int64 n_rows, int64 n_cols, int64 cols_per_split, int32 splits, void *workspace, tf_tiles tiles
 * by value). A dense launch is rows_entry with splits, or tiles_entry without a list where there
 * are several items; a sparse one is tiles_entry with splits = 1 and a partial state a tile.
 * finish_entry follows, for as many items. */
typedef struct tf_cuda_stage {
  const char *rows_entry;   /* grid (row blocks, splits); null when nothing is reduced */
  const char *tiles_entry;  /* grid (tiles, 1, items), or (row blocks, splits, items); as above */
  const char *finish_entry; /* grid (row blocks or tiles, 1, items): merges, writes the results */
  uint32_t threads;         /* a block */
  uint32_t rows_per_block;
  uint32_t tile_cols;    /* cols_per_split is a multiple of it */
  uint32_t shared_bytes; /* dynamic shared memory of rows_entry and tiles_entry */
  uint64_t state_bytes;  /* workspace: state_bytes * threads * row blocks * splits * items, or
                          * * tiles * items */
} tf_cuda_stage;

typedef struct tf_stage {
  uint32_t row_axis;  /* TF_AXIS_*; TF_AXIS_NONE is one row */
  uint32_t col_axis;  /* the reduced axis, or TF_AXIS_NONE when nothing is reduced */
  uint32_t least_cols; /* fewer columns are an error: the result would not exist */
  uint32_t uses_pos;  /* bit 0: pos of the row axis is read as a real, bit 1: of the column axis */
  uint32_t n_writes;
  const uint32_t *writes; /* values that `finish` writes */
  double pair_ops;        /* operations a pair, for reports */
  const tf_cpu_stage *cpu[TF_LEVELS]; /* null: no code for that level */
  tf_cuda_stage cuda;
} tf_stage;

typedef struct tf_kernel {
  uint32_t magic;       /* TF_MAGIC */
  uint32_t abi_version; /* TF_ABI_VERSION */
  uint32_t size;        /* sizeof(tf_kernel) */
  uint32_t dtype;       /* TF_F32, TF_F64, TF_F16 or TF_BF16 */
  uint8_t key[32];      /* hash of `text` */
  const char *name;     /* the user's name of the formula */
  const char *text;     /* canonical text */
  uint32_t n_inputs, n_temps, n_outputs, n_stages;
  const tf_value *values; /* inputs, temporaries, outputs */
  const tf_stage *stages; /* in order */
  const uint8_t *image;   /* CUDA fatbin, or null */
  uint64_t image_bytes;
} tf_kernel;

#endif
