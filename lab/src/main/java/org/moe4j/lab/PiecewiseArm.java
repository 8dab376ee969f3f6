package org.moe4j.lab;

import java.util.List;
import java.util.Map;
import org.moe4j.BalanceRegistry;
import org.moe4j.ExpertForm;
import org.moe4j.MoeConfig;

/**
 * One sparse layer that learns a function made of pieces: points lie around as many centres as
 * there are experts, and each centre has a linear map of its own. Whoever finds the pieces needs
 * one expert for each.
 *
 * @param router its name
 * @param options of the router
 * @param balance weight of the loss that keeps experts in use, "mixtral"
 */
public record PiecewiseArm(String router, Map<String, String> options, double balance)
    implements Workload {
  /** What of the outputs' variance is left unexplained on held-out points. */
  public static final Metric UNEXPLAINED =
      new Metric(
          "unexplained",
          "unexplained share of the variance",
          Metric.Better.LOWER,
          Metric.Scale.RATIO,
          4);

  static final int WIDTH = 16;
  static final int PIECES = 16;
  static final int POINTS = 256;

  /** Copies the options. */
  public PiecewiseArm {
    options = Map.copyOf(options);
  }

  @Override
  public List<String> settings() {
    return List.of("moe.router=" + router, "moe.losses.mixtral=" + balance);
  }

  /** The layer: experts just wide enough to be linear. */
  MoeConfig layer() {
    return MoeConfig.builder(WIDTH, 2 * WIDTH, PIECES, 1)
        .router(router, options)
        .form(ExpertForm.RELU)
        .balance(BalanceRegistry.named("mixtral"), balance)
        .build();
  }

  @Override
  public Cost cost(Bench bench) {
    MoeConfig layer = layer();
    return new Cost(layer.parameters(), layer.activeParameters(), layer.flopsPerToken(), POINTS);
  }

  @Override
  public Trial start(Bench bench, long seed, int steps) {
    return new PiecewiseTrial(layer(), bench.device(), seed, steps);
  }
}
