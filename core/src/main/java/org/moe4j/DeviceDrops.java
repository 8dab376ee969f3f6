package org.moe4j;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * DeepSeek-V2's token dropping (S40), in training alone: each of D groups of experts, which stand
 * for devices, serves at most {@code factor k T / D} choices of T real tokens. Choices of the
 * lowest affinity go first; those of exempt sequences stay whatever they weigh, so that a group
 * exceeds its budget only if they alone do.
 *
 * @param factor capacity of a device over its even share, 1 in the paper; 0 drops nothing
 * @param exempt share of the sequences that keep all of their choices, drawn once per pass and the
 *     same for all layers; 0.1 in the paper
 * @param layer the router's own
 */
record DeviceDrops(double factor, double exempt, int layer) {
  private static final String EXEMPT = "deepseek-v2.exempt";

  DeviceDrops {
    if (!(factor >= 0) || Double.isInfinite(factor)) {
      throw new MoeException("device-capacity " + factor + "; give at least 0, 0 drops nothing");
    }
    if (!(exempt >= 0 && exempt <= 1)) {
      throw new MoeException("exempt-sequences " + exempt + "; give a share of 0 to 1");
    }
  }

  /** The routing with what exceeds the budgets dropped; weights of the rest stay as they are. */
  TokenChoice apply(TokenChoice routing, int devices, TokenContext context) {
    if (factor == 0 || devices == 1 || !context.training() || context.tokens() == 0) {
      return routing;
    }
    return routing.keeping(kept(routing, devices, context));
  }

  private Tensor kept(TokenChoice routing, int devices, TokenContext context) {
    long[] asked = routing.asked().toLongs();
    double[] affinity = routing.selected().toDoubles();
    byte[] safe = exempt(context).toBytes();
    int k = routing.k();
    int each = routing.expertCount() / devices;
    long perSequence = context.length() * k;
    long budget = (long) Math.floor(factor * (double) choices(k, context) / devices);
    long[] used = new long[devices];
    byte[] kept = new byte[asked.length];
    List<List<Integer>> rest = new ArrayList<>();
    for (int d = 0; d < devices; d++) {
      rest.add(new ArrayList<>());
    }
    for (int i = 0; i < asked.length; i++) {
      if (asked[i] >= 0) {
        int device = (int) asked[i] / each;
        if (safe[(int) (i / perSequence)] != 0) {
          kept[i] = 1;
          used[device]++;
        } else {
          rest.get(device).add(i);
        }
      }
    }
    for (int d = 0; d < devices; d++) {
      List<Integer> candidates = rest.get(d);
      long room = Math.max(0, budget - used[d]);
      // The sort is stable: among equals the earlier token stays.
      candidates.sort(Comparator.comparingDouble((Integer i) -> -affinity[i]));
      candidates.stream().limit(room).forEach(i -> kept[i] = 1);
    }
    return Tensor.of(kept, routing.tokens(), k).to(DType.BOOL).to(routing.choices().device());
  }

  private static long choices(int k, TokenContext context) {
    return k
        * context.padding().map(p -> (long) p.to(DType.I64).sum().item()).orElse(context.tokens());
  }

  /** [B]: 1 for the sequences that this pass leaves whole. */
  private Tensor exempt(TokenContext context) {
    Tensor drawn =
        context
            .carried()
            .below(layer, EXEMPT)
            .orElseGet(() -> context.random().uniform(context.sequences()).lt(exempt).to(DType.U8));
    context.carried().write(layer, EXEMPT, drawn);
    return drawn;
  }
}
