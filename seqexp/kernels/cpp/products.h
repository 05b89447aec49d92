// Products of matrices by tiles of rows and columns whose sums fit the registers.
//
// With BF16, what comes of two factors is summed as floats: by AMX where the processor has it
// (NO_AMX=1 does without), else by AVX-512.
#pragma once

#include "factors.h"

#if BF16 && defined(__AMX_BF16__) && !defined(NO_AMX)
#define AMX 1
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if AMX

constexpr int SIDE = 16;  // rows and columns of a tile

// A thread's tiles, while it has this.
struct Tiles {
  Tiles() {
    alignas(64) uint8_t shape[64] = {1};  // the palette; from byte 16 on bytes of a row, then rows
    for (int tile = 0; tile < 8; tile++) shape[16 + 2 * tile] = 64, shape[48 + tile] = SIDE;
    _tile_loadconfig(shape);
  }
  ~Tiles() { _tile_release(); }

  // Linux has tiles for processes that have asked: ARCH_REQ_XCOMP_PERM, of XFEATURE_XTILEDATA
  static bool permitted() { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }
};

// sums of one or two times 16 rows
template <bool ADD, bool TWO>
INLINE void multiply(Left a, Right b, int64_t depth, Real *out, int64_t out_row) {
  static_assert(PANEL == 2 * SIDE && DEPTH == 2 * SIDE);
  const int64_t bytes = out_row * sizeof(Real);
  if (ADD) {
    _tile_loadd(0, out, bytes);
    _tile_loadd(1, out + SIDE, bytes);
    if (TWO) _tile_loadd(2, out + SIDE * out_row, bytes);
    if (TWO) _tile_loadd(3, out + SIDE * out_row + SIDE, bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    if (TWO) _tile_zero(2);
    if (TWO) _tile_zero(3);
  }
  for (int64_t k = 0; k < depth; k += DEPTH) {
    const Term *rows = a.at + k, *columns = b.at + k / 2 * b.step;
    _tile_loadd(4, rows, a.row * sizeof(Term));
    if (TWO) _tile_loadd(5, rows + SIDE * a.row, a.row * sizeof(Term));
    _tile_loadd(6, columns, b.step * sizeof(Term));
    _tile_loadd(7, columns + 2 * SIDE, b.step * sizeof(Term));
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (TWO) _tile_dpbf16ps(2, 5, 6);
    if (TWO) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, out, bytes);
  _tile_stored(1, out + SIDE, bytes);
  if (TWO) _tile_stored(2, out + SIDE * out_row, bytes);
  if (TWO) _tile_stored(3, out + SIDE * out_row + SIDE, bytes);
}

// A panel's columns of the product of rows; `ADD`: added to what is there. Rows behind the last, up
// to a whole tile, are read too, and nothing comes of them.
template <bool ADD>
INLINE void product(int64_t rows, Left a, Right b, int64_t depth, Real *out, int64_t out_row) {
  asm volatile("" ::: "memory");  // the compiler does not know that tiles read and write memory
  constexpr int64_t TILES = 2 * SIDE;
  for (; rows > 0; rows -= TILES, a.at += TILES * a.row, out += TILES * out_row) {
    if (rows >= TILES)
      multiply<ADD, true>(a, b, depth, out, out_row);
    else if (rows == SIDE)
      multiply<ADD, false>(a, b, depth, out, out_row);
    else {
      alignas(64) Real part[TILES * PANEL];
      for (int64_t row = 0; ADD && row < rows; row++)
        std::memcpy(part + row * PANEL, out + row * out_row, PANEL * sizeof(Real));
      asm volatile("" ::"r"(part) : "memory");
      if (rows > SIDE)
        multiply<ADD, true>(a, b, depth, part, PANEL);
      else
        multiply<ADD, false>(a, b, depth, part, PANEL);
      asm volatile("" ::: "memory");
      for (int64_t row = 0; row < rows; row++)
        std::memcpy(out + row * out_row, part + row * PANEL, PANEL * sizeof(Real));
    }
  }
  asm volatile("" ::: "memory");
}

#else

struct Tiles {
  static bool permitted() { return true; }
};

INLINE Vector add_product(Vector sum, const Term *a, const Term *b) {
#if BF16
  int32_t pair;
  std::memcpy(&pair, a, sizeof pair);
  return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(pair),
                                  (__m512bh)_mm512_loadu_si512(b));
#else
  return sum + splat(*a) * load(b);
#endif
}

constexpr int64_t AHEAD = 16;  // steps, from where the right factor is fetched

template <bool ADD, int M>
INLINE void multiply(Left a, Right b, int64_t depth, Real *out, int64_t out_row) {
  Vector tile[M][WIDE] = {};
  for (int i = 0; i < M && ADD; i++)
    for (int j = 0; j < WIDE; j++) tile[i][j] = load(out + i * out_row + j * LANES);
#pragma GCC unroll 8
  for (int64_t k = 0; k < depth; k += PAIR, a.at += a.step, b.at += b.step) {
    for (int j = 0; j < WIDE; j++) fetch(b.at + AHEAD * b.step + j * LANES * PAIR);
    for (int i = 0; i < M; i++)
      for (int j = 0; j < WIDE; j++)
        tile[i][j] = add_product(tile[i][j], a.at + i * a.row, b.at + j * LANES * PAIR);
  }
  for (int i = 0; i < M; i++)
    for (int j = 0; j < WIDE; j++) store(out + i * out_row + j * LANES, tile[i][j]);
}

// the last M <= ROWS rows, or none
template <bool ADD, int M>
INLINE void last_rows(int64_t rows, Left a, Right b, int64_t depth, Real *out, int64_t out_row) {
  if constexpr (M > 0) {
    if (rows == M)
      multiply<ADD, M>(a, b, depth, out, out_row);
    else
      last_rows<ADD, M - 1>(rows, a, b, depth, out, out_row);
  }
}

// A panel's columns of the product of rows; `ADD`: added to what is there.
template <bool ADD>
INLINE void product(int64_t rows, Left a, Right b, int64_t depth, Real *out, int64_t out_row) {
  for (; rows >= ROWS; rows -= ROWS, a.at += ROWS * a.row, out += ROWS * out_row)
    multiply<ADD, ROWS>(a, b, depth, out, out_row);
  last_rows<ADD, ROWS - 1>(rows, a, b, depth, out, out_row);
}

#endif
