package org.moe4j.lab;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * A scaling law, fitted to a grid of models that is trained for it and to losses that were
 * published.
 *
 * @param form of the law
 * @param grid shared by the arms of an experiment: it is trained once for all of them
 * @param published losses
 * @param largest experts of the published models that a law is extrapolated from
 */
public record LawArm(
    ScalingLaw.Form form, ModelGrid grid, List<ScalingLaw.Point> published, int largest)
    implements Workload {
  /** The error on trained models that the fit has not seen. */
  public static final String TRAINED = "held_out_trained";

  /** The error on published losses that the fit has not seen. */
  public static final String PUBLISHED = "held_out_published";

  /** The error on published models with more experts than any that the fit has seen. */
  public static final String BEYOND = "beyond_published";

  private static final int PARTS = 5;

  /** Copies the losses. */
  public LawArm {
    published = List.copyOf(published);
  }

  /** The key of a model's loss on held-out text. */
  public static String loss(int model) {
    return "loss of model " + model;
  }

  /** The key of a model's parameters that a token meets. */
  public static String size(int model) {
    return "parameters of model " + model;
  }

  @Override
  public Cost cost(Bench bench) {
    return grid.cost(bench);
  }

  @Override
  public Object training() {
    return grid;
  }

  @Override
  public Trial start(Bench bench, long seed, int steps) {
    return new Fit(this, bench, seed, GridTraining.of(form.name(), grid, bench, seed, steps));
  }

  private static final class Fit implements Trial {
    private final LawArm arm;
    private final List<Double> sizes;
    private final long seed;
    private final GridTraining training;
    private int step;

    Fit(LawArm arm, Bench bench, long seed, GridTraining training) {
      this.arm = arm;
      this.sizes = arm.grid.sizes(bench);
      this.seed = seed;
      this.training = training;
    }

    @Override
    public double step() {
      return training.step(step++);
    }

    @Override
    public Measurement finish() {
      List<Double> losses = training.losses();
      Map<String, Double> values = new HashMap<>();
      List<ScalingLaw.Point> trained = new ArrayList<>();
      for (int i = 0; i < losses.size(); i++) {
        values.put(loss(i), losses.get(i));
        values.put(size(i), sizes.get(i));
        trained.add(
            new ScalingLaw.Point(sizes.get(i), arm.grid.models().get(i).experts(), losses.get(i)));
      }
      values.put(TRAINED, percent(ScalingLawFit.heldOut(arm.form, trained, PARTS, seed)));
      values.put(PUBLISHED, percent(ScalingLawFit.heldOut(arm.form, arm.published, PARTS, seed)));
      values.put(BEYOND, percent(beyond()));
      return new Measurement(
          values,
          Map.of("loss", Curve.of(training.means(), 60)),
          Optional.empty(),
          training.seconds());
    }

    private double beyond() {
      Map<Boolean, List<ScalingLaw.Point>> parts =
          arm.published.stream()
              .collect(Collectors.partitioningBy(p -> p.experts() <= arm.largest));
      return ScalingLawFit.error(ScalingLawFit.of(arm.form, parts.get(true)), parts.get(false));
    }

    /** A small difference of log10 L as percent of L. */
    private static double percent(double difference) {
      return 100 * Math.log(10) * difference;
    }

    @Override
    public void close() {
      training.close();
    }
  }
}
