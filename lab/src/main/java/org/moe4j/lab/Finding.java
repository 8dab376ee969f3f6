package org.moe4j.lab;

import java.util.List;

/**
 * What the runs say of one criterion.
 *
 * @param criterion it
 * @param system the system's value, mean over seeds
 * @param baseline the baseline's
 * @param effect by how much the system is better, mean over seeds; negative if it is worse
 * @param spread standard deviation of the effect over seeds; 0 of one seed
 * @param effects one a seed
 * @param verdict what follows
 */
public record Finding(
    Criterion criterion,
    double system,
    double baseline,
    double effect,
    double spread,
    List<Double> effects,
    Verdict verdict) {
  /** Copies the effects. */
  public Finding {
    effects = List.copyOf(effects);
  }

  /** How many seeds there are. */
  public int seeds() {
    return effects.size();
  }
}
