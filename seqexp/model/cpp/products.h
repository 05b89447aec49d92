// Products of matrices by tiles of rows and columns whose sums fit the registers.
//
// Factors are the numbers themselves, or with BF16 numbers of 16 bits: the upper half of a float,
// rounded to even. What comes of two of them is summed as floats, by AMX where the processor has
// it (NO_AMX=1 does without), else by AVX-512.
//
// Sources: Kalamkar et al. (2019), "A Study of BFLOAT16 for Deep Learning Training"; Micikevicius
// et al. (2018), "Mixed Precision Training", ICLR, on sums and weights that stay floats.
#pragma once

#include <algorithm>

#include "vectors.h"

#if BF16
#ifndef __AVX512BF16__
#error "products in bfloat16 need AVX512_BF16"
#endif
#include <immintrin.h>
#if defined(__AMX_BF16__) && !defined(NO_AMX)
#define AMX 1
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#if BF16
using Term = uint16_t;    // of a sum of products: a factor
constexpr int PAIR = 2;   // terms side by side: one instruction takes them
constexpr int DEPTH = 32; // terms of a tile of AMX; sums are padded to it by zeros
#else
using Term = Real;
constexpr int PAIR = 1, DEPTH = 1;
#endif

constexpr int64_t deep(int64_t terms) { return up(terms, DEPTH); }

// distance of rows: an odd number of vectors, or rows of a tile would share places in the cache
constexpr int64_t apart(int64_t count) {
  constexpr int64_t lanes = BYTES / sizeof(Term);
  return (up(count, lanes) / lanes | 1) * lanes;
}

// The left factor: rows, whose terms stand side by side, or of which each next one is `step` further.
struct Left {
  const Term *at;
  int64_t row, step = PAIR;
};

// The right factor: columns of a panel, of each pair of terms after the other; `step` to the next.
struct Right {
  const Term *at;
  int64_t step = PANEL * PAIR;
};

#if BF16
INLINE __m512i words(Vector low, Vector high) {  // the terms of both, one after the other
  return (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}
INLINE __m256i words(Vector values) { return (__m256i)_mm512_cvtneps_pbh((__m512)values); }
INLINE __m512i paired(__m256i first, __m256i second) {
  return _mm512_cvtepu16_epi32(first) | _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16);
}
INLINE void put(Term *to, Vector values) { _mm256_storeu_si256((__m256i *)to, words(values)); }
INLINE Vector numbers(const Term *from) {
  return (Vector)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((__m256i *)from)), 16);
}

