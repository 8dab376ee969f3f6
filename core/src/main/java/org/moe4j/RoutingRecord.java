package org.moe4j;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * The choices of a run, layer by layer and call by call, to be imposed on another run: the same
 * experts then see the same tokens, while weights come from the scores of the day.
 */
public final class RoutingRecord {
  private final Map<Integer, List<Call>> layers = new HashMap<>();
  private final Map<Integer, Integer> next = new HashMap<>();

  private static final class Call {
    private final long[] choices;
    private final byte[] wanted;
    private final int k;

    Call(long[] choices, byte[] wanted, int k) {
      this.choices = choices;
      this.wanted = wanted;
      this.k = k;
    }
  }

  /** A router that does what {@code inner} does and writes it down here. */
  public Router recording(Router inner) {
    return (x, context) -> {
      Routing routing = inner.route(x, context);
      TokenChoice plan = choice(routing);
      layers
          .computeIfAbsent(context.layer(), l -> new ArrayList<>())
          .add(new Call(plan.choices().toLongs(), plan.wanted().toBytes(), plan.k()));
      return routing;
    };
  }

  /** A router that scores like {@code inner} and chooses what was written down here. */
  public Router replaying(Router inner) {
    return (x, context) -> {
      TokenChoice plan = choice(inner.route(x, context));
      Call call = next(context.layer());
      if (call.choices.length != plan.choices().numel() || call.k != plan.k()) {
        throw new MoeException(
            "layer "
                + context.layer()
                + ": the record holds "
                + call.choices.length / call.k
                + " tokens with "
                + call.k
                + " choices, the run has "
                + plan.tokens()
                + " with "
                + plan.k());
      }
      Device device = plan.choices().device();
      return plan.choosing(
          Tensor.of(call.choices, plan.tokens(), plan.k()).to(device),
          Tensor.of(call.wanted, plan.tokens(), plan.k()).to(DType.BOOL).to(device));
    };
  }

  /** Replays from the start again. */
  public void rewind() {
    next.clear();
  }

  private Call next(int layer) {
    List<Call> calls = layers.getOrDefault(layer, List.of());
    int at = next.merge(layer, 1, Integer::sum) - 1;
    if (at >= calls.size()) {
      throw new MoeException(
          "layer " + layer + ": the record ends after " + calls.size() + " calls");
    }
    return calls.get(at);
  }

  private static TokenChoice choice(Routing routing) {
    if (routing instanceof TokenChoice plan) {
      return plan;
    }
    throw new MoeException("only choices of tokens can be recorded and replayed");
  }
}
