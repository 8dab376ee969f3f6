package org.moe4j.train.report;

import org.moe4j.Blend;
import org.moe4j.ExpertChoice;
import org.moe4j.Retrieval;
import org.moe4j.Routing;
import org.moe4j.TokenChoice;
import org.moe4j.tensor.Tensor;

/** Hears of every pair of a token and an expert in a routing. */
@FunctionalInterface
public interface ChoiceReader {
  /**
   * A choice.
   *
   * @param token 0..T-1
   * @param expert 0..E-1
   * @param weight 1 for a choice; the share of the expert in the token's mixture for a blend
   * @param kept whether the expert had room for it
   */
  void choice(int token, int expert, double weight, boolean kept);

  /** Goes through {@code routing}, whichever of the four forms it has. */
  default void read(Routing routing) {
    switch (routing) {
      case TokenChoice r -> {
        long[] asked = r.asked().toLongs();
        long[] served = r.experts().toLongs();
        for (int i = 0; i < asked.length; i++) {
          if (asked[i] >= 0) {
            choice(i / r.k(), (int) asked[i], 1, served[i] >= 0);
          }
        }
      }
      case ExpertChoice r -> {
        long[] chosen = r.tokens().toLongs();
        for (int i = 0; i < chosen.length; i++) {
          if (chosen[i] >= 0) {
            choice((int) chosen[i], (int) (i / r.capacity()), 1, true);
          }
        }
      }
      case Blend.Dense r -> shares(r.weights(), r.expertCount());
      case Blend.Slots r -> {
        Tensor c = r.combine();
        long perExpert = c.size(2) / r.expertCount();
        Tensor slots = c.reshape(c.size(0) * c.size(1), r.expertCount(), perExpert);
        shares(slots.sum(2, false), r.expertCount());
      }
      case Retrieval r -> {
        long[] ids = r.ids().toLongs();
        long n = r.ids().size(1);
        for (int i = 0; i < ids.length; i++) {
          if (ids[i] >= 0) {
            choice((int) (i / n), (int) ids[i], 1, true);
          }
        }
      }
    }
  }

  /** Every positive entry of {@code weights} [T,E]. */
  private void shares(Tensor weights, int experts) {
    double[] all = weights.toDoubles();
    for (int i = 0; i < all.length; i++) {
      if (all[i] > 0) {
        choice(i / experts, i % experts, all[i], true);
      }
    }
  }
}
