package org.moe4j.lab;

import java.util.List;

/**
 * Models of several sizes and numbers of experts that are trained side by side, as a scaling law
 * needs them.
 *
 * @param models of the grid
 */
public record ModelGrid(List<Model> models) {
  /**
   * A model of a grid.
   *
   * @param arm its training
   * @param experts 1 if it is dense
   */
  public record Model(LanguageArm arm, int experts) {}

  /** Copies the list. */
  public ModelGrid {
    models = List.copyOf(models);
  }

  /** What one step of every model costs; the work of a token is the mean over models. */
  Cost cost(Bench bench) {
    List<Cost> costs = costs(bench);
    return new Cost(
        costs.stream().mapToLong(Cost::parameters).sum(),
        costs.stream().mapToLong(Cost::active).sum(),
        (long) costs.stream().mapToLong(Cost::flops).average().orElse(0),
        costs.stream().mapToLong(Cost::tokensPerStep).sum());
  }

  private List<Cost> costs(Bench bench) {
    return models.stream().map(model -> model.arm.cost(bench)).toList();
  }

  /** Parameters that a token meets, of each model. */
  List<Double> sizes(Bench bench) {
    return costs(bench).stream().map(cost -> (double) cost.active()).toList();
  }
}
