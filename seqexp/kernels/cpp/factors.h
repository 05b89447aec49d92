// Factors of matrix products, in the order in which products read them.
//
// They are the numbers themselves, or with BF16 numbers of 16 bits: the upper half of a float,
// rounded to the nearest, of two to the even one.
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
#endif

#if BF16
using Term = uint16_t;     // of a sum of products: a factor
constexpr int PAIR = 2;    // terms side by side: one instruction takes them
constexpr int DEPTH = 32;  // terms of a tile of AMX; sums are padded to it by zeros
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

// The left factor: rows, whose terms stand side by side, or each `step` behind the one before.
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
    for (int64_t i = 0; i < PANEL; i++)
      to[k * PANEL + i] = i < columns ? from[i * from_row + k] : 0;
#endif
}

constexpr int64_t ROWS_AHEAD = 8;  // from where rows are fetched

// `count` rows of a right factor, row(k) each, as wide as `width`
template <class Rows>
INLINE void put_rows(Term *to, int64_t step, int64_t count, int64_t width, Rows &&row) {
  for (int64_t k = 0; k < deep(count); k += PAIR, to += step) {
    const Row none{}, first = k < count ? row(k) : none;
    const Row next = row(std::min(k + ROWS_AHEAD, count - 1));
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

// A left factor whose rows are columns of `from`; `to` has room for them where they must be turned.
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
