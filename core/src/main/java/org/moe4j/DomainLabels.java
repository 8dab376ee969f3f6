package org.moe4j;

import java.util.Arrays;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * The domain of every token, for routers that are steered by labels (S14, S32). A token between two
 * texts that has no label of its own, such as an end of text, goes with the text before it.
 */
final class DomainLabels {
  /** Stands where the domain is unknown, and for padding. */
  static final long UNKNOWN = -1;

  private DomainLabels() {}

  /**
   * The label of each token [T]. In training every token has one: a sequence that begins with a
   * separator gives it the first label behind. In evaluation and decoding labels before a token
   * alone are looked at, and it may be {@link #UNKNOWN}.
   *
   * @param router for messages
   * @param limit labels are below it
   * @param option the router's option that says the limit
   * @throws MoeException in training if a text has no label; in any phase for a label that is none
   */
  static long[] of(TokenContext context, String router, int limit, String option) {
    if (context.training() && context.domains().isEmpty() && context.tokens() > 0) {
      throw failure(context, router, "the context has no domains; give them with withDomains");
    }
    int tokens = Math.toIntExact(context.tokens());
    long[] labels = new long[tokens];
    Arrays.fill(labels, UNKNOWN);
    context.domains().ifPresent(d -> System.arraycopy(d.toLongs(), 0, labels, 0, tokens));
    byte[] real = context.padding().map(Tensor::toBytes).orElse(new byte[0]);
    boolean[] padding = new boolean[tokens];
    for (int t = 0; t < tokens; t++) {
      padding[t] = real.length > 0 && real[t] == 0;
      if (!padding[t] && labels[t] >= limit) {
        throw failure(
            context,
            router,
            "token "
                + t
                + " is of domain "
                + labels[t]
                + ", and there are "
                + limit
                + "; set option "
                + option);
      }
    }
    int length = (int) context.length();
    for (int b = 0; b < context.sequences(); b++) {
      fill(labels, padding, b * length, (b + 1) * length, context, router);
    }
    return labels;
  }

  private static void fill(
      long[] labels, boolean[] padding, int from, int to, TokenContext context, String router) {
    long first = UNKNOWN;
    long last = UNKNOWN;
    boolean labelled = true;
    for (int t = from; t < to; t++) {
      if (padding[t]) {
        labels[t] = UNKNOWN;
        continue;
      }
      boolean own = labels[t] >= 0;
      if (context.training() && !own && !labelled) {
        throw failure(
            context,
            router,
            "tokens "
                + (t - 1)
                + " and "
                + t
                + " have no domain, and training needs the label of every text; give it"
                + " (data.domain-field), or leave such texts out");
      }
      labelled = own;
      last = own ? labels[t] : last;
      first = first < 0 ? last : first;
      labels[t] = last;
    }
    if (!context.training()) {
      return;
    }
    for (int t = from; t < to && (padding[t] || labels[t] < 0); t++) {
      if (!padding[t]) {
        if (first < 0) {
          throw failure(context, router, "the sequence of token " + t + " has no domain at all");
        }
        labels[t] = first;
      }
    }
  }

  private static MoeException failure(TokenContext context, String router, String what) {
    return new MoeException(
        "layer " + context.layer() + ": router \"" + router + "\" is steered by labels: " + what);
  }
}
