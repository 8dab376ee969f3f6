package org.moe4j.lab;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.moe4j.tensor.MoeException;

/**
 * One part of a claim: that an arm is better than another, or not worse by more than a margin.
 *
 * @param system the arm of the paper
 * @param baseline the arm it is compared with
 * @param metric by which quantity
 * @param rule what is asked for
 * @param expected the effect that the paper or its scaled-down experiment leads to expect
 * @param threshold the least effect that counts, or the margin; 0.01 is one percent of a ratio
 */
public record Criterion(
    String system, String baseline, Metric metric, Rule rule, double expected, double threshold) {
  /** What is asked for. */
  public enum Rule {
    /** Better by at least the threshold. */
    BETTER,
    /** Not worse by more than the threshold. */
    NOT_WORSE
  }

  /** Refuses a threshold that every noise passes. */
  public Criterion {
    if (!(threshold > 0)) {
      throw new MoeException(
          system + " against " + baseline + ": threshold " + threshold + "; give more than 0");
    }
  }

  /** {@code system} is better, by {@code expected}; {@code least} is what counts. */
  public static Criterion better(
      String system, String baseline, Metric metric, double expected, double least) {
    return new Criterion(system, baseline, metric, Rule.BETTER, expected, least);
  }

  /** {@code system} is not worse by more than {@code margin}. */
  public static Criterion notWorse(String system, String baseline, Metric metric, double margin) {
    return new Criterion(system, baseline, metric, Rule.NOT_WORSE, 0, margin);
  }

  /** The same with the parts exchanged. */
  public Criterion swapped() {
    return new Criterion(baseline, system, metric, rule, expected, threshold);
  }

  /**
   * Judges the values of both arms, seed by seed: seeds give both the same start and the same text
   * in the same order, so differences are taken within a seed. An effect counts if it is at least
   * the threshold and larger than the standard deviation of the seeds' effects. Values that are not
   * finite, as of a run that diverged, show nothing.
   *
   * @throws MoeException if the arms have not the same seeds
   */
  public Finding judge(Results results) {
    List<Double> ours = results.values(system, metric.key());
    List<Double> theirs = results.values(baseline, metric.key());
    if (ours.size() != theirs.size() || ours.isEmpty()) {
      throw new MoeException(
          system + " has " + ours.size() + " seeds, " + baseline + " " + theirs.size());
    }
    double[] effects =
        IntStream.range(0, ours.size())
            .mapToDouble(i -> metric.effect(ours.get(i), theirs.get(i)))
            .toArray();
    double mean = Statistics.mean(effects);
    double spread = Statistics.deviation(effects);
    return new Finding(
        this,
        Statistics.mean(ours),
        Statistics.mean(theirs),
        mean,
        spread,
        Arrays.stream(effects).boxed().toList(),
        verdict(mean, spread));
  }

  private Verdict verdict(double mean, double spread) {
    if (!Double.isFinite(mean)) {
      return Verdict.DOES_NOT_SHOW;
    }
    return switch (rule) {
      case BETTER -> {
        if (Math.abs(mean) < threshold || Math.abs(mean) <= spread) {
          yield Verdict.DOES_NOT_SHOW;
        }
        yield mean > 0 ? Verdict.HOLDS : Verdict.CONTRADICTS;
      }
      case NOT_WORSE -> {
        if (mean - spread >= -threshold) {
          yield Verdict.HOLDS;
        }
        yield mean + spread < -threshold ? Verdict.CONTRADICTS : Verdict.DOES_NOT_SHOW;
      }
    };
  }
}
