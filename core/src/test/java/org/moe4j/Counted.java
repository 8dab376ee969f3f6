package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.Tensor;

/** Statistics of a step with given loads. */
final class Counted {
  private Counted() {}

  /** Expert e was asked for {@code loads[e]} times. */
  static RoutingStats loads(long... loads) {
    return served(loads, loads);
  }

  /** Expert e was asked for {@code asked[e]} times and served the first {@code served[e]}. */
  static RoutingStats served(long[] asked, long[] served) {
    int total = 0;
    for (long n : asked) {
      total += (int) n;
    }
    long[] choices = new long[total];
    byte[] kept = new byte[total];
    int at = 0;
    for (int e = 0; e < asked.length; e++) {
      for (long i = 0; i < asked[e]; i++) {
        choices[at] = e;
        kept[at++] = (byte) (i < served[e] ? 1 : 0);
      }
    }
    TokenChoice routing =
        TokenChoice.of(
            asked.length,
            Tensor.of(choices, total, 1),
            Tensor.ones(total, 1),
            Gating.FIXED,
            Evidence.none());
    return RoutingStats.of(
        routing.keeping(Tensor.of(kept, total, 1).to(DType.BOOL)), TokenContext.eval(1, total));
  }
}
