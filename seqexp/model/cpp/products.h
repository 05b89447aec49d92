// Matrix products by tiles of rows and columns whose sums fit the registers.
#pragma once

#include "vectors.h"

// Add to a tile of M rows the products of rows of `a`, a number each `a_step`, with rows of `b`.
template <int M>
INLINE void multiply(const Real *a, int64_t a_row, int64_t a_step, const Real *b, int64_t b_step,
                     int64_t depth, Vector (&tile)[M][WIDE]) {
  for (int64_t k = 0; k < depth; k++) {
    Vector columns[WIDE];
    for (int j = 0; j < WIDE; j++) columns[j] = load(b + k * b_step + j * LANES);
    for (int i = 0; i < M; i++)
      for (int j = 0; j < WIDE; j++) tile[i][j] += splat(a[k * a_step + i * a_row]) * columns[j];
  }
}

// Call work(M, first) for tiles of M <= ROWS rows.
template <int M, class Work>
INLINE void last_tile(int64_t rows, int64_t first, Work &&work) {
  if constexpr (M > 0) {
    if (rows == M)
      work(std::integral_constant<int, M>{}, first);
    else
      last_tile<M - 1>(rows, first, work);
  }
}

template <class Work>
INLINE void for_tiles(int64_t first, int64_t last, Work &&work) {
  for (; first + ROWS <= last; first += ROWS) work(std::integral_constant<int, ROWS>{}, first);
  last_tile<ROWS - 1>(last - first, first, work);
}
