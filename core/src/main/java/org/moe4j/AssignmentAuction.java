package org.moe4j;

/**
 * The auction for similar objects: a token without a place bids for the expert that costs it least,
 * as much as it gains over its second choice and a little more; a full expert turns its lowest
 * bidder out and has the lowest bid it keeps for its price. Prices only rise. Each bid costs O(E +
 * log places); their number is limited, since ties can make the price rise by tiny steps.
 */
final class AssignmentAuction {
  /** Bids per token, at most. */
  private static final int MOST_BIDS = 8;

  /** The little more, in parts of the largest cost. */
  private static final double STEP = 1e-4;

  private final AssignmentState state;
  private final long[] bids; // [E,places], a heap for each expert with the lowest bid on top
  private final int[] bidders;
  private final int[] held;

  AssignmentAuction(AssignmentState state) {
    this.state = state;
    this.bids = new long[state.tokens];
    this.bidders = new int[state.tokens];
    this.held = new int[state.experts];
  }

  /** Raises the prices and leaves those tokens in their places that would choose them again. */
  void run() {
    long largest = 0;
    for (long c : state.cost) {
      largest = Math.max(largest, c);
    }
    long step = 1 + (long) (largest * STEP);
    int[] waiting = new int[state.tokens];
    for (int t = 0; t < waiting.length; t++) {
      waiting[t] = waiting.length - 1 - t;
    }
    int n = waiting.length;
    for (long i = (long) MOST_BIDS * state.tokens; i > 0 && n > 0; i--) {
      int out = bid(waiting[n - 1], step);
      if (out == AssignmentState.NOWHERE) {
        n--;
      } else {
        waiting[n - 1] = out;
      }
    }
    for (int t = 0; t < state.tokens; t++) {
      if (state.expert[t] >= 0 && !content(t)) {
        state.expert[t] = AssignmentState.NOWHERE;
      }
    }
  }

  /** Token {@code t} bids; returns the token that it turns out, if any. */
  private int bid(int t, long step) {
    int row = t * state.experts;
    long least = Long.MAX_VALUE;
    long second = Long.MAX_VALUE;
    int best = 0;
    for (int e = 0; e < state.experts; e++) {
      long c = state.cost[row + e] + state.price[e];
      if (c < least) {
        second = least;
        least = c;
        best = e;
      } else if (c < second) {
        second = c;
      }
    }
    // A single expert has room for all, whatever is bid.
    long gain = second == Long.MAX_VALUE ? 0 : second - least;
    state.expert[t] = best;
    return enter(best, t, state.price[best] + gain + step);
  }

  /** Puts a bid on the expert's heap, in place of the lowest one if it is full. */
  private int enter(int e, int t, long bid) {
    int base = e * state.places;
    int out = AssignmentState.NOWHERE;
    if (held[e] < state.places) {
      up(base, held[e]++, t, bid);
    } else {
      out = bidders[base];
      state.expert[out] = AssignmentState.NOWHERE;
      down(base, t, bid);
    }
    if (held[e] == state.places) {
      state.price[e] = bids[base];
    }
    return out;
  }

  private void up(int base, int from, int t, long bid) {
    int i = from;
    while (i > 0 && bids[base + (i - 1) / 2] > bid) {
      move(base, (i - 1) / 2, i);
      i = (i - 1) / 2;
    }
    bids[base + i] = bid;
    bidders[base + i] = t;
  }

  private void down(int base, int t, long bid) {
    int i = 0;
    for (int child = 1; child < state.places; child = 2 * i + 1) {
      if (child + 1 < state.places && bids[base + child + 1] < bids[base + child]) {
        child++;
      }
      if (bids[base + child] >= bid) {
        break;
      }
      move(base, child, i);
      i = child;
    }
    bids[base + i] = bid;
    bidders[base + i] = t;
  }

  private void move(int base, int from, int to) {
    bids[base + to] = bids[base + from];
    bidders[base + to] = bidders[base + from];
  }

  private boolean content(int t) {
    int row = t * state.experts;
    int e = state.expert[t];
    long paid = state.cost[row + e] + state.price[e];
    for (int f = 0; f < state.experts; f++) {
      if (state.cost[row + f] + state.price[f] < paid) {
        return false;
      }
    }
    return true;
  }
}
