/* Runs CPU kernels through their descriptors, by the rules of tf_abi.h. What goes in: problems,
 * each followed by a level, whether few rows have no code of their own, the rows of the first block
 * and the places where columns are cut. What comes out: results, and the kernels' names on stdout.
 * Packed rows, packed columns, launch values and states are allocations of exactly the bytes that
 * the descriptor says. */
#include <dlfcn.h>

#include <algorithm>

namespace {

struct Stage {
  const tf_cpu_stage &code;
  const tf_array *values;
  std::size_t word;
  Memory params;
  std::vector<int64_t> cuts; /* of the columns; a part of its own between two of them */
  std::vector<Memory> packed;

  Stage(const tf_cpu_stage &stage, const tf_kernel &kernel, const tf_array *table,
        const std::vector<int64_t> &column_cuts)
      : code(stage),
        values(table),
        word(kernel.dtype == TF_F64 ? 8 : 4),
        params(64, code.param_words * word),
        cuts(column_cuts) {
    code.params(values, params.start);
    /* Where columns lie in groups, a part begins with one. */
    for (std::size_t n = 0; code.lanes == 1 && n + 1 < cuts.size(); ++n)
      cuts[n] = cuts[n] / TF_GROUP * TF_GROUP;
    for (std::size_t part = 0; part + 1 < cuts.size(); ++part) {
      const int64_t first = cuts[part], last = cuts[part + 1];
      const int64_t room = (last - first + TF_GROUP - 1) / TF_GROUP * TF_GROUP;
      packed.emplace_back(64, static_cast<std::size_t>(room) * code.col_words * word);
      code.cols(values, params.start, first, last, packed.back().start);
    }
  }

  /* The columns of a part, folded in two calls. */
  void fold(std::size_t part, const Memory &rows, int64_t i0, const Memory &state) {
    const int64_t first = cuts[part], last = cuts[part + 1];
    const int64_t group = code.lanes == 1 ? TF_GROUP : 1;
    const int64_t middle = first + (last - first) / 3 / group * group;
    const std::size_t skipped = static_cast<std::size_t>(middle - first) * code.col_words * word;
    const void *const later = packed[part].at<char>(skipped);
    code.init(state.start);
    code.block(params.start, rows.start, packed[part].start, i0, first, middle, state.start);
    code.block(params.start, rows.start, later, i0, middle, last, state.start);
  }

  void block(int64_t i0, int64_t i1) {
    const Memory rows(64, std::size_t{code.row_words} * code.lanes * word);
    code.rows(values, params.start, i0, i1, rows.start);
    const Memory state(64, code.state_bytes);
    if (packed.empty()) {
      code.finish(values, params.start, rows.start, state.start, i0, i1);
      return;
    }
    fold(0, rows, i0, state);
    for (std::size_t part = 1; part < packed.size(); ++part) {
      const Memory other(64, code.state_bytes);
      fold(part, rows, i0, other);
      code.merge(state.start, other.start);
    }
    code.finish(values, params.start, rows.start, state.start, i0, i1);
  }
};

void run(Reader &in, Problem &problem) {
  const auto *kernel = static_cast<const tf_kernel *>(dlsym(RTLD_DEFAULT, problem.symbol.c_str()));
  const uint64_t level = in.number();
  const bool in_blocks = in.number() != 0;
  const auto first = static_cast<int64_t>(in.number());
  std::vector<double> shares(in.number());
  in.bytes(shares.data(), shares.size() * sizeof(double));
  for (uint32_t n = 0; n < kernel->n_stages; ++n) {
    const tf_stage &stage = kernel->stages[n];
    const int64_t rows = problem.sizes[stage.row_axis];
    std::vector<int64_t> cuts;
    if (stage.col_axis != TF_AXIS_NONE) {
      const auto cols = static_cast<double>(problem.sizes[stage.col_axis]);
      for (double share : shares) cuts.push_back(static_cast<int64_t>(share * cols));
    }
    /* Blocks of rows, and the code for few. */
    const tf_cpu_stage *code = stage.cpu[level];
    for (; code; code = in_blocks ? nullptr : code->few) {
      Stage packed(*code, *kernel, problem.values.data(), cuts);
      const int64_t lanes = code->lanes;
      for (int64_t i0 = 0, step = std::min(first, lanes); i0 < rows; i0 += step, step = lanes)
        packed.block(i0, std::min(rows, i0 + step));
    }
  }
}

}  // namespace

int main(int count, char **arguments) { return run_all(count, arguments, run); }
