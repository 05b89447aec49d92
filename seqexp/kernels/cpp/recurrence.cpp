// One recurrent layer over a whole sequence on the CPU, forward and back: LSTM, GRU and RNN.
//
// Rows of a batch do not depend on each other: they are split over threads once, in blocks whose
// states stay in the cache from the first token to the last. A step is one product of x_t and
// h_t-1, side by side, with the weights of all gates, and the gates are applied to a tile's sums
// while these are at hand. Back, a step is one product for the gradients of x_t and h_t-1; the
// weights' gradient is one product over all tokens of a window, whose rows the threads share.
//
// Each sum is taken in an order that depends neither on the number of threads nor on the other rows
// of the batch, so that values do not either.
//
// CELL is LSTM, GRU or RNN, REAL is float or double, and BF16=1 has factors of products rounded to
// bfloat16: all by the compiler's command line.

#include "back.h"
#include "forward.h"

template <class Pass>
int run(const Layer &layer) {
  try {
    Pass(layer).run();
  } catch (const std::bad_alloc &) {
    return 1;
  }
  return 0;
}

extern "C" {
int forward(const Layer *layer) { return run<Forward<CELL>>(*layer); }
int back(const Layer *layer) { return run<Back<CELL>>(*layer); }

// whether the system lets this process use what products need
int may_run() { return Tiles::permitted(); }

// numbers of `kept`, for each token of each row
int64_t kept(int64_t hidden) { return CELL::KEPT * up(hidden, PANEL); }
}
