package org.moe4j.lab.papers;

import java.util.List;
import java.util.Optional;
import org.moe4j.ReadingList;
import org.moe4j.lab.Experiment;
import org.moe4j.tensor.MoeException;

/** Every experiment. A new one is one line here. */
public final class Experiments {
  private static final List<Experiment> ALL =
      List.of(
          BalanceLosses.experiment(),
          RandomSecondExpert.experiment(),
          SwitchAgainstDense.experiment(),
          GatesCompared.experiment(),
          BaseAgainstSwitch.experiment(),
          SmoothSelection.experiment(),
          PrioritisedRouting.experiment(),
          HashAgainstLearned.experiment(),
          DomainExpertLayers.experiment(),
          SavedCompute.experiment(),
          ScalingOfExperts.experiment(),
          RouterZLossStability.experiment(),
          ExpertChoice.experiment(),
          SparseTransportRouting.experiment(),
          DroplessAgainstDropping.experiment(),
          SoftAgainstSparse.experiment(),
          SigmoidAgainstSoftmax.experiment(),
          FineGrainedExperts.experiment(),
          DenseTraining.experiment(),
          MultiHeadExperts.experiment(),
          AttendingRouter.experiment(),
          NormalisedGates.experiment(),
          TinyExperts.experiment(),
          RecurrentRouter.experiment(),
          LossFreeBalancing.experiment(),
          SampledRouting.experiment());

  private Experiments() {}

  /** All of them, in the order of the reading list. */
  public static List<Experiment> all() {
    return ALL;
  }

  /** That of a paper, if there is one. */
  public static Optional<Experiment> find(String id) {
    return ALL.stream().filter(e -> e.id().equals(id)).findFirst();
  }

  /**
   * That of a paper.
   *
   * @throws MoeException if there is none, or no such paper
   */
  public static Experiment named(String id) {
    return find(ReadingList.system(id).id())
        .orElseThrow(
            () ->
                new MoeException(
                    id
                        + " ("
                        + ReadingList.system(id).name()
                        + ") has no experiment yet; moe paper list shows those that run"));
  }

  /** What can be done with a paper: {@code runs}, {@code needs-gpu} or {@code planned}. */
  public static String state(String id) {
    return find(id).map(e -> e.needsGpu() ? "needs-gpu" : "runs").orElse("planned");
  }
}
