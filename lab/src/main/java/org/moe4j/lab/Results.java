package org.moe4j.lab;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.tensor.MoeException;

/**
 * What all runs of an experiment gave.
 *
 * @param arms in the experiment's order
 * @param seeds of the runs
 * @param seconds it took in all, reading the text included
 */
public record Results(List<ArmResult> arms, List<Long> seeds, double seconds) {
  /** Copies both lists. */
  public Results {
    arms = List.copyOf(arms);
    seeds = List.copyOf(seeds);
  }

  /** The arm of this name. */
  public ArmResult arm(String name) {
    return arms.stream()
        .filter(a -> a.name().equals(name))
        .findFirst()
        .orElseThrow(() -> new MoeException("the results have no arm \"" + name + "\""));
  }

  /**
   * The same with one more quantity of an arm.
   *
   * @param values one a seed
   */
  public Results with(String arm, String key, List<Double> values) {
    ArmResult old = arm(arm);
    if (values.size() != old.runs().size()) {
      throw new MoeException(
          "arm \"%s\" has %d runs, but \"%s\" %d values; give one a run"
              .formatted(arm, old.runs().size(), key, values.size()));
    }
    List<Measurement> runs = new ArrayList<>();
    for (int i = 0; i < values.size(); i++) {
      runs.add(old.runs().get(i).with(key, values.get(i)));
    }
    List<ArmResult> all =
        arms.stream().map(a -> a.name().equals(arm) ? old.with(runs) : a).toList();
    return new Results(all, seeds, seconds);
  }

  /** The values of an arm's runs, one a seed. */
  public List<Double> values(String arm, String key) {
    return arm(arm).runs().stream()
        .map(
            run -> {
              Double value = run.values().get(key);
              if (value == null) {
                throw new MoeException("arm \"" + arm + "\" did not measure \"" + key + "\"");
              }
              return value;
            })
        .toList();
  }
}
