package org.moe4j.lab;

import java.util.List;
import java.util.Set;
import org.moe4j.ListedSystem;
import org.moe4j.ReadingList;
import org.moe4j.tensor.MoeException;

/**
 * A paper's effect as something to run.
 *
 * @param id of the reading list, {@code S01} to {@code S60}
 * @param claim what the paper says, in one sentence
 * @param scale how this differs from the paper's own experiment, and what may hide the effect
 * @param arms what is compared
 * @param criteria when the claim holds: all of them must, at least one says "better"
 * @param held what the two arms of each criterion have in common
 * @param seeds runs of each arm
 * @param budget seconds in all on two cores
 * @param needsGpu whether it is too large for a processor
 * @param figures further charts of the report
 * @param derivation quantities that need several arms
 */
public record Experiment(
    String id,
    String claim,
    String scale,
    List<Arm> arms,
    List<Criterion> criteria,
    Set<Held> held,
    int seeds,
    int budget,
    boolean needsGpu,
    Figure.Drawing figures,
    Derivation derivation) {
  /** Refuses criteria of arms that there are not, and a claim that cannot fail. */
  public Experiment {
    arms = List.copyOf(arms);
    criteria = List.copyOf(criteria);
    held = Set.copyOf(held);
    List<String> names = arms.stream().map(Arm::name).toList();
    for (Criterion c : criteria) {
      if (!names.contains(c.system()) || !names.contains(c.baseline())) {
        throw new MoeException(
            id + ": " + c.system() + " against " + c.baseline() + ", but the arms are " + names);
      }
    }
    if (criteria.stream().noneMatch(c -> c.rule() == Criterion.Rule.BETTER)) {
      throw new MoeException(id + ": no criterion says \"better\", so the claim could not fail");
    }
  }

  /** An experiment for a processor: three seeds, 100 seconds. */
  public static Experiment of(
      String id,
      String claim,
      String scale,
      List<Arm> arms,
      List<Criterion> criteria,
      Set<Held> held) {
    return new Experiment(
        id,
        claim,
        scale,
        arms,
        criteria,
        held,
        3,
        100,
        false,
        Figure.Drawing.NONE,
        Derivation.NONE);
  }

  /** The same with other seeds. */
  public Experiment withSeeds(int seeds) {
    return new Experiment(
        id, claim, scale, arms, criteria, held, seeds, budget, needsGpu, figures, derivation);
  }

  /** The same with another budget, in seconds. */
  public Experiment withBudget(int seconds) {
    return new Experiment(
        id, claim, scale, arms, criteria, held, seeds, seconds, needsGpu, figures, derivation);
  }

  /** The same with these charts in its report. */
  public Experiment showing(Figure.Drawing drawing) {
    return new Experiment(
        id, claim, scale, arms, criteria, held, seeds, budget, needsGpu, drawing, derivation);
  }

  /** The same with quantities that need several arms. */
  public Experiment deriving(Derivation more) {
    return new Experiment(
        id, claim, scale, arms, criteria, held, seeds, budget, needsGpu, figures, more);
  }

  /** The paper's entry in the reading list. */
  public ListedSystem system() {
    return ReadingList.system(id);
  }

  /** The arm of this name. */
  public Arm arm(String name) {
    return arms.stream()
        .filter(a -> a.name().equals(name))
        .findFirst()
        .orElseThrow(() -> new MoeException(id + " has no arm \"" + name + "\""));
  }

  /** Whether the time of steps has a part in it, so that nothing may run beside a trial. */
  boolean isTimed() {
    return arms.stream().anyMatch(arm -> arm.timeOf().isPresent())
        || criteria.stream().anyMatch(c -> c.metric().equals(Metric.STEP_TIME));
  }

  /** The verdict on {@code results}. */
  public Judgement judge(Results results) {
    return Judgement.of(criteria, results);
  }
}
