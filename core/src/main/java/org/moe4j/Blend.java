package org.moe4j;

import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/** Every token is mixed: dense matrices instead of choices. */
public sealed interface Blend extends Routing {

  /**
   * Every expert computes every token; outputs are mixed (dense training, DSelect-k, a posterior
   * over domains).
   *
   * @param weights [T,E] with gradient
   * @param evidence what the router computed on its way
   */
  record Dense(Tensor weights, Evidence evidence) implements Blend {
    @Override
    public int expertCount() {
      return (int) weights.size(1);
    }
  }

  /**
   * Experts compute slots, which are mixtures of a group's tokens (Soft MoE).
   *
   * @param expertCount E
   * @param dispatch [G,S,R] slot r's mixture of the group's S tokens; slots are ordered by expert,
   *     R / E slots each
   * @param combine [G,S,R] token's mixture of the R slot outputs
   * @param evidence what the router computed on its way
   */
  record Slots(int expertCount, Tensor dispatch, Tensor combine, Evidence evidence)
      implements Blend {
    public Slots {
      if (dispatch.dim() != 3 || combine.dim() != 3 || dispatch.size(2) % expertCount != 0) {
        throw new MoeException(
            "slots "
                + dispatch
                + " and "
                + combine
                + " must be [G,S,R] with R divisible by "
                + expertCount
                + " experts");
      }
    }
  }
}
