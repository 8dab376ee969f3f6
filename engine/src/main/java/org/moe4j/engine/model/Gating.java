package org.moe4j.engine.model;

import org.moe4j.engine.EngineException;

/** How a router's logits become weights of experts. */
public enum Gating {
  /** Softmax over all experts. */
  SOFTMAX,
  /** The logistic function of each. */
  SIGMOID,
  /** Softmax over the chosen ones. */
  CHOSEN;

  /** The one with the number that files give it. */
  static Gating numbered(String file, long number) {
    return switch ((int) number) {
      case 1 -> SOFTMAX;
      case 2 -> SIGMOID;
      case 3 -> CHOSEN;
      default ->
          throw new EngineException(
              file
                  + ": expert_gating_func is "
                  + number
                  + "; known: 1 softmax, 2 sigmoid, 3 softmax of the chosen");
    };
  }
}