// rows become columns, of 16 pairs each
INLINE void transpose(__m512i (&rows)[16]) {
  __m512i by2[16], by4[16];
  for (int i = 0; i < 16; i += 2) {
    by2[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    by2[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; j++) {
      by4[i + 2 * j] = _mm512_unpacklo_epi64(by2[i + j], by2[i + j + 2]);
      by4[i + 2 * j + 1] = _mm512_unpackhi_epi64(by2[i + j], by2[i + j + 2]);
    }
  for (int j = 0; j < 4; j++) {  // by4[4 k + j] has columns j, 4 + j, 8 + j, 12 + j of four rows
    __m512i a = _mm512_shuffle_i32x4(by4[j], by4[4 + j], 0x44);
    __m512i b = _mm512_shuffle_i32x4(by4[j], by4[4 + j], 0xee);
    __m512i c = _mm512_shuffle_i32x4(by4[8 + j], by4[12 + j], 0x44);
    __m512i d = _mm512_shuffle_i32x4(by4[8 + j], by4[12 + j], 0xee);
    rows[j] = _mm512_shuffle_i32x4(a, c, 0x88);
    rows[4 + j] = _mm512_shuffle_i32x4(a, c, 0xdd);
    rows[8 + j] = _mm512_shuffle_i32x4(b, d, 0x88);
    rows[12 + j] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
}
#else
INLINE void put(Term *to, Vector values) { store(to, values); }
INLINE Vector numbers(const Term *from) { return load(from); }
#endif

// --- factors, from numbers -------------------------------------------------------------------

// A row of numbers, masked or not; zeros are behind the last.
struct Row {
  const Real *from, *mask;
  int64_t count;

  Vector operator[](int64_t i) const {
    const Vector values = load_part(from + i, count - i);
    return mask ? values * load_part(mask + i, count - i) : values;
  }
};

// a row of a left factor; zeros fill its last vector
INLINE void put_row(Term *to, Row row) {
#if BF16
  for (int64_t i = 0; i < row.count; i += LANES) put(to + i, row[i]);
#else
  if (row.mask)
    for (int64_t i = 0; i < row.count; i++) to[i] = row.from[i] * row.mask[i];
  else
    std::memcpy(to, row.from, row.count * sizeof(Real));
#endif
}

// a panel of a right factor, whose columns are rows of `from`; zeros where there is none
INLINE void put_columns(Term *to, const Real *from, int64_t from_row, int64_t columns,
                        int64_t count) {
#if BF16
  for (int64_t first = 0; first < PANEL; first += 16)
    for (int64_t k = 0; k < count; k += 32) {
      __m512i pairs[16];
      for (int64_t i = 0; i < 16; i++) {
        const Real *row = from + (first + i) * from_row + k;
        bool is_there = first + i < columns;
        pairs[i] = words(load_part(row, is_there ? count - k : 0),
                         load_part(row + 16, is_there ? count - k - 16 : 0));
      }
      transpose(pairs);
      for (int64_t i = 0; i < 16; i++)
        _mm512_storeu_si512(to + (k / 2 + i) * PANEL * 2 + first * 2, pairs[i]);
    }
#else
  for (int64_t k = 0; k < count; k++)
    for (int64_t i = 0; i < PANEL; i++) to[k * PANEL + i] = i < columns ? from[i * from_row + k] : 0;
#endif
}

// `count` rows of a right factor, row(k) each, as wide as `width`
template <class Rows>
INLINE void put_rows(Term *to, int64_t step, int64_t count, int64_t width, Rows &&row) {
  for (int64_t k = 0; k < deep(count); k += PAIR, to += step) {
    const Row none{}, first = k < count ? row(k) : none, next = row(std::min(k + 8, count - 1));
    for (int64_t i = 0; i < width; i += LANES) fetch(next.from + i);
#if BF16
    const Row second = k + 1 < count ? row(k + 1) : none;
    for (int64_t i = 0; i < width; i += LANES)
      _mm512_storeu_si512(to + i * 2, paired(words(first[i]), words(second[i])));
#else
    for (int64_t i = 0; i < width; i += LANES) store(to + i, first[i]);
#endif
  }
}

// A left factor whose rows are columns of `from`, which `to` has room for where they must be turned.
INLINE Left turned(const Term *from, int64_t from_row, [[maybe_unused]] int64_t rows,
                   [[maybe_unused]] int64_t count, [[maybe_unused]] Term *to,
                   [[maybe_unused]] int64_t to_row) {
#if BF16
  for (int64_t first = 0; first < rows; first += 16)
    for (int64_t k = 0; k < count; k += 32) {
      __m512i pairs[16];
      for (int64_t i = 0; i < 16; i++) {
        __m256i terms[2] = {};
        for (int64_t j = 0; j < 2; j++)
          if (k + 2 * i + j < count)
            terms[j] = _mm256_loadu_si256((__m256i *)(from + (k + 2 * i + j) * from_row + first));
        pairs[i] = paired(terms[0], terms[1]);
      }
      transpose(pairs);
      for (int64_t i = 0; i < 16; i++) _mm512_storeu_si512(to + (first + i) * to_row + k, pairs[i]);
    }
  return {to, to_row};
#else
  return {from, 1, from_row};
#endif
}

// --- products --------------------------------------------------------------------------------

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

  // Linux saves tiles only for processes that have asked: ARCH_REQ_XCOMP_PERM, of XFEATURE_XTILEDATA
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
  for (int64_t i = 0; i < rows; i += 2 * SIDE, a.at += 2 * SIDE * a.row, out += 2 * SIDE * out_row) {
    const int64_t left = rows - i;
    if (left >= 2 * SIDE)
      multiply<ADD, true>(a, b, depth, out, out_row);
    else if (left == SIDE)
      multiply<ADD, false>(a, b, depth, out, out_row);
    else {
      alignas(64) Real part[2 * SIDE * PANEL];
      for (int64_t row = 0; ADD && row < left; row++)
        std::memcpy(part + row * PANEL, out + row * out_row, PANEL * sizeof(Real));
      asm volatile("" ::"r"(part) : "memory");
      if (left > SIDE)
        multiply<ADD, true>(a, b, depth, part, PANEL);
      else
        multiply<ADD, false>(a, b, depth, part, PANEL);
      asm volatile("" ::: "memory");
      for (int64_t row = 0; row < left; row++)
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
